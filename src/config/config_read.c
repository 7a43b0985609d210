#include "config/config_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/memory.h"
#include "config/nearest_word.h"
#include "config/options.h"

#define NODES_MAX 100000 /* values read in all; aliases could otherwise multiply a small file */

struct reader {
    const char *file;
    yaml_document_t *document;
    struct dm_config *config;
    size_t nodes;
};

/* Lines at which the options of a section were given; 0: not given. Index as in section->options. */
struct given {
    size_t line[DM_OPTIONS_MAX];
};

static struct dm_config_place place_of(const struct reader *r, const yaml_node_t *node)
{
    return (struct dm_config_place){r->file, node->start_mark.line + 1};
}

static const char *kind_of_node(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_SCALAR_NODE: return "a single value";
    case YAML_SEQUENCE_NODE: return "a list";
    case YAML_MAPPING_NODE: return "a map";
    default: return "nothing";
    }
}

static yaml_node_t *node_at(struct reader *r, int index)
{
    return yaml_document_get_node(r->document, index);
}

static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = (const char *)node->data.scalar.value;
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static enum dm_status check_node(struct reader *r, const yaml_node_t *node, struct dm_error *err)
{
    if (++r->nodes > NODES_MAX)
        return dm_config_fail(place_of(r, node), err, "write fewer entries, or use globs",
                              "more than %d values", NODES_MAX);
    const char *tag = (const char *)node->tag;
    if (tag != NULL && strcmp(tag, YAML_STR_TAG) != 0 && strcmp(tag, YAML_SEQ_TAG) != 0 &&
        strcmp(tag, YAML_MAP_TAG) != 0)
        return dm_config_fail(place_of(r, node), err, "remove the tag; quotes make a text of anything",
                              "the YAML tag \"%.100s\" is not understood", tag);
    return DM_OK;
}

/* The text as it stands in the file; borrowed. */
static enum dm_status raw_text(struct reader *r, const yaml_node_t *node, const char *what, const char **out,
                               struct dm_error *err)
{
    if (check_node(r, node, err) != DM_OK)
        return DM_FAIL;
    if (node->type != YAML_SCALAR_NODE)
        return dm_config_fail(place_of(r, node), err, NULL, "%s wants a single value, not %s", what,
                              kind_of_node(node));
    const char *text = (const char *)node->data.scalar.value;
    if (is_null(node))
        return dm_config_fail(place_of(r, node), err, "give it a value, or remove the line",
                              "%s has no value", what);
    if (memchr(text, '\0', node->data.scalar.length) != NULL)
        return dm_config_fail(place_of(r, node), err, NULL, "%s holds a NUL character", what);
    *out = text;
    return DM_OK;
}

/* The text with ${NAME} taken from the environment; malloc'ed. */
static enum dm_status expanded_text(struct reader *r, const yaml_node_t *node, const char *what, char **out,
                                    struct dm_error *err)
{
    const char *raw = NULL;
    if (raw_text(r, node, what, &raw, err) != DM_OK)
        return DM_FAIL;
    return dm_value_expand(raw, place_of(r, node), out, err);
}

static void allowed_choices(const char *const *choices, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; choices[i] != NULL && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? ", " : "", choices[i]);
}

static enum dm_status read_choice(struct reader *r, const struct dm_option *o, const yaml_node_t *node,
                                  const char *text, char **out, struct dm_error *err)
{
    size_t n = 0;
    for (; o->choices[n] != NULL; n++)
        if (strcmp(o->choices[n], text) == 0) {
            free(*out);
            *out = dm_xstrdup(text);
            return DM_OK;
        }
    char allowed[200];
    allowed_choices(o->choices, allowed, sizeof allowed);
    (void)dm_config_fail(place_of(r, node), err, NULL, "%s cannot be \"%.100s\"; allowed are: %s", o->name,
                         (const char *)node->data.scalar.value, allowed);
    const char *near = dm_nearest_word(text, o->choices, n);
    if (near != NULL)
        dm_error_hint(err, "did you mean \"%s\"?", near);
    return DM_FAIL;
}

/* Numbers show the words of the file, never what came out of the environment. */
static enum dm_status bad_number(struct reader *r, const struct dm_option *o, const yaml_node_t *node,
                                 struct dm_error *err)
{
    struct dm_config_place at = place_of(r, node);
    const char *word = (const char *)node->data.scalar.value;
    char low[32], high[32];
    switch (o->kind) {
    case DM_OPTION_SIZE:
        return dm_config_fail(at, err, "units are B, KiB, MiB, GiB, TiB and KB, MB, GB, TB",
                              "%s cannot be \"%.100s\"; it is a size between %s and %s, such as %s", o->name,
                              word, dm_value_size_text((uint64_t)o->min, low, sizeof low),
                              dm_value_size_text((uint64_t)o->max, high, sizeof high), o->fallback);
    case DM_OPTION_DURATION:
        return dm_config_fail(at, err, "units are ms, s, m, h and d",
                              "%s cannot be \"%.100s\"; it is a duration between %s and %s, such as %s",
                              o->name, word, dm_value_duration_text(o->min, low, sizeof low),
                              dm_value_duration_text(o->max, high, sizeof high), o->fallback);
    case DM_OPTION_INT:
        if (o->min == o->max)
            return dm_config_fail(at, err, NULL, "%s cannot be \"%.100s\"; it must be %" PRId64, o->name,
                                  word, o->min);
        return dm_config_fail(at, err, NULL,
                              "%s cannot be \"%.100s\"; it is a whole number from %" PRId64 " to %" PRId64,
                              o->name, word, o->min, o->max);
    default:
        return dm_config_fail(at, err, NULL, "%s cannot be \"%.100s\"; allowed are: true, false", o->name,
                              word);
    }
}

/* Stores the (expanded) text into the member; false: it is not of the option's kind. */
static bool store_number(const struct dm_option *o, const char *text, void *target)
{
    void *member = (char *)target + o->offset;
    bool yes;
    int64_t number;
    uint64_t bytes;
    switch (o->kind) {
    case DM_OPTION_BOOL: return dm_value_bool(text, member);
    case DM_OPTION_TRISTATE:
        if (!dm_value_bool(text, &yes))
            return false;
        *(int *)member = yes;
        return true;
    case DM_OPTION_INT:
        if (!dm_value_int(text, &number) || number < o->min || number > o->max)
            return false;
        *(int *)member = (int)number;
        return true;
    case DM_OPTION_SIZE:
        if (!dm_value_size(text, &bytes) || bytes < (uint64_t)o->min || bytes > (uint64_t)o->max)
            return false;
        *(uint64_t *)member = bytes;
        return true;
    case DM_OPTION_DURATION:
        if (!dm_value_duration(text, &number) || number < o->min || number > o->max)
            return false;
        *(int64_t *)member = number;
        return true;
    default: return false;
    }
}

/* A list of texts, or one text as a list of one. */
static enum dm_status read_list(struct reader *r, const struct dm_option *o, yaml_node_t *node, void *target,
                                struct dm_error *err)
{
    char ***list = (char ***)((char *)target + o->offset);
    size_t *count = (size_t *)((char *)target + o->count_offset);
    if (node->type == YAML_SCALAR_NODE) {
        *list = dm_xzalloc(1, sizeof **list);
        if (expanded_text(r, node, o->name, &(*list)[0], err) != DM_OK)
            return DM_FAIL;
        *count = 1;
        return DM_OK;
    }
    if (check_node(r, node, err) != DM_OK)
        return DM_FAIL;
    if (node->type != YAML_SEQUENCE_NODE)
        return dm_config_fail(place_of(r, node), err, "write it as [a, b]", "%s wants a list, not %s",
                              o->name, kind_of_node(node));
    size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (n == 0)
        return dm_config_fail(place_of(r, node), err, "give it an entry, or remove the line", "%s is empty",
                              o->name);
    *list = dm_xzalloc(n, sizeof **list);
    for (size_t i = 0; i < n; i++) {
        if (expanded_text(r, node_at(r, node->data.sequence.items.start[i]), o->name, &(*list)[i], err) !=
            DM_OK)
            return DM_FAIL;
        *count = i + 1;
    }
    return DM_OK;
}

static enum dm_status read_decimals(struct reader *r, const yaml_node_t *node, struct dm_table_config *table,
                                    struct dm_error *err)
{
    static const char *const how = "write it as decimals: {price: \"38,10\"}";
    if (check_node(r, node, err) != DM_OK)
        return DM_FAIL;
    if (node->type != YAML_MAPPING_NODE)
        return dm_config_fail(place_of(r, node), err, how, "decimals wants a map of columns, not %s",
                              kind_of_node(node));
    size_t n = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    table->decimals = dm_xzalloc(n ? n : 1, sizeof *table->decimals);
    for (size_t i = 0; i < n; i++) {
        const yaml_node_pair_t *pair = &node->data.mapping.pairs.start[i];
        const yaml_node_t *value_node = node_at(r, pair->value);
        struct dm_decimal_config *d = &table->decimals[i];
        table->n_decimals = i + 1;
        char *value = NULL;
        if (expanded_text(r, node_at(r, pair->key), "a column of decimals", &d->column, err) != DM_OK ||
            expanded_text(r, value_node, "decimals", &value, err) != DM_OK)
            return DM_FAIL;
        bool good = dm_value_decimal(value, &d->precision, &d->scale);
        free(value);
        if (!good)
            return dm_config_fail(
                place_of(r, value_node), err, how,
                "the decimal of column \"%.100s\" cannot be \"%.100s\"; it is \"precision,scale\", "
                "precision from 1 to 38, scale from 0 to the precision",
                d->column, (const char *)value_node->data.scalar.value);
        for (size_t j = 0; j < i; j++)
            if (strcmp(table->decimals[j].column, d->column) == 0)
                return dm_config_fail(place_of(r, value_node), err, NULL,
                                      "decimals names column \"%.100s\" twice", d->column);
    }
    return DM_OK;
}

static enum dm_status read_sources(struct reader *r, yaml_node_t *node, struct dm_error *err);
static enum dm_status read_tables(struct reader *r, yaml_node_t *node, struct dm_source_config *source,
                                  struct dm_error *err);

/* A secret that stands in the file itself: a token, or the password of a URL, not taken from the environment. */
static bool is_literal_secret(const struct dm_option *o, const char *raw)
{
    char shown[4096];
    return strstr(raw, "${") == NULL &&
           (!o->connection || dm_url_replace_secrets(raw, "", shown, sizeof shown));
}

static enum dm_status read_option(struct reader *r, const struct dm_option *o, yaml_node_t *node,
                                  void *target, struct dm_error *err)
{
    switch (o->kind) {
    case DM_OPTION_SOURCES: return read_sources(r, node, err);
    case DM_OPTION_TABLES: return read_tables(r, node, target, err);
    case DM_OPTION_DECIMALS: return read_decimals(r, node, target, err);
    case DM_OPTION_LIST: return read_list(r, o, node, target, err);
    default: break;
    }
    char *text = NULL;
    const char *raw = NULL;
    if (raw_text(r, node, o->name, &raw, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = o->connection ? dm_value_expand_connection(raw, place_of(r, node), &text, err)
                                          : dm_value_expand(raw, place_of(r, node), &text, err);
    if (status != DM_OK)
        return DM_FAIL;
    r->config->holds_secret |= o->secret && is_literal_secret(o, raw);
    char **member = (char **)((char *)target + o->offset);
    if (o->kind == DM_OPTION_TEXT) {
        if (text[0] == '\0')
            status = dm_config_fail(place_of(r, node), err, "give it a value, or remove the line",
                                    "%s is empty", o->name);
        else {
            free(*member);
            *member = dm_xstrdup(text);
        }
    } else if (o->kind == DM_OPTION_CHOICE) {
        status = read_choice(r, o, node, text, member, err);
    } else if (!store_number(o, text, target)) {
        status = bad_number(r, o, node, err);
    }
    free(text);
    return status;
}

static enum dm_status unknown_option(struct reader *r, const struct dm_option_section *section,
                                     const yaml_node_t *key, const char *word, struct dm_error *err)
{
    const char *names[DM_OPTIONS_MAX];
    char allowed[400];
    size_t used = 0;
    for (size_t i = 0; i < section->n; i++) {
        names[i] = section->options[i].name;
        if (used < sizeof allowed)
            used += (size_t)snprintf(allowed + used, sizeof allowed - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = dm_nearest_word(word, names, section->n);
    (void)dm_config_fail(place_of(r, key), err, NULL, "unknown option \"%.100s\" of %s; allowed are: %s",
                         word, section->what, allowed);
    if (near != NULL)
        dm_error_hint(err, "did you mean \"%s\"?", near);
    return DM_FAIL;
}

/* Reads the options that stand in the map `node`; what was not given is left alone and has line 0 in `given`. */
static enum dm_status read_section(struct reader *r, const struct dm_option_section *section,
                                   const yaml_node_t *node, void *target, struct given *given,
                                   struct dm_error *err)
{
    *given = (struct given){0};
    if (check_node(r, node, err) != DM_OK)
        return DM_FAIL;
    if (node->type != YAML_MAPPING_NODE)
        return dm_config_fail(place_of(r, node), err, "write its options one per line, as name: value",
                              "%s wants a map of options, not %s", section->what, kind_of_node(node));
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = node_at(r, p->key);
        const char *word;
        if (raw_text(r, key, "the name of an option", &word, err) != DM_OK)
            return DM_FAIL;
        const struct dm_option *o = dm_option_find(section, word);
        if (o == NULL)
            return unknown_option(r, section, key, word, err);
        size_t *line = &given->line[o - section->options];
        if (*line != 0)
            return dm_config_fail(place_of(r, key), err, "keep one of the two lines",
                                  "%s is given twice; the first is in line %zu", o->name, *line);
        *line = key->start_mark.line + 1;
        if (read_option(r, o, node_at(r, p->value), target, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* The default of an option: its text with <name> replaced, read like any value. */
static void apply_default(const struct dm_option *o, const char *name, void *target)
{
    if (o->kind == DM_OPTION_TRISTATE)
        *(int *)(void *)((char *)target + o->offset) = -1;
    if (o->fallback == NULL)
        return;
    if (o->kind != DM_OPTION_TEXT && o->kind != DM_OPTION_CHOICE) {
        (void)store_number(o, o->fallback, target); /* a unit test proves that every default is good */
        return;
    }
    char **member = (char **)((char *)target + o->offset);
    const char *mark = strstr(o->fallback, "<name>");
    free(*member);
    *member = mark == NULL ? dm_xstrdup(o->fallback)
                           : dm_xasprintf("%.*s%s%s", (int)(mark - o->fallback), o->fallback, name,
                                          mark + strlen("<name>"));
}

/* Applies defaults, and checks what is required and what belongs to another type of source (type NULL: no types here). */
static enum dm_status finish_section(const struct reader *r, const struct dm_option_section *section,
                                     const yaml_node_t *node, const char *type, const char *name,
                                     const struct given *given, void *target, struct dm_error *err)
{
    for (size_t i = 0; i < section->n; i++) {
        const struct dm_option *o = &section->options[i];
        bool applies = dm_option_applies(o, type);
        if (given->line[i] != 0) {
            if (!applies)
                return dm_config_fail((struct dm_config_place){r->file, given->line[i]}, err,
                                      "remove the line, or correct the type",
                                      "%s is an option of %s sources, and this one is %s", o->name, o->only,
                                      type);
            continue;
        }
        if (applies && o->required) {
            (void)dm_config_fail(place_of(r, node), err, NULL, "%s has no \"%s\", which it needs",
                                 section->what, o->name);
            dm_error_hint(err, "for example: %s", o->example);
            return DM_FAIL;
        }
        if (applies)
            apply_default(o, name, target);
    }
    return DM_OK;
}

static enum dm_status read_table(struct reader *r, yaml_node_t *node, struct dm_table_config *table,
                                 struct dm_error *err)
{
    table->history = -1;
    if (node->type == YAML_SCALAR_NODE) {
        if (expanded_text(r, node, "an entry of tables", &table->glob, err) != DM_OK)
            return DM_FAIL;
    } else {
        struct given given;
        if (read_section(r, &dm_options_table, node, table, &given, err) != DM_OK ||
            finish_section(r, &dm_options_table, node, NULL, "", &given, table, err) != DM_OK)
            return DM_FAIL;
    }
    return dm_config_check_table(table, place_of(r, node), err);
}

static enum dm_status read_tables(struct reader *r, yaml_node_t *node, struct dm_source_config *source,
                                  struct dm_error *err)
{
    if (check_node(r, node, err) != DM_OK)
        return DM_FAIL;
    if (node->type != YAML_SEQUENCE_NODE)
        return dm_config_fail(place_of(r, node), err, "write it as tables: [\"public.*\"]",
                              "tables wants a list of globs or maps, not %s", kind_of_node(node));
    size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (n == 0)
        return dm_config_fail(place_of(r, node), err, "remove the line to mirror all tables",
                              "tables is empty");
    source->tables = dm_xzalloc(n, sizeof *source->tables);
    for (size_t i = 0; i < n; i++) {
        source->n_tables = i + 1;
        if (read_table(r, node_at(r, node->data.sequence.items.start[i]), &source->tables[i], err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

static enum dm_status read_source(struct reader *r, const yaml_node_t *node, struct dm_source_config *source,
                                  struct dm_error *err)
{
    struct given given;
    if (read_section(r, &dm_options_source, node, source, &given, err) != DM_OK)
        return DM_FAIL;
    /* finish_section needs the type; without one it says that `type` is missing, as it stands first in the table. */
    return finish_section(r, &dm_options_source, node, source->type, source->name, &given, source, err);
}

static enum dm_status read_sources(struct reader *r, yaml_node_t *node, struct dm_error *err)
{
    struct dm_config *config = r->config;
    if (check_node(r, node, err) != DM_OK)
        return DM_FAIL;
    if (is_null(node))
        return DM_OK;
    if (node->type != YAML_MAPPING_NODE)
        return dm_config_fail(place_of(r, node), err,
                              "for example: sources: {shop: {type: sqlite, path: shop.db}}",
                              "sources wants sources by name, not %s", kind_of_node(node));
    size_t n = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    config->sources = dm_xzalloc(n + 1, sizeof *config->sources);
    for (size_t i = 0; i < n; i++) {
        const yaml_node_pair_t *pair = &node->data.mapping.pairs.start[i];
        const yaml_node_t *key = node_at(r, pair->key);
        const char *name;
        if (raw_text(r, key, "the name of a source", &name, err) != DM_OK)
            return DM_FAIL;
        config->sources[i].name = dm_xstrdup(name);
        config->n_sources = i + 1;
        if (read_source(r, node_at(r, pair->value), &config->sources[i], err) != DM_OK ||
            dm_config_check_source(config, place_of(r, key), err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

static enum dm_status yaml_failure(const struct reader *r, const yaml_parser_t *parser, struct dm_error *err)
{
    const char *problem = parser->problem != NULL ? parser->problem : "it cannot be read";
    struct dm_config_place at = {r->file, parser->problem_mark.line + 1};
    return dm_config_fail(at, err, "indent with spaces, and put values with : # { [ * & in quotes",
                          "this is not YAML: %.200s%s%.200s", problem, parser->context != NULL ? " " : "",
                          parser->context != NULL ? parser->context : "");
}

static enum dm_status read_document(struct reader *r, struct dm_error *err)
{
    yaml_node_t *root = yaml_document_get_root_node(r->document);
    if (root == NULL || is_null(root))
        return dm_config_fail((struct dm_config_place){r->file, 1}, err,
                              "`datamirror init` writes a starter configuration",
                              "the configuration is empty");
    struct given given;
    if (read_section(r, &dm_options_top, root, r->config, &given, err) != DM_OK ||
        finish_section(r, &dm_options_top, root, NULL, "", &given, r->config, err) != DM_OK)
        return DM_FAIL;
    size_t line = given.line[dm_option_find(&dm_options_top, "commit_bytes") - dm_options_top.options];
    struct dm_config_place at = {r->file, line != 0 ? line : 1};
    return dm_config_check(r->config, line != 0, at, err);
}

enum dm_status dm_config_read(const char *text, size_t n, struct dm_config *config, struct dm_error *err)
{
    struct reader r = {.file = config->file, .config = config};
    size_t line = 1;
    if (!dm_yaml_is_shallow(text, n, &line))
        return dm_config_fail((struct dm_config_place){r.file, line}, err, NULL, "it is nested too deeply");
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return dm_fail_memory(err, sizeof parser);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    yaml_document_t document, second;
    enum dm_status status;
    if (!yaml_parser_load(&parser, &document)) {
        status = yaml_failure(&r, &parser, err);
        yaml_parser_delete(&parser);
        return status;
    }
    r.document = &document;
    status = read_document(&r, err);
    if (status == DM_OK) {
        if (!yaml_parser_load(&parser, &second)) {
            status = yaml_failure(&r, &parser, err);
        } else {
            const yaml_node_t *root = yaml_document_get_root_node(&second);
            if (root != NULL)
                status = dm_config_fail(place_of(&r, root), err, "keep one document in the file",
                                        "a second YAML document begins here");
            yaml_document_delete(&second);
        }
    }
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return status;
}
