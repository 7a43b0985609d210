/* By the row's raw content when that is JSON by column name (PostgreSQL, SQLite, files), else by its key as text: an object too (SQLite), or one value,
 * plain or quoted as in JSON. */
#include "mirror/quarantine/bad_row_key.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/memory.h"
#include "column/key.h"
#include "column/value_parse.h"

struct search {
    const struct dm_schema *keys;
    dm_key_fn fn;
    void *ctx;
};

/* The text of a JSON value into the column; false: it is none of its values. */
static bool parse_slice(struct dm_column *c, const struct dm_json_slice *v)
{
    struct dm_value_problem problem;
    if (v->kind == DM_JSON_NULL || v->kind == DM_JSON_OBJECT)
        return false;
    if (v->kind != DM_JSON_STRING || !v->escaped)
        return dm_value_parse(c, v->text, v->n, &problem);
    char *plain = dm_xalloc(v->n + 1);
    size_t len = 0;
    bool ok = dm_json_unescape(v, plain, &len) && dm_value_parse(c, plain, len, &problem);
    free(plain);
    return ok;
}

static bool same_name(const struct dm_json_slice *key, const char *name)
{
    if (!key->escaped)
        return key->n == strlen(name) && memcmp(key->text, name, key->n) == 0;
    char *plain = dm_xalloc(key->n + 1);
    size_t len = 0;
    bool same = dm_json_unescape(key, plain, &len) && len == strlen(name) && memcmp(plain, name, len) == 0;
    free(plain);
    return same;
}

/* The value of a member of the object; false: it has none of that name. */
static bool member_of(const char *json, const char *name, struct dm_json_slice *value)
{
    struct dm_json_scan s = dm_json_scan_of(json, strlen(json));
    bool first = true, more = true, found = false;
    if (!dm_json_scan_open(&s, '{'))
        return false;
    struct dm_json_slice key, v;
    while (dm_json_scan_member(&s, &first, &more, &key, &v) && more)
        if (same_name(&key, name)) {
            *value = v;
            found = true;
        }
    return found;
}

/* The one row of `b`. */
static bool hand_over(const struct search *s, struct dm_batch *b)
{
    struct dm_error ignored = {0};
    struct dm_buffer key;
    dm_buffer_init(&key, DM_KEY_MAX_BYTES);
    dm_batch_end_row(b, DM_OP_COPY);
    bool enough = dm_key_encode(b, 0, &key, &ignored) == DM_OK && s->fn(s->ctx, key.data, key.len);
    dm_buffer_release(&key);
    return enough;
}

/* A key of one column as text. */
static bool parse_text(const char *text, bool quoted, struct dm_column *c)
{
    struct dm_json_slice v = {.text = text, .n = strlen(text), .kind = DM_JSON_STRING};
    struct dm_json_scan scan = dm_json_scan_of(text, strlen(text));
    return (!quoted || (dm_json_scan_value(&scan, &v) && v.kind == DM_JSON_STRING)) && parse_slice(c, &v);
}

static bool of_object(const struct search *s, const char *object)
{
    struct dm_batch *b = dm_batch_new(s->keys);
    bool whole = true;
    for (size_t k = 0; k < s->keys->n_fields && whole; k++)
        whole = dm_bad_row_value(object, s->keys->fields[k].name, &b->columns[k]);
    bool enough = whole && hand_over(s, b);
    dm_batch_free(b);
    return enough;
}

static bool of_text(const struct search *s, const char *text)
{
    bool enough = false;
    for (int quoted = 0; quoted < 2 && !enough; quoted++) {
        struct dm_batch *b = dm_batch_new(s->keys);
        enough = parse_text(text, quoted == 1, &b->columns[0]) && hand_over(s, b);
        dm_batch_free(b);
    }
    return enough;
}

bool dm_bad_row_value(const char *json, const char *name, struct dm_column *to)
{
    struct dm_json_slice v;
    return member_of(json, name, &v) && parse_slice(to, &v);
}

bool dm_bad_row_text(const char *text, struct dm_column *to)
{
    return parse_text(text, true, to) || parse_text(text, false, to);
}

bool dm_bad_row_is_object(const char *json)
{
    struct dm_json_scan s = dm_json_scan_of(json, strlen(json));
    struct dm_json_slice key, v;
    bool first = true, more = true;
    return dm_json_scan_open(&s, '{') && dm_json_scan_member(&s, &first, &more, &key, &v) && more;
}

bool dm_bad_row_keys(const struct dm_schema *schema, const char *raw, const char *key, dm_key_fn fn,
                     void *ctx)
{
    if (schema->n_keys == 0)
        return false;
    struct dm_schema *keys = dm_schema_keys(schema);
    struct search s = {keys, fn, ctx};
    bool enough = (raw != NULL && of_object(&s, raw)) || (key != NULL && of_object(&s, key)) ||
                  (key != NULL && keys->n_fields == 1 && of_text(&s, key));
    dm_schema_unref(keys);
    return enough;
}
