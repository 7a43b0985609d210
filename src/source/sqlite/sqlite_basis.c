#include "source/sqlite/sqlite_basis.h"

#include <stdlib.h>
#include <strings.h>

#include "base/memory.h"

/* By numbers, which survive renames. Right after a rename, before the capture has seen it, the number is not known: then nothing is said. */
static void add_key(struct dm_sqlite_table *t)
{
    const struct dm_schema *c = t->table->columns;
    struct dm_buffer text;
    dm_buffer_init(&text, 1u << 20);
    bool known = c->n_keys > 0;
    for (size_t k = 0; k < c->n_keys && known; k++) {
        int32_t ref = c->fields[c->keys[k]].source_ref;
        const char *collation = t->identity[k].collation;
        known = ref != 0 && dm_buffer_printf(&text, NULL, "%s%d %s", k > 0 ? "," : "", ref,
                                             collation != NULL ? collation : "rowid") == DM_OK;
    }
    dm_basis_add(&t->table->basis, DM_BASIS_IDENTITY, NULL, "capture");
    if (known)
        dm_basis_add(&t->table->basis, DM_BASIS_KEY, NULL, "%s", dm_buffer_text(&text));
    dm_buffer_release(&text);
}

static void add_decimals(struct dm_sqlite_table *t, const struct dm_table_config *config)
{
    struct dm_buffer text;
    dm_buffer_init(&text, 1u << 20);
    enum dm_status status = DM_OK;
    for (size_t i = 0; config != NULL && i < config->n_decimals; i++)
        for (size_t k = 0; k < t->n_all && status == DM_OK; k++)
            if (strcasecmp(t->all[k], config->decimals[i].column) == 0)
                status = dm_buffer_printf(&text, NULL, "%s%s:%d,%d", text.len > 0 ? " " : "", t->all[k],
                                          config->decimals[i].precision, config->decimals[i].scale);
    dm_basis_add(&t->table->basis, DM_BASIS_DECIMALS, NULL, "%s",
                 text.len > 0 ? dm_buffer_text(&text) : "none");
    dm_buffer_release(&text);
}

/* Two texts may be one time, so two keys would become one. */
static void check_timestamp(struct dm_table *t)
{
    const struct dm_schema *c = t->columns;
    int at = t->timestamp != NULL ? dm_schema_find(c, t->timestamp) : -1;
    if (at < 0 || !dm_schema_is_key(c, (uint32_t)at) || t->problem != NULL)
        return;
    t->problem = dm_xasprintf("timestamp: names a column of the key, \"%s\", whose texts may differ where "
                              "their times are equal",
                              t->timestamp);
    t->hint =
        dm_xstrdup("take timestamp: out of the configuration, or let the table have another key (key:)");
}

void dm_sqlite_basis_add(struct dm_sqlite_table *t, const struct dm_table_config *config)
{
    struct dm_basis *b = &t->table->basis;
    add_key(t);
    add_decimals(t, config);
    dm_basis_add(b, DM_BASIS_FILTER, NULL, "%s",
                 config != NULL && config->filter != NULL ? config->filter : "none");
    dm_table_divide(t->table, config);
    check_timestamp(t->table);
    dm_basis_add(b, DM_BASIS_APPEND_ONLY, NULL, "%s", t->table->append_only ? "yes" : "no");
    for (size_t i = 0; i < t->n_all; i++) {
        int f = dm_schema_find(t->table->columns, t->all[i]);
        dm_basis_add(b, DM_BASIS_TAKEN, t->all[i], "%s", f >= 0 ? "taken" : "left out");
    }
}
