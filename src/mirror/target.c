#include "mirror/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/declare/declared.h"
#include "mirror/capture/spool.h"

uint64_t dm_mirror_portion(const struct dm_mirror *m, unsigned sixteenths)
{
    uint64_t limit = m->config->memory_limit != 0 ? m->config->memory_limit : UINT64_C(512) << 20;
    return limit / 16 * sixteenths;
}

struct dm_target *dm_target_new(void)
{
    return dm_xzalloc(1, sizeof(struct dm_target));
}

void dm_target_set_text(struct dm_target *t, char **text, const char *value)
{
    if (*text != NULL && value != NULL && strcmp(*text, value) == 0)
        return;
    t->old_texts = dm_xrealloc(t->old_texts, t->n_old_texts + 1, sizeof(char *));
    t->old_texts[t->n_old_texts++] = *text;
    *text = dm_xstrdup(value);
}

void dm_target_free(struct dm_target *t)
{
    if (t == NULL)
        return;
    struct dm_dataset_states one = {.n = 1, .items = dm_xzalloc(1, sizeof *one.items)};
    one.items[0] = t->state;
    dm_dataset_states_release(&one);
    dm_schema_unref(t->schema);
    dm_table_free(t->table);
    dm_basis_release(&t->basis);
    dm_basis_release(&t->basis_seen);
    dm_spool_free(t->spool);
    dm_dataset_rules_free(t->rules);
    for (size_t i = 0; i < t->n_old_texts; i++)
        free(t->old_texts[i]);
    free(t->old_texts);
    free(t);
}
