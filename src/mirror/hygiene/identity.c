#include "mirror/hygiene/identity.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/memory.h"

enum { condition_max = 64 << 20, most = 1000000 };

/* The ids of one namespace. */
struct group {
    const char *code; /* "": none given */
    json_t *ids;      /* array of texts */
};

struct groups {
    size_t n;
    struct group *items;
};

static void release(struct groups *g)
{
    for (size_t i = 0; i < g->n; i++)
        json_decref(g->items[i].ids);
    free(g->items);
}

/* ---- reading ---- */

static struct group *group_of(struct groups *g, const char *code)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcasecmp(g->items[i].code, code) == 0)
            return &g->items[i];
    g->items = dm_xrealloc(g->items, g->n + 1, sizeof *g->items);
    g->items[g->n] = (struct group){.code = code, .ids = json_array()};
    return &g->items[g->n++];
}

/* {"namespace": {"code": "email"}}, or the code alone as a text. NULL: neither. */
static const char *code_of(const json_t *o)
{
    const json_t *namespace = json_object_get(o, "namespace");
    if (namespace == NULL || json_is_null(namespace))
        return "";
    return json_is_string(namespace) ? json_string_value(namespace)
                                     : json_string_value(json_object_get(namespace, "code"));
}

static enum dm_status add_id(struct group *g, const json_t *id, const char *what, size_t i,
                             struct dm_error *err)
{
    if (json_is_integer(id)) {
        char *text = dm_xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(id));
        json_array_append_new(g->ids, json_string(text));
        free(text);
        return DM_OK;
    }
    if (!json_is_string(id) || json_string_length(id) == 0)
        return dm_fail(err, DM_ERROR_CONFIG,
                       "for example {\"namespace\": {\"code\": \"email\"}, \"id\": \"a@b.example\"}",
                       "%s[%zu]: the id must be a text", what, i);
    json_array_append(g->ids, (json_t *)(uintptr_t)id);
    return DM_OK;
}

static enum dm_status read_one(struct groups *g, const json_t *o, const char *what, size_t i,
                               struct dm_error *err)
{
    const json_t *ids = json_object_get(o, "IDs");
    const char *code = code_of(o);
    if (!json_is_object(o) || code == NULL)
        return dm_fail(err, DM_ERROR_CONFIG,
                       "for example {\"namespace\": {\"code\": \"email\"}, \"id\": \"a@b.example\"}",
                       "%s[%zu] must be an object with a namespace.code", what, i);
    struct group *group = group_of(g, code);
    if (ids == NULL)
        return add_id(group, json_object_get(o, "id"), what, i, err);
    enum dm_status status = DM_OK;
    for (size_t k = 0; k < json_array_size(ids) && status == DM_OK; k++)
        status = add_id(group, json_array_get(ids, k), what, i, err);
    return status;
}

static enum dm_status read_all(struct groups *g, const json_t *body, struct dm_error *err)
{
    static const char *const words[] = {"identities", "namespacesIdentities"};
    size_t n = 0;
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        const json_t *list = json_object_get(body, words[w]);
        if (list != NULL && !json_is_array(list))
            return dm_fail(err, DM_ERROR_CONFIG, NULL, "%s must be a list", words[w]);
        for (size_t i = 0; i < json_array_size(list); i++)
            if (read_one(g, json_array_get(list, i), words[w], i, err) != DM_OK)
                return DM_FAIL;
    }
    for (size_t i = 0; i < g->n; i++)
        n += json_array_size(g->items[i].ids);
    if (n == 0 || n > most)
        return dm_fail(
            err, DM_ERROR_CONFIG,
            "for example \"identities\": [{\"namespace\": {\"code\": \"email\"}, \"id\": \"a@b.example\"}]",
            n == 0 ? "identities: there are none" : "identities: more than a million");
    return DM_OK;
}

/* ---- columns ---- */

static bool same_word(const char *code, const char *column)
{
    for (; *code != '\0' && *column != '\0'; code++, column++) {
        char pair[2][2] = {{*code == '-' ? '_' : *code}, {*column == '-' ? '_' : *column}};
        if (strcasecmp(pair[0], pair[1]) != 0)
            return false;
    }
    return *code == *column;
}

/* The column that the code names; NULL: none. */
static const char *column_of(const struct dm_relational_schema *s, const char *code)
{
    int at = dm_relational_schema_find(s, code);
    for (size_t i = 0; i < s->n_columns && at < 0; i++)
        if (same_word(code, s->columns[i].name))
            at = (int)i;
    return at >= 0 ? s->columns[at].name : NULL;
}

static bool means_key(const struct dm_relational_schema *s, const char *code)
{
    return code[0] == '\0' || same_word(code, "primaryKey") || same_word(code, "primary_key") ||
           (s->key.n == 1 && same_word(code, s->key.items[0]));
}

static enum dm_status append_quoted(struct dm_buffer *b, const char *text, char quote, struct dm_error *err)
{
    enum dm_status status = dm_buffer_append(b, &quote, 1, err);
    for (; *text != '\0' && status == DM_OK; text++) {
        if (*text == quote)
            status = dm_buffer_append(b, &quote, 1, err);
        if (status == DM_OK)
            status = dm_buffer_append(b, text, 1, err);
    }
    return status == DM_OK ? dm_buffer_append(b, &quote, 1, err) : status;
}

/* CAST("email" AS VARCHAR) IN ('a@b.example', …) */
static enum dm_status condition(const char *column, const json_t *ids, json_t **out, struct dm_error *err)
{
    struct dm_buffer b;
    dm_buffer_init(&b, condition_max);
    enum dm_status status = dm_buffer_printf(&b, err, "CAST(");
    if (status == DM_OK)
        status = append_quoted(&b, column, '"', err);
    if (status == DM_OK)
        status = dm_buffer_printf(&b, err, " AS VARCHAR) IN (");
    for (size_t i = 0; i < json_array_size(ids) && status == DM_OK; i++) {
        if (i > 0)
            status = dm_buffer_append(&b, ", ", 2, err);
        if (status == DM_OK)
            status = append_quoted(&b, json_string_value(json_array_get(ids, i)), '\'', err);
    }
    if (status == DM_OK)
        status = dm_buffer_append(&b, ")", 1, err);
    if (status == DM_OK)
        *out = json_stringn((const char *)b.data, b.len);
    dm_buffer_release(&b);
    return status;
}

static void add_target(json_t *targets, const char *dataset, const char *how, json_t *take_what)
{
    json_t *o = json_object();
    json_object_set_new(o, "dataset", json_string(dataset));
    json_object_set_new(o, how, take_what);
    json_array_append_new(targets, o);
}

static void note(json_t *notes, char *take_text)
{
    json_array_append_new(notes, json_string(take_text));
    free(take_text);
}

/* ---- one dataset ---- */

static enum dm_status of_one(const struct dm_relational_schema *s, const struct group *g, json_t *targets,
                             struct dm_error *err)
{
    if (means_key(s, g->code)) {
        add_target(targets, s->name, "keys", json_incref(g->ids));
        return DM_OK;
    }
    const char *column = column_of(s, g->code);
    json_t *where = NULL;
    if (column == NULL)
        return dm_fail(
            err, DM_ERROR_CONFIG,
            "a namespace is a column of the dataset, or \"primaryKey\"; `where` takes any condition",
            "namespace \"%.100s\": %s has no such column", g->code, s->name);
    if (condition(column, g->ids, &where, err) != DM_OK)
        return DM_FAIL;
    add_target(targets, s->name, "where", where);
    return DM_OK;
}

/* ---- all datasets ---- */

/* Only by what they hold: an id that is a key of one dataset may not even be one of another's type. */
static enum dm_status of_all(const struct dm_relational_schemas *all, const struct group *g, json_t *targets,
                             json_t *notes, struct dm_error *err)
{
    bool any = false;
    if (g->code[0] == '\0' || same_word(g->code, "primaryKey"))
        return dm_fail(err, DM_ERROR_CONFIG, "name the column: \"namespace\": {\"code\": \"customer_id\"}",
                       "for all datasets an identity needs a namespace: each has a key of its own");
    for (size_t i = 0; i < all->n; i++) {
        const struct dm_relational_schema *s = all->items[i];
        const char *column = column_of(s, g->code);
        json_t *where = NULL;
        if (column == NULL || !dm_relational_schema_is_complete(s))
            continue;
        any = true;
        if (s->key.n == 0) {
            note(notes, dm_xasprintf("%s has a column %s and no key: its rows stay", s->name, column));
            continue;
        }
        if (condition(column, g->ids, &where, err) != DM_OK)
            return DM_FAIL;
        add_target(targets, s->name, "where", where);
    }
    if (!any)
        note(notes, dm_xasprintf("no dataset has a column \"%.100s\"", g->code));
    return DM_OK;
}

enum dm_status dm_identities_to_targets(const struct dm_relational_schemas *all,
                                        const struct dm_relational_schema *only, const json_t *body,
                                        json_t **targets, json_t **notes, struct dm_error *err)
{
    struct groups g = {0};
    *targets = json_array();
    *notes = json_array();
    enum dm_status status = read_all(&g, body, err);
    for (size_t i = 0; i < g.n && status == DM_OK; i++)
        status = only != NULL ? of_one(only, &g.items[i], *targets, err)
                              : of_all(all, &g.items[i], *targets, *notes, err);
    if (status == DM_OK && json_array_size(*targets) == 0)
        status = dm_fail(err, DM_ERROR_CONFIG, "a namespace is the name of a column",
                         "no dataset has a column of these names: nothing could be deleted");
    release(&g);
    if (status != DM_OK) {
        json_decref(*targets);
        json_decref(*notes);
        *targets = *notes = NULL;
    }
    return status;
}
