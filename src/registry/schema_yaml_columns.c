/* Columns in YAML: "total: decimal(12,2) not null", or a map with type, enum and so on. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "registry/schema_file.h"
#include "registry/schema_yaml.h"
#include "registry/type_words.h"

/* A column in the making; `s` because key and version may be said with the column. */
struct column {
    struct dm_relational_schema *s;
    size_t index;
    bool has_type;
};

static struct dm_relational_column *made(const struct column *c)
{
    return &c->s->columns[c->index];
}

/* ---- the words behind the type ---- */

/* Cuts `word` (and the space before it) off the end of text; the text must hold more than it. */
static bool cut_word(char *text, const char *word)
{
    size_t n = strlen(text), m = strlen(word);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    if (n <= m || strncasecmp(text + n - m, word, m) != 0 ||
        (!isspace((unsigned char)text[n - m - 1]) && text[n - m - 1] != ')' && text[n - m - 1] != '>' &&
         text[n - m - 1] != ']'))
        return false;
    n -= m;
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    text[n] = '\0';
    return true;
}

static enum dm_status set_key(struct dm_yaml *y, const yaml_node_t *at, struct column *c,
                              struct dm_error *err)
{
    (void)y;
    (void)at;
    (void)err;
    made(c)->required = true;
    dm_names_add(&c->s->key, made(c)->name);
    return DM_OK;
}

static enum dm_status set_version(struct dm_yaml *y, const yaml_node_t *at, struct column *c,
                                  struct dm_error *err)
{
    if (c->s->version != NULL)
        return dm_yaml_fail(y, at, err, "a dataset has one version column",
                            "both \"%.100s\" and \"%.100s\" are declared as the version", c->s->version,
                            made(c)->name);
    made(c)->required = true;
    c->s->version = dm_xstrdup(made(c)->name);
    return DM_OK;
}

static enum dm_status read_words(struct dm_yaml *y, const yaml_node_t *at, char *text, struct column *c,
                                 struct dm_error *err)
{
    for (bool more = true; more;) {
        more = true;
        if (cut_word(text, "not null") || cut_word(text, "required"))
            made(c)->required = true;
        else if (cut_word(text, "primary key") || cut_word(text, "key")) {
            if (set_key(y, at, c, err) != DM_OK)
                return DM_FAIL;
        } else if (cut_word(text, "version")) {
            if (set_version(y, at, c, err) != DM_OK)
                return DM_FAIL;
        } else
            more = cut_word(text, "null") || cut_word(text, "optional");
    }
    return DM_OK;
}

static enum dm_status bad_type(struct dm_yaml *y, const yaml_node_t *at, const char *name, const char *text,
                               const struct dm_type_reading *r, struct dm_error *err)
{
    if (r->note[0] != '\0')
        return dm_yaml_fail(y, at, err, r->note, "column \"%.100s\": \"%.100s\" is not a type", name, text);
    (void)dm_yaml_fail(
        y, at, err,
        "types: boolean, int32, int64, float32, float64, decimal(p,s), date, time, timestamp, timestamptz, "
        "timestamp_ns, string, binary, uuid, list<…>, and the SQL words for them; behind it: not null, key, "
        "version",
        "column \"%.100s\": there is no type \"%.100s\"", name, text);
    const char *near = dm_type_words_near(text);
    if (near != NULL)
        dm_error_hint(err, "did you mean \"%s\"?", near);
    return DM_FAIL;
}

/* "decimal(12,2) not null" */
static enum dm_status read_type_text(struct dm_yaml *y, const yaml_node_t *at, const char *given,
                                     struct column *c, struct dm_error *err)
{
    char *text = dm_xstrdup(given);
    struct dm_type_reading r = {0};
    enum dm_status status = read_words(y, at, text, c, err);
    if (status == DM_OK && !dm_type_words_read(text, &r))
        status = bad_type(y, at, made(c)->name, text, &r, err);
    if (status == DM_OK) {
        made(c)->type = r.type;
        made(c)->max_length = r.max_length;
        c->has_type = true;
    }
    free(text);
    return status;
}

/* ---- a column as a map ---- */

static enum dm_status read_type(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    const char *text;
    if (dm_yaml_text(y, v, "type", &text, err) != DM_OK)
        return DM_FAIL;
    return read_type_text(y, v, text, target, err);
}

static enum dm_status read_enum(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    return dm_yaml_names(y, v, "enum", &made(target)->allowed, err);
}

static enum dm_status read_required(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                    struct dm_error *err)
{
    return dm_yaml_bool(y, v, "required", &made(target)->required, err);
}

static enum dm_status read_is_key(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    bool yes;
    if (dm_yaml_bool(y, v, "key", &yes, err) != DM_OK)
        return DM_FAIL;
    return yes ? set_key(y, v, target, err) : DM_OK;
}

static enum dm_status read_is_version(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                      struct dm_error *err)
{
    bool yes;
    if (dm_yaml_bool(y, v, "version", &yes, err) != DM_OK)
        return DM_FAIL;
    return yes ? set_version(y, v, target, err) : DM_OK;
}

static enum dm_status read_title(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "title", &made(target)->title, err);
}

static enum dm_status read_description(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                       struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "description", &made(target)->description, err);
}

static enum dm_status read_format(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "format", &made(target)->format, err);
}

static enum dm_status read_renamed(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                   struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "renamed_from", &made(target)->renamed_from, err);
}

static enum dm_status read_min(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    int64_t n;
    if (dm_yaml_count(y, v, "min_length", UINT32_MAX, &n, err) != DM_OK)
        return DM_FAIL;
    made(target)->min_length = (uint32_t)n;
    return DM_OK;
}

static enum dm_status read_max(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    int64_t n;
    if (dm_yaml_count(y, v, "max_length", UINT32_MAX, &n, err) != DM_OK)
        return DM_FAIL;
    made(target)->max_length = (uint32_t)n;
    return DM_OK;
}

static enum dm_status read_name(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    (void)target; /* taken before, when the column was added */
    const char *ignored;
    return dm_yaml_text(y, v, "name", &ignored, err);
}

static const struct dm_yaml_option column_options[] = {
    {"type", read_type},
    {"required", read_required},
    {"not_null", read_required},
    {"key", read_is_key},
    {"version", read_is_version},
    {"enum", read_enum},
    {"min_length", read_min},
    {"max_length", read_max},
    {"title", read_title},
    {"description", read_description},
    {"format", read_format},
    {"renamed_from", read_renamed},
    {"name", read_name}, /* of the list form */
    {NULL, NULL},
};

/* ---- the columns ---- */

static enum dm_status add_column(struct dm_yaml *y, const yaml_node_t *at, const char *name,
                                 struct dm_relational_schema *s, struct column *out, struct dm_error *err)
{
    if (name[0] == '\0')
        return dm_yaml_fail(y, at, err, NULL, "a column has no name");
    if (s->n_columns >= DM_SCHEMA_COLUMNS_MAX)
        return dm_yaml_fail(y, at, err, NULL, "more than %d columns", DM_SCHEMA_COLUMNS_MAX);
    dm_relational_schema_add(s, name, dm_type_of(DM_STRING))->line = dm_yaml_line(at);
    *out = (struct column){.s = s, .index = s->n_columns - 1};
    return DM_OK;
}

static enum dm_status read_column(struct dm_yaml *y, const yaml_node_t *at, const yaml_node_t *value,
                                  struct column *c, struct dm_error *err)
{
    if (value->type == YAML_SCALAR_NODE && !dm_yaml_is_null(value))
        return read_type(y, value, c, err);
    if (value->type != YAML_MAPPING_NODE)
        return dm_yaml_fail(y, at, err, "for example: status: string", "column \"%.100s\" has no type",
                            made(c)->name);
    if (dm_yaml_map(y, value, "a column", column_options, c, err) != DM_OK)
        return DM_FAIL;
    if (!c->has_type)
        return dm_yaml_fail(y, at, err, "for example: {type: string, enum: [A, B]}",
                            "column \"%.100s\" has no type", made(c)->name);
    return DM_OK;
}

static bool parenthesis_open(const char *text)
{
    int depth = 0;
    for (; *text != '\0'; text++)
        depth += (*text == '(') - (*text == ')');
    return depth > 0;
}

/* In {a: decimal(12,2), b: date} YAML ends the value at the comma and takes "2)" for a key without value. What was meant is
 * plain, so the parts are joined again. */
static enum dm_status join_parts(struct dm_yaml *y, const yaml_node_pair_t **pair,
                                 const yaml_node_pair_t *top, char **text, struct dm_error *err)
{
    while (parenthesis_open(*text) && *pair + 1 < top) {
        const yaml_node_t *key = dm_yaml_node(y, (*pair)[1].key), *value = dm_yaml_node(y, (*pair)[1].value);
        const char *more;
        if (!dm_yaml_is_null(value) || key->type != YAML_SCALAR_NODE)
            break;
        if (dm_yaml_text(y, key, "a type", &more, err) != DM_OK)
            return DM_FAIL;
        char *joined = dm_xasprintf("%s,%s", *text, more);
        free(*text);
        *text = joined;
        (*pair)++;
    }
    return DM_OK;
}

static enum dm_status read_map(struct dm_yaml *y, const yaml_node_t *node, struct dm_relational_schema *s,
                               struct dm_error *err)
{
    const yaml_node_pair_t *top = node->data.mapping.pairs.top;
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < top; p++) {
        const yaml_node_t *key = dm_yaml_node(y, p->key), *value = dm_yaml_node(y, p->value);
        const char *name;
        struct column c;
        if (dm_yaml_text(y, key, "a column's name", &name, err) != DM_OK ||
            add_column(y, key, name, s, &c, err) != DM_OK)
            return DM_FAIL;
        bool plain = value->type == YAML_SCALAR_NODE && !dm_yaml_is_null(value);
        if (!plain || !parenthesis_open((const char *)value->data.scalar.value)) {
            if (read_column(y, key, value, &c, err) != DM_OK)
                return DM_FAIL;
            continue;
        }
        char *text = dm_xstrdup((const char *)value->data.scalar.value);
        enum dm_status status = join_parts(y, &p, top, &text, err);
        if (status == DM_OK)
            status = read_type_text(y, value, text, &c, err);
        free(text);
        if (status != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* - {name: order_id, type: int64} or - order_id: int64 */
static enum dm_status read_item(struct dm_yaml *y, const yaml_node_t *item, struct dm_relational_schema *s,
                                struct dm_error *err)
{
    if (item->type != YAML_MAPPING_NODE)
        return dm_yaml_fail(y, item, err, "for example: - {name: order_id, type: int64}",
                            "a column wants a map, not %s", dm_yaml_kind(item));
    for (const yaml_node_pair_t *p = item->data.mapping.pairs.start; p < item->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = dm_yaml_node(y, p->key);
        const char *name;
        struct column c;
        if (key->type != YAML_SCALAR_NODE || strcmp((const char *)key->data.scalar.value, "name") != 0)
            continue;
        if (dm_yaml_text(y, dm_yaml_node(y, p->value), "name", &name, err) != DM_OK ||
            add_column(y, item, name, s, &c, err) != DM_OK)
            return DM_FAIL;
        return read_column(y, item, item, &c, err);
    }
    if (item->data.mapping.pairs.top - item->data.mapping.pairs.start == 1)
        return read_map(y, item, s, err);
    return dm_yaml_fail(y, item, err, "for example: - {name: order_id, type: int64}", "a column has no name");
}

enum dm_status dm_yaml_columns(struct dm_yaml *y, const yaml_node_t *node, struct dm_relational_schema *s,
                               struct dm_error *err)
{
    if (s->n_columns > 0)
        return dm_yaml_fail(y, node, err, "keep one of the two", "columns is given twice");
    if (node->type == YAML_MAPPING_NODE)
        return read_map(y, node, s, err);
    if (node->type != YAML_SEQUENCE_NODE)
        return dm_yaml_fail(y, node, err, "for example: columns: {order_id: int64 not null, status: string}",
                            "columns wants a map or a list, not %s", dm_yaml_kind(node));
    for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++)
        if (read_item(y, dm_yaml_node(y, *i), s, err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}
