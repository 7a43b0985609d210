#include "mirror/quarantine/quarantine_names.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_quote.h"
#include "base/json_scan.h"
#include "base/memory.h"
#include "engine/change_columns.h"
#include "lake/catalog/catalog_sql.h"

enum dm_status dm_quarantine_names_create(sqlite3 *db, struct dm_error *err)
{
    static const char sql[] =
        "CREATE TABLE IF NOT EXISTS dm_quarantine_names(id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " dataset INTEGER NOT NULL, fields TEXT NOT NULL, current INTEGER NOT NULL);"
        "CREATE INDEX IF NOT EXISTS dm_quarantine_names_dataset ON dm_quarantine_names(dataset, current);";
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? DM_OK
               : dm_sql_fail(db, "making dm_quarantine_names", err);
}

/* ---- a change ---- */

/* Has a column of `from` another name, or is it gone? New ones matter to no row of before. */
static bool names_differ(const struct dm_schema *from, const struct dm_schema *to)
{
    for (size_t i = 0; i < from->n_fields; i++) {
        int at = dm_schema_find_id(to, from->fields[i].id);
        if (at < 0 || strcmp(to->fields[at].name, from->fields[i].name) != 0)
            return true;
    }
    return false;
}

/* {"name": id, …}; malloc'ed. */
static char *print(const struct dm_schema *s)
{
    json_t *fields = json_object();
    for (size_t i = 0; i < s->n_fields; i++)
        json_object_set_new(fields, s->fields[i].name, json_integer(s->fields[i].id));
    char *text = json_dumps(fields, JSON_COMPACT);
    json_decref(fields);
    return text;
}

enum dm_status dm_quarantine_names_change(sqlite3 *db, uint32_t dataset, const struct dm_schema *from,
                                          const struct dm_schema *to, struct dm_error *err)
{
    static const char what[] = "names of columns in quarantine";
    if (!names_differ(from, to))
        return DM_OK;
    char *then = print(from), *now = print(to);
    uint64_t id = dataset;
    enum dm_status status =
        dm_sql_run(db, what,
                   "INSERT INTO dm_quarantine_names(dataset, fields, current) SELECT ?1, ?2, 0"
                   " WHERE EXISTS (SELECT 1 FROM dm_quarantine WHERE dataset = ?1 AND names IS NULL)",
                   err, "ut", id, then);
    if (status == DM_OK)
        status = dm_sql_run(db, what,
                            "UPDATE dm_quarantine SET names = (SELECT max(id) FROM dm_quarantine_names WHERE"
                            " dataset = ?1 AND current = 0) WHERE dataset = ?1 AND names IS NULL",
                            err, "u", id);
    if (status == DM_OK) /* of rows that have left it */
        status = dm_sql_run(db, what,
                            "DELETE FROM dm_quarantine_names WHERE dataset = ?1 AND (current = 1 OR id NOT IN"
                            " (SELECT names FROM dm_quarantine WHERE dataset = ?1 AND names IS NOT NULL))",
                            err, "u", id);
    if (status == DM_OK)
        status = dm_sql_run(db, what,
                            "INSERT INTO dm_quarantine_names(dataset, fields, current) SELECT ?1, ?2, 1"
                            " WHERE EXISTS (SELECT 1 FROM dm_quarantine_names WHERE dataset = ?1)",
                            err, "ut", id, now);
    free(then);
    free(now);
    return status;
}

/* ---- reading ---- */

struct dm_schema *dm_quarantine_names_parse(const char *fields)
{
    struct dm_schema *s = dm_schema_new();
    json_t *all = fields != NULL ? json_loads(fields, 0, NULL) : NULL;
    const char *name;
    json_t *id;
    json_object_foreach(all, name, id) dm_schema_add(s, name, dm_type_of(DM_STRING))->id =
        (int32_t)json_integer_value(id);
    json_decref(all);
    return s;
}

struct names {
    const struct dm_schema *then, *now;
};

/* The member's name as it stands there. */
static char *plain(const struct dm_json_slice *key, size_t *n)
{
    char *name = dm_xalloc(key->n + 1);
    if (!key->escaped) {
        memcpy(name, key->text, key->n);
        *n = key->n;
    } else if (!dm_json_unescape(key, name, n)) {
        *n = 0;
    }
    name[*n] = '\0';
    return name;
}

/* Where an event holds its rows. */
static bool is_image(const char *name)
{
    return strcmp(name, "before") == 0 || strcmp(name, "after") == 0 || strcmp(name, "payload") == 0;
}

static enum dm_status object(const struct names *names, struct dm_buffer *out, const char *text, size_t n,
                             struct dm_error *err);

static enum dm_status append_member(struct dm_buffer *out, const char *name,
                                    const struct dm_json_slice *value, bool *any, struct dm_error *err)
{
    size_t quotes = value->kind == DM_JSON_STRING;
    enum dm_status status = *any ? dm_buffer_append(out, ", ", 2, err) : DM_OK;
    *any = true;
    if (status == DM_OK)
        status = dm_json_quote(out, name, strlen(name), err);
    if (status == DM_OK)
        status = dm_buffer_append(out, ": ", 2, err);
    return status == DM_OK && value->text != NULL
               ? dm_buffer_append(out, value->text - quotes, value->n + 2 * quotes, err)
               : status;
}

static enum dm_status member(const struct names *names, struct dm_buffer *out,
                             const struct dm_json_slice *key, const struct dm_json_slice *value, bool *any,
                             struct dm_error *err)
{
    enum dm_change_control control;
    size_t n;
    char *name = plain(key, &n);
    int field = dm_change_column(names->then, name, n, &control);
    int now = field >= 0 ? dm_schema_find_id(names->now, names->then->fields[field].id) : -1;
    enum dm_status status = DM_OK;
    if (field >= 0 && now >= 0) {
        status = append_member(out, names->now->fields[now].name, value, any, err);
    } else if (field < 0 && value->kind == DM_JSON_OBJECT && is_image(name)) {
        status = append_member(out, name, &(struct dm_json_slice){0}, any, err);
        if (status == DM_OK)
            status = object(names, out, value->text, value->n, err);
    } else if (field < 0) { /* no column's; nor does it become one because another column has the name now */
        int taken = dm_schema_find(names->now, name);
        if (taken < 0 || dm_schema_find_id(names->then, names->now->fields[taken].id) < 0)
            status = append_member(out, name, value, any, err);
    }
    free(name);
    return status;
}

/* The text is a whole object: it was looked through. */
static enum dm_status object(const struct names *names, struct dm_buffer *out, const char *text, size_t n,
                             struct dm_error *err)
{
    struct dm_json_scan s = dm_json_scan_of(text, n);
    bool first = true, more = true, any = false;
    struct dm_json_slice key, value;
    enum dm_status status = dm_buffer_append_byte(out, '{', err);
    dm_json_scan_space(&s);
    (void)dm_json_scan_open(&s, '{');
    while (status == DM_OK && dm_json_scan_member(&s, &first, &more, &key, &value) && more)
        status = member(names, out, &key, &value, &any, err);
    return status == DM_OK ? dm_buffer_append_byte(out, '}', err) : status;
}

enum dm_status dm_quarantine_names_translate(struct dm_buffer *out, const char *raw,
                                             const struct dm_schema *then, const struct dm_schema *now,
                                             struct dm_error *err)
{
    const struct names names = {then, now};
    struct dm_json_scan s = dm_json_scan_of(raw, strlen(raw));
    struct dm_json_slice v;
    bool whole = dm_json_scan_value(&s, &v) && v.kind == DM_JSON_OBJECT && dm_json_scan_finish(&s);
    enum dm_status status =
        whole ? object(&names, out, v.text, v.n, err) : dm_buffer_append(out, raw, strlen(raw), err);
    return status == DM_OK && dm_buffer_text(out) == NULL
               ? dm_fail(err, DM_ERROR_DATA, NULL, "a row in quarantine is too large")
               : status;
}
