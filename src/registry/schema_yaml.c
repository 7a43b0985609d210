/* Schemas in YAML: the file, a schema's options, its relationships. */
#include "registry/schema_yaml.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/config_value.h"
#include "registry/schema_file.h"

/* ---- relationships ---- */

static enum dm_status read_rel_name(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                    struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "name", &((struct dm_relationship *)target)->name, err);
}

static enum dm_status read_rel_columns(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                       struct dm_error *err)
{
    return dm_yaml_names(y, v, "columns", &((struct dm_relationship *)target)->columns, err);
}

static enum dm_status read_rel_to_columns(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                          struct dm_error *err)
{
    return dm_yaml_names(y, v, "to_columns", &((struct dm_relationship *)target)->target_columns, err);
}

/* "sales.customers" or "sales.customers(customer_id, region)" */
static enum dm_status read_rel_to(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    struct dm_relationship *r = target;
    if (dm_yaml_take_text(y, v, "to", &r->target, err) != DM_OK)
        return DM_FAIL;
    size_t n = strlen(r->target);
    char *open = strchr(r->target, '(');
    if (open == NULL || n == 0 || r->target[n - 1] != ')')
        return DM_OK;
    r->target[n - 1] = '\0';
    *open = '\0';
    char *rest = open + 1, *word;
    while ((word = strsep(&rest, ",")) != NULL) {
        while (*word == ' ')
            word++;
        size_t m = strlen(word);
        while (m > 0 && word[m - 1] == ' ')
            word[--m] = '\0';
        if (m == 0)
            return dm_yaml_fail(y, v, err, "for example: to: sales.customers(customer_id)",
                                "to names no column in ( )");
        dm_names_add(&r->target_columns, word);
    }
    while (open > r->target && open[-1] == ' ')
        *--open = '\0';
    return DM_OK;
}

static enum dm_status read_rel_cardinality(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                           struct dm_error *err)
{
    const char *text;
    if (dm_yaml_text(y, v, "cardinality", &text, err) != DM_OK)
        return DM_FAIL;
    if (dm_cardinality_find(text, &((struct dm_relationship *)target)->cardinality))
        return DM_OK;
    bool many = strcmp(text, "M:M") == 0 || strcmp(text, "M:N") == 0 || strcmp(text, "N:M") == 0;
    return dm_yaml_fail(
        y, v, err,
        many ? "make a junction schema whose key is the two keys, with an M:1 relationship to each side"
             : "a relationship begins at the many side, so 1:M is M:1 in the other schema",
        "cardinality cannot be \"%.60s\"; allowed are: 1:1, 1:0, M:1, M:0", text);
}

static enum dm_status read_rel_orphan(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                      struct dm_error *err)
{
    const char *text;
    if (dm_yaml_text(y, v, "on_orphan", &text, err) != DM_OK)
        return DM_FAIL;
    ((struct dm_relationship *)target)->enforced = strcmp(text, "quarantine") == 0;
    if (strcmp(text, "quarantine") == 0 || strcmp(text, "ignore") == 0)
        return DM_OK;
    return dm_yaml_fail(y, v, err, NULL, "on_orphan cannot be \"%.60s\"; allowed are: ignore, quarantine",
                        text);
}

static enum dm_status read_rel_forward(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                       struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "forward_name", &((struct dm_relationship *)target)->forward_name, err);
}

static enum dm_status read_rel_backward(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                        struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "backward_name", &((struct dm_relationship *)target)->backward_name, err);
}

static const struct dm_yaml_option relationship_options[] = {
    {"name", read_rel_name},
    {"columns", read_rel_columns},
    {"to", read_rel_to},
    {"to_columns", read_rel_to_columns},
    {"cardinality", read_rel_cardinality},
    {"on_orphan", read_rel_orphan},
    {"forward_name", read_rel_forward},
    {"backward_name", read_rel_backward},
    {NULL, NULL},
};

static enum dm_status read_relationship(struct dm_yaml *y, const yaml_node_t *node,
                                        struct dm_relational_schema *s, struct dm_error *err)
{
    struct dm_relationship made = {.cardinality = DM_MANY_TO_ONE, .line = dm_yaml_line(node)};
    enum dm_status status = dm_yaml_map(y, node, "a relationship", relationship_options, &made, err);
    if (status == DM_OK && (made.columns.n == 0 || made.target == NULL))
        status = dm_yaml_fail(y, node, err, "for example: {columns: customer_id, to: sales.customers}",
                              "a relationship needs \"%s\"", made.columns.n == 0 ? "columns" : "to");
    if (status == DM_OK)
        dm_relationship_assign(dm_relational_schema_relate(s, made.target), &made);
    dm_relationship_release(&made);
    return status;
}

enum dm_status dm_yaml_relationships(struct dm_yaml *y, const yaml_node_t *node,
                                     struct dm_relational_schema *s, struct dm_error *err)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return dm_yaml_fail(y, node, err, "write each with a dash in front",
                            "relationships wants a list of maps, not %s", dm_yaml_kind(node));
    for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++)
        if (read_relationship(y, dm_yaml_node(y, *i), s, err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

/* ---- a schema ---- */

static enum dm_status read_name(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    struct dm_relational_schema *s = target;
    const char *text;
    if (dm_yaml_text(y, v, "name", &text, err) != DM_OK)
        return DM_FAIL;
    free(s->name);
    s->name = dm_relational_schema_name(text);
    return DM_OK;
}

static enum dm_status read_title(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "title", &((struct dm_relational_schema *)target)->title, err);
}

static enum dm_status read_description(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                       struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "description", &((struct dm_relational_schema *)target)->description, err);
}

static enum dm_status read_behavior(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                    struct dm_error *err)
{
    const char *text;
    if (dm_yaml_text(y, v, "behavior", &text, err) != DM_OK)
        return DM_FAIL;
    bool series = strcmp(text, "time-series") == 0;
    ((struct dm_relational_schema *)target)->behavior = series ? DM_BEHAVIOR_TIME_SERIES : DM_BEHAVIOR_RECORD;
    if (series || strcmp(text, "record") == 0)
        return DM_OK;
    return dm_yaml_fail(y, v, err, "record: the state of things; time-series: events",
                        "behavior cannot be \"%.60s\"; allowed are: record, time-series", text);
}

static enum dm_status read_columns(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                   struct dm_error *err)
{
    return dm_yaml_columns(y, v, target, err);
}

static enum dm_status read_relationships(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                         struct dm_error *err)
{
    return dm_yaml_relationships(y, v, target, err);
}

static enum dm_status read_key(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    return dm_yaml_names(y, v, "key", &((struct dm_relational_schema *)target)->key, err);
}

static enum dm_status read_version(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                   struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "version", &((struct dm_relational_schema *)target)->version, err);
}

static enum dm_status read_timestamp(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                     struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "timestamp", &((struct dm_relational_schema *)target)->timestamp, err);
}

static enum dm_status read_history(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                   struct dm_error *err)
{
    static const struct {
        const char *word;
        enum dm_history_mode mode;
    } modes[] = {{"false", DM_HISTORY_NONE},
                 {"true", DM_HISTORY_CHANGES},
                 {"changes", DM_HISTORY_CHANGES},
                 {"scd2", DM_HISTORY_SCD2}};
    const char *text;
    if (dm_yaml_text(y, v, "history", &text, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].word, text) == 0) {
            ((struct dm_relational_schema *)target)->settings.history = modes[i].mode;
            return DM_OK;
        }
    return dm_yaml_fail(y, v, err, "true: one row per change; scd2: rows with valid-from and valid-to",
                        "history cannot be \"%.60s\"; allowed are: false, true, scd2", text);
}

static enum dm_status read_ignore_nulls(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                        struct dm_error *err)
{
    return dm_yaml_bool(y, v, "ignore_null_updates",
                        &((struct dm_relational_schema *)target)->settings.ignore_null_updates, err);
}

static enum dm_status read_unavailable(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                       struct dm_error *err)
{
    struct dm_dataset_settings *settings = &((struct dm_relational_schema *)target)->settings;
    const char *text;
    if (dm_yaml_text(y, v, "unavailable_value", &text, err) != DM_OK)
        return DM_FAIL;
    if (text[0] == '\0')
        return dm_yaml_fail(y, v, err, "leave it out, or name the text", "unavailable_value is empty");
    free(settings->unavailable_value);
    settings->unavailable_value = dm_xstrdup(text);
    return DM_OK;
}

static enum dm_status read_retention(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                     struct dm_error *err)
{
    struct dm_dataset_settings *settings = &((struct dm_relational_schema *)target)->settings;
    const char *text;
    if (dm_yaml_text(y, v, "tombstone_retention", &text, err) != DM_OK)
        return DM_FAIL;
    if (strcmp(text, "forever") == 0) {
        settings->tombstone_retention_ms = -1;
        return DM_OK;
    }
    if (dm_value_duration(text, &settings->tombstone_retention_ms) && settings->tombstone_retention_ms > 0)
        return DM_OK;
    return dm_yaml_fail(y, v, err, "units are ms, s, m, h and d",
                        "tombstone_retention cannot be \"%.60s\"; it is a duration such as 7d, or forever",
                        text);
}

static enum dm_status read_expire(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    return dm_yaml_take_text(y, v, "expire", &((struct dm_relational_schema *)target)->settings.expire, err);
}

static enum dm_status read_max_quarantined(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                           struct dm_error *err)
{
    struct dm_dataset_settings *settings = &((struct dm_relational_schema *)target)->settings;
    const char *text;
    int64_t rows;
    char *end;
    if (dm_yaml_text(y, v, "max_quarantined", &text, err) != DM_OK)
        return DM_FAIL;
    if (dm_value_int(text, &rows) && rows > 0) {
        settings->max_quarantined = (uint64_t)rows;
        return DM_OK;
    }
    double share = text[0] >= '0' && text[0] <= '9' ? strtod(text, &end) : 0;
    if (share > 0 && share < 100 && strcmp(end, "%") == 0) {
        settings->max_quarantined_share = share / 100;
        return DM_OK;
    }
    return dm_yaml_fail(
        y, v, err, "without the line there is no limit",
        "max_quarantined cannot be \"%.60s\"; it is a number of rows from 1, or a share such as 5%%", text);
}

static enum dm_status read_drop(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    return dm_yaml_names(y, v, "drop_columns", &((struct dm_relational_schema *)target)->dropped, err);
}

static enum dm_status refuse_union(struct dm_yaml *y, const yaml_node_t *v, void *target,
                                   struct dm_error *err)
{
    (void)target;
    return dm_yaml_fail(y, v, err, "remove the line",
                        "a relational schema cannot be part of a union (profile) view");
}

static const struct dm_yaml_option schema_options[] = {
    {"name", read_name},
    {"title", read_title},
    {"description", read_description},
    {"behavior", read_behavior},
    {"columns", read_columns},
    {"key", read_key},
    {"version", read_version},
    {"timestamp", read_timestamp},
    {"relationships", read_relationships},
    {"history", read_history},
    {"ignore_null_updates", read_ignore_nulls},
    {"unavailable_value", read_unavailable},
    {"tombstone_retention", read_retention},
    {"expire", read_expire},
    {"max_quarantined", read_max_quarantined},
    {"drop_columns", read_drop},
    {"union", refuse_union},
    {NULL, NULL},
};

/* ---- the file ---- */

static enum dm_status read_schema(struct dm_yaml *y, const yaml_node_t *node, const char *name,
                                  struct dm_relational_schemas *out, struct dm_error *err)
{
    if (out->n >= DM_SCHEMAS_MAX)
        return dm_yaml_fail(y, node, err, "split it into several files", "more than %d schemas",
                            DM_SCHEMAS_MAX);
    struct dm_relational_schema *s = dm_relational_schema_new(name != NULL ? name : "");
    s->file = dm_xstrdup(y->file);
    s->line = dm_yaml_line(node);
    enum dm_status status = dm_yaml_map(y, node, "a schema", schema_options, s, err);
    if (status == DM_OK && strcmp(s->name, "default.") == 0)
        status = dm_yaml_fail(y, node, err, "for example: name: sales.orders", "the schema has no name");
    if (status == DM_OK)
        dm_relational_schemas_add(out, s);
    else
        dm_relational_schema_free(s);
    return status;
}

/* schemas: [{name: a, …}, …] or schemas: {a: {…}, …} */
static enum dm_status read_schemas(struct dm_yaml *y, const yaml_node_t *node,
                                   struct dm_relational_schemas *out, struct dm_error *err)
{
    if (node->type == YAML_SEQUENCE_NODE) {
        for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top;
             i++)
            if (read_schema(y, dm_yaml_node(y, *i), NULL, out, err) != DM_OK)
                return DM_FAIL;
    } else if (node->type == YAML_MAPPING_NODE) {
        for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
             p++) {
            const char *name;
            if (dm_yaml_text(y, dm_yaml_node(y, p->key), "a schema's name", &name, err) != DM_OK ||
                read_schema(y, dm_yaml_node(y, p->value), name, out, err) != DM_OK)
                return DM_FAIL;
        }
    } else {
        return dm_yaml_fail(y, node, err, "for example: schemas: [{name: sales.orders, columns: {…}}]",
                            "schemas wants a list of maps, not %s", dm_yaml_kind(node));
    }
    return DM_OK;
}

static bool has_key(struct dm_yaml *y, const yaml_node_t *map, const char *word)
{
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = dm_yaml_node(y, p->key);
        if (key->type == YAML_SCALAR_NODE && strcmp((const char *)key->data.scalar.value, word) == 0)
            return true;
    }
    return false;
}

static enum dm_status read_top(struct dm_yaml *y, const yaml_node_t *v, void *target, struct dm_error *err)
{
    return read_schemas(y, v, target, err);
}

static const struct dm_yaml_option top_options[] = {{"schemas", read_top}, {NULL, NULL}};

/* The list under `schemas:`, the list alone, or one schema alone. */
static enum dm_status read_root(struct dm_yaml *y, struct dm_relational_schemas *out, struct dm_error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(&y->document);
    if (root == NULL || dm_yaml_is_null(root))
        return dm_yaml_fail(y, root, err, "for example: schemas: [{name: sales.orders, columns: {…}}]",
                            "there are no schemas in the file");
    if (root->type == YAML_SEQUENCE_NODE)
        return read_schemas(y, root, out, err);
    if (root->type == YAML_MAPPING_NODE && has_key(y, root, "name") && !has_key(y, root, "schemas"))
        return read_schema(y, root, NULL, out, err);
    return dm_yaml_map(y, root, "the file", top_options, out, err);
}

static enum dm_status yaml_failure(const char *file, const yaml_parser_t *parser, struct dm_error *err)
{
    struct dm_config_place at = {file, parser->problem_mark.line + 1};
    return dm_config_fail(at, err, "indent with spaces, and put values with : # { [ * & in quotes",
                          "this is not YAML: %.200s%s%.200s",
                          parser->problem ? parser->problem : "it cannot be read",
                          parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
}

enum dm_status dm_schema_yaml_read(const char *text, size_t n, const struct dm_schema_read_options *o,
                                   struct dm_relational_schemas *out, struct dm_names *notes,
                                   struct dm_error *err)
{
    (void)notes;
    struct dm_yaml y = {.file = o->file != NULL ? o->file : "text"};
    size_t line = 1;
    if (!dm_yaml_is_shallow(text, n, &line))
        return dm_config_fail((struct dm_config_place){y.file, line}, err, NULL, "it is nested too deeply");
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return dm_fail_memory(err, sizeof parser);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    enum dm_status status = DM_OK;
    for (size_t documents = 0; status == DM_OK; documents++) {
        if (!yaml_parser_load(&parser, &y.document)) {
            status = yaml_failure(y.file, &parser, err);
            break;
        }
        /* Several documents in a file are taken one after the other; after the last comes one without a root. */
        bool end = yaml_document_get_root_node(&y.document) == NULL;
        if (!end || documents == 0)
            status = read_root(&y, out, err);
        yaml_document_delete(&y.document);
        if (end)
            break;
    }
    yaml_parser_delete(&parser);
    return status;
}
