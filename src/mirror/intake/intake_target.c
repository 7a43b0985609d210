#include "mirror/intake/intake_target.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/index/index_rebuild.h"
#include "mirror/commit/tombstones.h"

/* What people declared holds for what comes in, also where the dataset itself may not promise it (rows from before). */
static void read_rules(struct dm_intake_target *t)
{
    const struct dm_relational_schema *declared = t->target->rules->schema;
    struct dm_schema *s = dm_schema_copy(t->target->schema);
    s->schema_id = t->target->schema->schema_id;
    t->rules = dm_xzalloc(s->n_fields + 1, sizeof *t->rules);
    for (size_t i = 0; i < s->n_fields; i++) {
        int at = dm_relational_schema_find(declared, s->fields[i].name);
        if (at < 0)
            continue;
        const struct dm_relational_column *c = &declared->columns[at];
        s->fields[i].required |= c->required;
        t->rules[i] = (struct dm_column_rule){.n_allowed = c->allowed.n,
                                              .allowed = c->allowed.items,
                                              .min_length = c->min_length,
                                              .max_length = c->max_length};
    }
    t->schema = s;
}

enum dm_status dm_intake_target_load(struct dm_mirror *m, const char *name, struct dm_intake_target *out,
                                     struct dm_error *err)
{
    *out = (struct dm_intake_target){0};
    if (dm_declared_target(m, name, &out->target, err) != DM_OK)
        return DM_FAIL;
    out->name = dm_declared_name(name);
    read_rules(out);
    return DM_OK;
}

bool dm_intake_target_is_named(const struct dm_intake_target *t, const char *name)
{
    char *full = dm_declared_name(name);
    bool same = strcmp(t->name, full) == 0;
    free(full);
    return same;
}

void dm_intake_target_release(struct dm_intake_target *t)
{
    free(t->name);
    free(t->rules);
    dm_schema_unref(t->schema);
    dm_target_free(t->target);
    *t = (struct dm_intake_target){0};
}

static enum dm_status index_is_behind(struct dm_mirror *m, const struct dm_target *t, bool *behind,
                                      struct dm_error *err)
{
    bool current = true;
    enum dm_status status = dm_index_tag_current(m, t, &current, err);
    *behind = !current;
    return status;
}

enum dm_status dm_intake_target_refresh(struct dm_mirror *m, struct dm_intake_target *t, bool *changed,
                                        struct dm_error *err)
{
    struct dm_target *now = NULL;
    if (dm_declared_target(m, t->name, &now, err) != DM_OK)
        return DM_FAIL;
    *changed = now->state.id != t->target->state.id || !dm_schema_equal(now->schema, t->target->schema) ||
               now->rules->schema->updated_us != t->target->rules->schema->updated_us;
    if (!*changed && index_is_behind(m, now, &t->index_behind, err) != DM_OK) {
        dm_target_free(now);
        return DM_FAIL;
    }
    *changed |= t->index_behind;
    if (*changed) {
        dm_target_free(now);
        return DM_OK;
    }
    /* The counters of now; rules and schema stay, since the reader borrows them. */
    struct dm_dataset_state state = t->target->state;
    t->target->state = now->state;
    now->state = state;
    dm_target_free(now);
    return DM_OK;
}

enum dm_status dm_intake_target_catch_up(struct dm_mirror *m, struct dm_intake_target *t,
                                         struct dm_error *err)
{
    return dm_index_catch_up(m, &t->target, 1, err);
}
