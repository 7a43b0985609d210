#include "registry/yaml_nodes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "config/config_value.h"
#include "config/nearest_word.h"

enum { values_max = 2000000, options_max = 32 };

enum dm_status dm_yaml_fail(const struct dm_yaml *y, const yaml_node_t *at, struct dm_error *err,
                            const char *hint, const char *fmt, ...)
{
    char message[800];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    struct dm_config_place place = {y->file, at != NULL ? dm_yaml_line(at) : 1};
    return dm_config_fail(place, err, hint, "%s", message);
}

yaml_node_t *dm_yaml_node(struct dm_yaml *y, int index)
{
    return yaml_document_get_node(&y->document, index);
}

size_t dm_yaml_line(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

const char *dm_yaml_kind(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_SCALAR_NODE: return dm_yaml_is_null(node) ? "nothing" : "a single value";
    case YAML_SEQUENCE_NODE: return "a list";
    case YAML_MAPPING_NODE: return "a map";
    default: return "nothing";
    }
}

bool dm_yaml_is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = (const char *)node->data.scalar.value;
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static enum dm_status check_node(struct dm_yaml *y, const yaml_node_t *node, struct dm_error *err)
{
    if (++y->values > values_max)
        return dm_yaml_fail(y, node, err, "split it into several files", "more than %d values", values_max);
    const char *tag = (const char *)node->tag;
    if (tag != NULL && strcmp(tag, YAML_STR_TAG) != 0 && strcmp(tag, YAML_SEQ_TAG) != 0 &&
        strcmp(tag, YAML_MAP_TAG) != 0)
        return dm_yaml_fail(y, node, err, "remove the tag; quotes make a text of anything",
                            "the YAML tag \"%.100s\" is not understood", tag);
    return DM_OK;
}

enum dm_status dm_yaml_text(struct dm_yaml *y, const yaml_node_t *node, const char *what, const char **out,
                            struct dm_error *err)
{
    if (check_node(y, node, err) != DM_OK)
        return DM_FAIL;
    if (node->type != YAML_SCALAR_NODE)
        return dm_yaml_fail(y, node, err, NULL, "%s wants a single value, not %s", what, dm_yaml_kind(node));
    if (dm_yaml_is_null(node))
        return dm_yaml_fail(y, node, err, "give it a value, or remove the line", "%s has no value", what);
    *out = (const char *)node->data.scalar.value;
    if (memchr(*out, '\0', node->data.scalar.length) != NULL)
        return dm_yaml_fail(y, node, err, NULL, "%s holds a NUL character", what);
    return DM_OK;
}

enum dm_status dm_yaml_take_text(struct dm_yaml *y, const yaml_node_t *node, const char *what, char **out,
                                 struct dm_error *err)
{
    const char *text = NULL;
    if (dm_yaml_text(y, node, what, &text, err) != DM_OK)
        return DM_FAIL;
    if (*out != NULL)
        return dm_yaml_fail(y, node, err, "keep one of the two",
                            "%s is given twice: \"%.100s\" and \"%.100s\"", what, *out, text);
    *out = dm_xstrdup(text);
    return DM_OK;
}

enum dm_status dm_yaml_names(struct dm_yaml *y, const yaml_node_t *node, const char *what,
                             struct dm_names *out, struct dm_error *err)
{
    const char *text = NULL;
    if (out->n > 0)
        return dm_yaml_fail(y, node, err, "keep one of the two", "%s is given twice", what);
    if (node->type != YAML_SEQUENCE_NODE) {
        if (dm_yaml_text(y, node, what, &text, err) != DM_OK)
            return DM_FAIL;
        dm_names_add(out, text);
        return DM_OK;
    }
    if (node->data.sequence.items.start == node->data.sequence.items.top)
        return dm_yaml_fail(y, node, err, "remove the line, or name something", "%s is an empty list", what);
    for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top;
         i++) {
        const yaml_node_t *item = dm_yaml_node(y, *i);
        if (dm_yaml_text(y, item, what, &text, err) != DM_OK)
            return DM_FAIL;
        if (dm_names_find(out, text) >= 0)
            return dm_yaml_fail(y, item, err, "keep one of the two", "%s names \"%.100s\" twice", what, text);
        dm_names_add(out, text);
    }
    return DM_OK;
}

enum dm_status dm_yaml_bool(struct dm_yaml *y, const yaml_node_t *node, const char *what, bool *out,
                            struct dm_error *err)
{
    const char *text = NULL;
    if (dm_yaml_text(y, node, what, &text, err) != DM_OK)
        return DM_FAIL;
    if (dm_value_bool(text, out))
        return DM_OK;
    return dm_yaml_fail(y, node, err, NULL, "%s cannot be \"%.60s\"; allowed are: true, false", what, text);
}

enum dm_status dm_yaml_count(struct dm_yaml *y, const yaml_node_t *node, const char *what, int64_t max,
                             int64_t *out, struct dm_error *err)
{
    const char *text = NULL;
    if (dm_yaml_text(y, node, what, &text, err) != DM_OK)
        return DM_FAIL;
    if (dm_value_int(text, out) && *out >= 0 && *out <= max)
        return DM_OK;
    return dm_yaml_fail(y, node, err, NULL, "%s cannot be \"%.60s\"; it is a whole number from 0 to %lld",
                        what, text, (long long)max);
}

static enum dm_status unknown_option(const struct dm_yaml *y, const yaml_node_t *at, const char *what,
                                     const char *word, const struct dm_yaml_option *options,
                                     struct dm_error *err)
{
    const char *names[options_max];
    char allowed[400] = "";
    size_t n = 0, len = 0;
    for (; n < options_max && options[n].name != NULL; n++) {
        names[n] = options[n].name;
        if (len < sizeof allowed)
            len += (size_t)snprintf(allowed + len, sizeof allowed - len, "%s%s", n ? ", " : "", names[n]);
    }
    const char *near = dm_nearest_word(word, names, n);
    (void)dm_yaml_fail(y, at, err, NULL, "%s has no \"%.100s\"; there are: %s", what, word, allowed);
    if (near != NULL)
        dm_error_hint(err, "did you mean \"%s\"?", near);
    return DM_FAIL;
}

enum dm_status dm_yaml_map(struct dm_yaml *y, const yaml_node_t *node, const char *what,
                           const struct dm_yaml_option *options, void *target, struct dm_error *err)
{
    size_t line[options_max] = {0};
    if (check_node(y, node, err) != DM_OK)
        return DM_FAIL;
    if (node->type != YAML_MAPPING_NODE)
        return dm_yaml_fail(y, node, err, NULL, "%s wants a map, not %s", what, dm_yaml_kind(node));
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = dm_yaml_node(y, p->key), *value = dm_yaml_node(y, p->value);
        const char *word;
        size_t i = 0;
        if (dm_yaml_text(y, key, "the name of an option", &word, err) != DM_OK)
            return DM_FAIL;
        while (options[i].name != NULL && strcmp(options[i].name, word) != 0)
            i++;
        if (options[i].name == NULL)
            return unknown_option(y, key, what, word, options, err);
        if (line[i] != 0)
            return dm_yaml_fail(y, key, err, "keep one of the two lines",
                                "%s is given twice; the first is in line %zu", word, line[i]);
        line[i] = dm_yaml_line(key);
        if (check_node(y, value, err) != DM_OK || options[i].read(y, value, target, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}
