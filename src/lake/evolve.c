/* Field ids for a schema as a source sees it: what stays the same field, what is new, what is refused. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lake/lake.h"

/* The field of `current` that `f` continues, or NULL. */
static const struct dm_field *continued(const struct dm_schema *current, const struct dm_field *f)
{
    if (current == NULL)
        return NULL;
    if (f->source_ref != 0)
        for (size_t i = 0; i < current->n_fields; i++)
            if (current->fields[i].source_ref == f->source_ref)
                return &current->fields[i];
    int at = dm_schema_find(current, f->name);
    /* By name only when one side has no number: another number means another column of the same name. */
    if (at >= 0 && (f->source_ref == 0 || current->fields[at].source_ref == 0))
        return &current->fields[at];
    return NULL;
}

static enum dm_status check_type(const struct dm_field *from, const struct dm_field *to, struct dm_error *err)
{
    char old[64], new[64];
    if (dm_type_equal(from->type, to->type) || dm_type_widens(from->type, to->type))
        return DM_OK;
    return dm_fail(err, DM_ERROR_DATA, "resync the dataset, which makes it anew with the new type",
                   "column \"%s\" changed its type from %s to %s, which is not a widening", to->name,
                   dm_type_name(from->type, old, sizeof old), dm_type_name(to->type, new, sizeof new));
}

/* Default texts are compared bytewise elsewhere, so they get one spelling. */
static enum dm_status normalize_default(struct dm_field *f, struct dm_error *err)
{
    if (f->default_json == NULL)
        return DM_OK;
    json_t *value = json_loads(f->default_json, JSON_DECODE_ANY, NULL);
    if (value == NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "the default of column \"%s\" is not JSON: %s", f->name,
                       f->default_json);
    free(f->default_json);
    f->default_json = json_is_null(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    return DM_OK;
}

static enum dm_status evolve_field(const struct dm_schema *current, struct dm_schema *s, size_t i,
                                   int32_t *last, struct dm_error *err)
{
    struct dm_field *f = &s->fields[i];
    const struct dm_field *old = continued(current, f);
    bool key = dm_schema_is_key(s, (uint32_t)i);
    if (old == NULL) {
        f->id = ++*last;
        f->element_id = f->type.id == DM_LIST ? ++*last : 0;
        if (normalize_default(f, err) != DM_OK)
            return DM_FAIL;
        /* Files written before have no value for it. */
        if (current != NULL && !key)
            f->required = false;
        return DM_OK;
    }
    if (check_type(old, f, err) != DM_OK)
        return DM_FAIL;
    f->id = old->id;
    f->element_id = old->element_id;
    /* The initial default belongs to the moment when the field was added and can never change. */
    free(f->default_json);
    f->default_json = dm_xstrdup(old->default_json);
    /* Rows with a null may be in the files already; only for a key has the source checked every row. */
    f->required = f->required && (old->required || key);
    return DM_OK;
}

static enum dm_status check_names(const struct dm_schema *s, struct dm_error *err)
{
    for (size_t i = 0; i < s->n_fields; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(s->fields[i].name, s->fields[j].name) == 0)
                return dm_fail(err, DM_ERROR_DATA, NULL, "two columns are named \"%s\"", s->fields[i].name);
            else if (s->fields[i].id == s->fields[j].id)
                return dm_fail(err, DM_ERROR_DATA, NULL,
                               "the columns \"%s\" and \"%s\" continue the same field", s->fields[j].name,
                               s->fields[i].name);
    return DM_OK;
}

enum dm_status dm_schema_evolve(const struct dm_schema *current, const struct dm_schema *wanted,
                                int32_t *last_column_id, struct dm_schema **out, struct dm_error *err)
{
    struct dm_schema *s = dm_schema_copy(wanted);
    int32_t last = *last_column_id;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < s->n_fields && status == DM_OK; i++)
        status = evolve_field(current, s, i, &last, err);
    if (status == DM_OK)
        status = check_names(s, err);
    if (status != DM_OK) {
        dm_schema_unref(s);
        return status;
    }
    s->schema_id = current != NULL && dm_schema_equal(current, s) ? current->schema_id : -1;
    *last_column_id = last;
    *out = s;
    return DM_OK;
}
