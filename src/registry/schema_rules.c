#include "registry/schema_rules.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "registry/period.h"

enum { name_max = 255, fold_table_min = 16 };

/* CONFIG error "file:line: schema: …". Returns DM_FAIL. */
static enum dm_status breach(const struct dm_relational_schema *s, size_t line, struct dm_error *err,
                             const char *hint, const char *fmt, ...) DM_PRINTF(5, 6);
static enum dm_status breach(const struct dm_relational_schema *s, size_t line, struct dm_error *err,
                             const char *hint, const char *fmt, ...)
{
    char message[700], place[128] = "";
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    if (line == 0)
        line = s->line;
    if (s->file != NULL && line != 0)
        (void)snprintf(place, sizeof place, "%.100s:%zu: ", s->file, line);
    else if (s->file != NULL)
        (void)snprintf(place, sizeof place, "%.120s: ", s->file);
    return dm_fail(err, DM_ERROR_CONFIG, hint, "%s%.200s: %s", place, s->name, message);
}

static const char *type_text(struct dm_type type, char out[48])
{
    return dm_type_name(type, out, 48);
}

/* ---- names ---- */

static bool equal_fold(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

static enum dm_status check_schema_name(const struct dm_relational_schema *s, struct dm_error *err)
{
    static const char *const endings[] = {"__history", "__tombstones"};
    const char *table = strchr(s->name, '.') + 1;
    if (table == s->name + 1 || *table == '\0')
        return breach(s, 0, err, "for example sales.orders", "the name lacks the %s",
                      *table == '\0' ? "table's part" : "namespace");
    if (strlen(s->name) > name_max)
        return breach(s, 0, err, NULL, "the name is longer than %d bytes", name_max);
    if (!dm_utf8_valid((const uint8_t *)s->name, strlen(s->name)))
        return breach(s, 0, err, NULL, "the name is not UTF-8");
    for (const char *p = s->name; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == '/' || *p == '\\')
            return breach(s, 0, err, NULL, "a schema's name may not hold slashes or control characters");
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(table), m = strlen(endings[i]);
        if (n >= m && equal_fold(table + n - m, endings[i]))
            return breach(s, 0, err, "choose another name",
                          "names that end in %s are reserved for the datasets that the mirror keeps itself",
                          endings[i]);
    }
    return DM_OK;
}

/* Names of control columns, which are taken for the kind of a change when a file has them. */
static enum dm_status check_reserved(const struct dm_relational_schema *s,
                                     const struct dm_relational_column *c, struct dm_error *err)
{
    static const char *const always[] = {"_change_request_type", "__rowMarker__", "_CHANGE_TYPE"};
    static const char *const in_history[] = {"_op",  "_position",   "_committed_at",
                                             "_xid", "_valid_from", "_valid_to"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (equal_fold(c->name, always[i]))
            return breach(s, c->line, err, "leave it out: it is read at ingestion and never stored",
                          "column \"%.100s\": the name is reserved for the kind of a change", c->name);
    for (size_t i = 0; s->settings.history != DM_HISTORY_NONE && i < sizeof in_history / sizeof *in_history;
         i++)
        if (equal_fold(c->name, in_history[i]))
            return breach(s, c->line, err, "choose another name, or history: false",
                          "column \"%.100s\": the history dataset has a column of that name", c->name);
    return DM_OK;
}

/* A hash set of names without regard to case: wide schemas would make comparing each with each slow. */
struct folded {
    size_t slots;
    size_t *table; /* index + 1 */
};

static size_t fold_hash(const char *name)
{
    size_t h = 1469598103u;
    for (; *name != '\0'; name++)
        h = (h ^ (size_t)(unsigned char)tolower((unsigned char)*name)) * 1099511628211u;
    return h ^ (h >> 29);
}

static struct folded folded_new(size_t n)
{
    struct folded f = {.slots = fold_table_min};
    while (f.slots < 2 * n)
        f.slots *= 2;
    f.table = dm_xzalloc(f.slots, sizeof *f.table);
    return f;
}

typedef const char *(*name_at_fn)(const void *ctx, size_t i);

/* The index of an equal name, or -1; *slot is where it is or would be. */
static long folded_find(const struct folded *f, const char *name, name_at_fn name_at, const void *ctx,
                        size_t *slot)
{
    size_t at = fold_hash(name) & (f->slots - 1);
    for (*slot = at; f->table[at] != 0; *slot = at = (at + 1) & (f->slots - 1))
        if (equal_fold(name_at(ctx, f->table[at] - 1), name))
            return (long)f->table[at] - 1;
    return -1;
}

/* Adds name i; the index of an equal one that is there already, or -1. */
static long folded_add(struct folded *f, size_t i, const char *name, name_at_fn name_at, const void *ctx)
{
    size_t slot;
    long found = folded_find(f, name, name_at, ctx, &slot);
    if (found < 0)
        f->table[slot] = i + 1;
    return found;
}

static const char *column_name_at(const void *ctx, size_t i)
{
    return ((const struct dm_relational_schema *)ctx)->columns[i].name;
}

static enum dm_status check_column_names(const struct dm_relational_schema *s, struct dm_error *err)
{
    struct folded f = folded_new(s->n_columns);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->n_columns && status == DM_OK; i++) {
        const struct dm_relational_column *c = &s->columns[i];
        long other = folded_add(&f, i, c->name, column_name_at, s);
        if (other >= 0)
            status = strcmp(s->columns[other].name, c->name) == 0
                         ? breach(s, c->line, err, "keep one of the two",
                                  "column \"%.100s\" is declared twice", c->name)
                         : breach(s, c->line, err, "SQL does not tell them apart: rename one",
                                  "columns \"%.100s\" and \"%.100s\" differ in case only",
                                  s->columns[other].name, c->name);
        else if (c->name[0] == '\0' || strlen(c->name) > name_max ||
                 !dm_utf8_valid((const uint8_t *)c->name, strlen(c->name)))
            status = breach(s, c->line, err, NULL, "a column's name has 1 to %d bytes of UTF-8", name_max);
        else
            status = check_reserved(s, c, err);
    }
    free(f.table);
    return status;
}

/* ---- values ---- */

static enum dm_status check_values(const struct dm_relational_schema *s, const struct dm_relational_column *c,
                                   struct dm_error *err)
{
    char type[48];
    bool text = c->type.id == DM_STRING;
    if (c->allowed.n > 0 && !text)
        return breach(s, c->line, err, "make it a string, or leave the enum out",
                      "column \"%.100s\": an enum needs a string column, not %s", c->name,
                      type_text(c->type, type));
    for (size_t i = 0; i < c->allowed.n && c->allowed.n < 10000; i++)
        if (dm_names_find(&c->allowed, c->allowed.items[i]) < (int)i)
            return breach(s, c->line, err, "keep one of the two",
                          "column \"%.100s\": the enum names \"%.100s\" twice", c->name, c->allowed.items[i]);
    if ((c->min_length > 0 || c->max_length > 0) && !text)
        return breach(s, c->line, err, "leave the length out",
                      "column \"%.100s\": only a string has a length, not %s", c->name,
                      type_text(c->type, type));
    if (c->max_length > 0 && c->min_length > c->max_length)
        return breach(s, c->line, err, NULL, "column \"%.100s\": min_length %u is more than max_length %u",
                      c->name, c->min_length, c->max_length);
    return DM_OK;
}

/* ---- key, version, timestamp ---- */

static enum dm_status root_column(const struct dm_relational_schema *s, const char *role, const char *name,
                                  const struct dm_relational_column **out, struct dm_error *err)
{
    int at = dm_relational_schema_find(s, name);
    if (at >= 0) {
        *out = &s->columns[at];
        return DM_OK;
    }
    bool nested = strchr(name, '/') != NULL || strchr(name, '.') != NULL;
    return breach(s, 0, err,
                  nested ? "it must be a column of the schema itself (root level), not a field inside one"
                         : "declare it under columns, or correct the name",
                  "the %s is \"%.100s\", which is not a column", role, name);
}

static enum dm_status check_key(const struct dm_relational_schema *s, struct dm_error *err)
{
    char type[48];
    if (s->key.n == 0 && s->draft)
        return DM_OK;
    if (s->key.n == 0)
        return breach(s, 0, err, "name the column or columns that are unique and never null: key: [order_id]",
                      "there is no primary key");
    for (size_t i = 0; i < s->key.n; i++) {
        const struct dm_relational_column *c = NULL;
        if (root_column(s, "primary key", s->key.items[i], &c, err) != DM_OK)
            return DM_FAIL;
        if (dm_names_find(&s->key, c->name) < (int)i)
            return breach(s, c->line, err, "keep one of the two", "the primary key names \"%.100s\" twice",
                          c->name);
        if (!c->required)
            return breach(s, c->line, err, "declare it not null (required)",
                          "column \"%.100s\" is part of the primary key and must be required", c->name);
        if (c->type.id == DM_LIST)
            return breach(s, c->line, err, "use columns of scalar types",
                          "column \"%.100s\" is part of the primary key and cannot be %s", c->name,
                          type_text(c->type, type));
    }
    return DM_OK;
}

static bool is_time(struct dm_type type)
{
    return type.id == DM_TIMESTAMP || type.id == DM_TIMESTAMPTZ || type.id == DM_TIMESTAMP_NS;
}

static bool is_version_type(struct dm_type type)
{
    switch (type.id) {
    case DM_INT32:
    case DM_INT64:
    case DM_DECIMAL:
    case DM_DATE:
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ:
    case DM_TIMESTAMP_NS:
    case DM_STRING: return true;
    default: return false;
    }
}

static enum dm_status check_version(const struct dm_relational_schema *s, struct dm_error *err)
{
    char type[48];
    const struct dm_relational_column *c = NULL;
    if (s->version == NULL && s->draft)
        return DM_OK;
    if (s->version == NULL)
        return breach(
            s, 0, err,
            "name the column that grows with every change of a row: version: updated_at (for DDL: --version "
            "updated_at, or COMMENT 'datamirror:version' at the column)",
            "there is no version column");
    if (root_column(s, "version", s->version, &c, err) != DM_OK)
        return DM_FAIL;
    if (dm_names_find(&s->key, s->version) >= 0)
        return breach(s, c->line, err, "choose a column that changes when the row changes",
                      "column \"%.100s\" cannot be both part of the primary key and the version", c->name);
    if (!c->required)
        return breach(s, c->line, err, "declare it not null (required)",
                      "column \"%.100s\" is the version and must be required", c->name);
    if (!is_version_type(c->type))
        return breach(s, c->line, err,
                      "a version is a date-time or an integer; date, decimal and string work, too",
                      "column \"%.100s\" is the version and cannot be %s", c->name, type_text(c->type, type));
    return DM_OK;
}

static enum dm_status check_timestamp(const struct dm_relational_schema *s, struct dm_error *err)
{
    char type[48];
    const struct dm_relational_column *c = NULL;
    bool series = s->behavior == DM_BEHAVIOR_TIME_SERIES;
    if (!series && s->timestamp == NULL)
        return DM_OK;
    if (!series)
        return breach(s, 0, err, "declare behavior: time-series, or leave the timestamp out",
                      "only a time-series schema has a timestamp, and this one is a record schema");
    if (s->timestamp == NULL && s->draft)
        return DM_OK;
    if (s->timestamp == NULL)
        return breach(s, 0, err, "name the column that says when the event happened: timestamp: event_time",
                      "a time-series schema needs a timestamp");
    if (root_column(s, "timestamp", s->timestamp, &c, err) != DM_OK)
        return DM_FAIL;
    if (!is_time(c->type))
        return breach(s, c->line, err, "make it timestamptz or timestamp",
                      "column \"%.100s\" is the timestamp and must be a date-time, not %s", c->name,
                      type_text(c->type, type));
    if (!c->required)
        return breach(s, c->line, err, "declare it not null (required)",
                      "column \"%.100s\" is the timestamp and must be required", c->name);
    if (s->version != NULL && strcmp(s->version, s->timestamp) == 0)
        return breach(s, c->line, err,
                      "the timestamp is part of the key; choose another column as the version",
                      "column \"%.100s\" cannot be both the timestamp and the version", c->name);
    if (s->key.n == 0 && s->draft)
        return DM_OK;
    if (dm_names_find(&s->key, s->timestamp) < 0)
        return breach(s, c->line, err, "add it to the key",
                      "the primary key of a time-series schema must include its timestamp \"%.100s\"",
                      c->name);
    if (s->key.n < 2)
        return breach(s, c->line, err, "add the column that says whose event it is",
                      "the primary key of a time-series schema is composite: more than the timestamp");
    return DM_OK;
}

/* ---- settings ---- */

static enum dm_status check_settings(const struct dm_relational_schema *s, struct dm_error *err)
{
    struct dm_period period;
    const struct dm_dataset_settings *set = &s->settings;
    if (set->expire != NULL && !dm_period_parse(set->expire, &period))
        return breach(s, 0, err, "for example P3M (three months), P90D, P1Y, PT12H",
                      "expire is \"%.60s\", which is not an ISO-8601 period", set->expire);
    bool later = s->draft && !dm_relational_schema_is_complete(s);
    if (set->expire != NULL && s->timestamp == NULL && !later) {
        int at = s->version != NULL ? dm_relational_schema_find(s, s->version) : -1;
        bool timed = at >= 0 && (is_time(s->columns[at].type) || s->columns[at].type.id == DM_DATE);
        if (!timed)
            return breach(s, 0, err, "declare a timestamp, or a version that is a time",
                          "expire needs a time to go by, and the version \"%.100s\" is none",
                          s->version != NULL ? s->version : "");
    }
    if (set->max_quarantined_share < 0 || set->max_quarantined_share >= 1)
        return breach(s, 0, err, NULL, "max_quarantined as a share is more than 0 and less than 100%%");
    if (set->tombstone_retention_ms < -1)
        return breach(s, 0, err, NULL, "tombstone_retention cannot be negative");
    return DM_OK;
}

static enum dm_status check_relationship_columns(const struct dm_relational_schema *s,
                                                 const struct dm_relationship *r, struct dm_error *err)
{
    if (r->columns.n == 0)
        return breach(s, r->line, err, NULL, "relationship \"%.100s\" has no columns",
                      r->name ? r->name : r->target);
    for (size_t i = 0; i < r->columns.n; i++)
        if (dm_relational_schema_find(s, r->columns.items[i]) < 0)
            return breach(s, r->line, err, "it must be a column of the schema itself (root level)",
                          "relationship \"%.100s\": there is no column \"%.100s\"",
                          r->name ? r->name : r->target, r->columns.items[i]);
    for (size_t i = 0; i < s->n_relationships && r->name != NULL; i++)
        if (&s->relationships[i] < r && s->relationships[i].name != NULL &&
            strcmp(s->relationships[i].name, r->name) == 0)
            return breach(s, r->line, err, "give one of them another name",
                          "two relationships are named \"%.100s\"", r->name);
    return DM_OK;
}

static enum dm_status check_renames(const struct dm_relational_schema *s, struct dm_error *err)
{
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct dm_relational_column *c = &s->columns[i];
        if (c->renamed_from == NULL)
            continue;
        /* Also where that one is renamed itself: applied twice, such a schema would mean another thing the second time. */
        if (dm_relational_schema_find(s, c->renamed_from) >= 0)
            return breach(s, c->line, err,
                          "remove one of the two; columns that change names with each other take two steps",
                          "column \"%.100s\" is renamed from \"%.100s\", which is still declared", c->name,
                          c->renamed_from);
        for (size_t k = 0; k < i; k++)
            if (s->columns[k].renamed_from != NULL &&
                strcmp(s->columns[k].renamed_from, c->renamed_from) == 0)
                return breach(s, c->line, err, NULL,
                              "columns \"%.100s\" and \"%.100s\" are both renamed from \"%.100s\"",
                              s->columns[k].name, c->name, c->renamed_from);
    }
    return DM_OK;
}

enum dm_status dm_schema_check(const struct dm_relational_schema *s, struct dm_error *err)
{
    if (check_schema_name(s, err) != DM_OK)
        return DM_FAIL;
    bool declared = dm_relational_schema_is_declared(s);
    if (declared && s->n_columns == 0)
        return breach(s, 0, err, "for example columns: {order_id: int64 not null}", "there are no columns");
    for (size_t i = 0; i < s->n_relationships; i++)
        if (check_relationship_columns(s, &s->relationships[i], err) != DM_OK)
            return DM_FAIL;
    if (!declared) /* columns and key are the source's, its position is the version */
        return DM_OK;
    if (check_column_names(s, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < s->n_columns; i++)
        if (check_values(s, &s->columns[i], err) != DM_OK)
            return DM_FAIL;
    if (check_key(s, err) != DM_OK || check_version(s, err) != DM_OK || check_timestamp(s, err) != DM_OK ||
        check_renames(s, err) != DM_OK)
        return DM_FAIL;
    return check_settings(s, err);
}

/* ---- between schemas ---- */

bool dm_types_comparable(struct dm_type a, struct dm_type b)
{
    enum {
        OTHER,
        NUMBER,
        MOMENT
    } of[] = {[DM_LIST] = OTHER,       [DM_INT32] = NUMBER,   [DM_INT64] = NUMBER,
              [DM_FLOAT32] = NUMBER,   [DM_FLOAT64] = NUMBER, [DM_DECIMAL] = NUMBER,
              [DM_TIMESTAMP] = MOMENT, [DM_DATE] = MOMENT,    [DM_TIMESTAMP_NS] = MOMENT};
    if (a.id == DM_LIST || b.id == DM_LIST)
        return false;
    return a.id == b.id || (of[a.id] != OTHER && of[a.id] == of[b.id]);
}

static const struct dm_relational_schema *find_in(const struct dm_relational_schemas *wanted,
                                                  const struct dm_relational_schemas *known, const char *name)
{
    const struct dm_relational_schema *s = dm_relational_schemas_find(wanted, name);
    return s != NULL || known == NULL ? s : dm_relational_schemas_find(known, name);
}

static enum dm_status check_target(const struct dm_relational_schema *s, const struct dm_relationship *r,
                                   const struct dm_relational_schema *target, struct dm_error *err)
{
    char here[48], there[48];
    if (r->target_columns.n == 0)
        return breach(s, r->line, err, "give that schema its primary key first, or name the columns there",
                      "relationship \"%.100s\": %.100s has no primary key that it could point to", r->name,
                      target->name);
    if (r->columns.n != r->target_columns.n)
        return breach(s, r->line, err, "name as many columns on both sides",
                      "relationship \"%.100s\": %zu columns here, but %zu in %.100s", r->name, r->columns.n,
                      r->target_columns.n, target->name);
    for (size_t i = 0; i < r->columns.n; i++) {
        int at = dm_relational_schema_find(target, r->target_columns.items[i]);
        if (at < 0)
            return breach(s, r->line, err, "name the target's key, or columns that are unique there",
                          "relationship \"%.100s\": %.100s has no column \"%.100s\"", r->name, target->name,
                          r->target_columns.items[i]);
        struct dm_type mine = s->columns[dm_relational_schema_find(s, r->columns.items[i])].type;
        if (!dm_types_comparable(mine, target->columns[at].type))
            return breach(s, r->line, err, "both sides need comparable types",
                          "relationship \"%.100s\": \"%.100s\" is %s, but %.100s.\"%.100s\" is %s", r->name,
                          r->columns.items[i], type_text(mine, here), target->name,
                          r->target_columns.items[i], type_text(target->columns[at].type, there));
    }
    return DM_OK;
}

/* Keys of the two types have the same bytes, so that a child finds its parent in the key index. */
static bool same_key_bytes(struct dm_type a, struct dm_type b)
{
    bool integers = (a.id == DM_INT32 || a.id == DM_INT64) && (b.id == DM_INT32 || b.id == DM_INT64);
    bool floats = (a.id == DM_FLOAT32 || a.id == DM_FLOAT64) && (b.id == DM_FLOAT32 || b.id == DM_FLOAT64);
    bool decimals = a.id == DM_DECIMAL && b.id == DM_DECIMAL && a.scale == b.scale;
    return integers || floats || decimals || dm_type_equal(a, b);
}

/* on_orphan: quarantine */
static enum dm_status check_enforced(const struct dm_relational_schema *s, const struct dm_relationship *r,
                                     const struct dm_relational_schema *target, struct dm_error *err)
{
    char here[48], there[48];
    if (!dm_relational_schema_is_complete(target))
        return breach(s, r->line, err, "give that schema its missing descriptors first",
                      "relationship \"%.100s\": on_orphan needs a dataset, and %.100s has none yet", r->name,
                      target->name);
    bool whole = r->target_columns.n == target->key.n;
    for (size_t i = 0; i < target->key.n && whole; i++)
        whole = dm_names_find(&r->target_columns, target->key.items[i]) >= 0;
    if (!whole)
        return breach(s, r->line, err,
                      "let it point to the primary key, or leave on_orphan out; `check` counts orphans",
                      "relationship \"%.100s\": on_orphan needs the whole primary key of %.100s", r->name,
                      target->name);
    for (size_t i = 0; i < r->columns.n; i++) {
        struct dm_type mine = s->columns[dm_relational_schema_find(s, r->columns.items[i])].type;
        struct dm_type other =
            target->columns[dm_relational_schema_find(target, r->target_columns.items[i])].type;
        if (!same_key_bytes(mine, other))
            return breach(s, r->line, err, "give both sides the same type",
                          "relationship \"%.100s\": with on_orphan, \"%.100s\" cannot be %s while "
                          "%.100s.\"%.100s\" is %s",
                          r->name, r->columns.items[i], type_text(mine, here), target->name,
                          r->target_columns.items[i], type_text(other, there));
    }
    return DM_OK;
}

static enum dm_status check_targets(const struct dm_relational_schema *s,
                                    const struct dm_relational_schemas *wanted,
                                    const struct dm_relational_schemas *known, struct dm_error *err)
{
    for (size_t i = 0; i < s->n_relationships; i++) {
        const struct dm_relationship *r = &s->relationships[i];
        const struct dm_relational_schema *target = find_in(wanted, known, r->target);
        if (target == NULL && r->discovered) /* it was mirrored once */
            continue;
        if (target == NULL)
            return breach(s, r->line, err,
                          "declare it in the same file, or apply it first; `datamirror schema list`",
                          "relationship \"%.100s\" points to %.100s, and there is no such schema",
                          r->name ? r->name : "", r->target);
        if (!r->discovered && check_target(s, r, target, err) != DM_OK)
            return DM_FAIL;
        if (r->enforced && check_enforced(s, r, target, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

static const char *schema_name_at(const void *ctx, size_t i)
{
    return ((const struct dm_relational_schemas *)ctx)->items[i]->name;
}

static enum dm_status check_schema_names(const struct dm_relational_schemas *wanted,
                                         const struct dm_relational_schemas *known, struct dm_error *err)
{
    struct folded f = folded_new(wanted->n);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < wanted->n && status == DM_OK; i++) {
        const struct dm_relational_schema *s = wanted->items[i];
        long other = folded_add(&f, i, s->name, schema_name_at, wanted);
        if (other >= 0)
            status =
                breach(s, 0, err, "keep one of the two",
                       strcmp(wanted->items[other]->name, s->name) == 0
                           ? "there are two schemas of this name"
                           : "there is a schema of this name in another case, which SQL does not tell apart");
    }
    for (size_t k = 0; known != NULL && k < known->n && status == DM_OK; k++) {
        size_t slot;
        long i = folded_find(&f, known->items[k]->name, schema_name_at, wanted, &slot);
        if (i >= 0 && strcmp(wanted->items[i]->name, known->items[k]->name) != 0)
            status = breach(wanted->items[i], 0, err, "SQL does not tell them apart: choose another name",
                            "there is a schema %.100s already, in another case", known->items[k]->name);
    }
    free(f.table);
    return status;
}

/* Those that point to a schema which changes must still find what they point to. */
static enum dm_status check_pointing(const struct dm_relational_schemas *wanted,
                                     const struct dm_relational_schemas *known, struct dm_error *err)
{
    for (size_t k = 0; known != NULL && k < known->n; k++) {
        const struct dm_relational_schema *s = known->items[k];
        if (dm_relational_schemas_find(wanted, s->name) != NULL)
            continue;
        for (size_t i = 0; i < s->n_relationships; i++) {
            const struct dm_relationship *r = &s->relationships[i];
            const struct dm_relational_schema *target = dm_relational_schemas_find(wanted, r->target);
            if (target == NULL || r->discovered)
                continue;
            if (check_target(s, r, target, err) != DM_OK) {
                dm_error_hint(err, "%s points to %s: change its relationship first, or in the same file",
                              s->name, target->name);
                return DM_FAIL;
            }
        }
    }
    return DM_OK;
}

enum dm_status dm_schemas_check(const struct dm_relational_schemas *wanted,
                                const struct dm_relational_schemas *known, struct dm_error *err)
{
    for (size_t i = 0; i < wanted->n; i++)
        if (dm_schema_check(wanted->items[i], err) != DM_OK)
            return DM_FAIL;
    if (check_schema_names(wanted, known, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < wanted->n; i++)
        if (check_targets(wanted->items[i], wanted, known, err) != DM_OK)
            return DM_FAIL;
    return check_pointing(wanted, known, err);
}
