#include <sqlite3.h>
#include <stdio.h>

#include "lake/catalog/catalog_sql.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/dataset_match.h"
#include "mirror/mirror.h"

static enum dm_status ask(sqlite3 *db, const struct dm_dataset_states *states, const char *dataset,
                          struct dm_error *err)
{
    for (size_t i = 0; i < states->n; i++)
        if (dm_dataset_is_named(&states->items[i], dataset))
            return dm_request_add(db, DM_REQUEST_RESYNC, states->items[i].source, dataset, NULL, err);
    return dm_fail(err, DM_ERROR_CONFIG, "`datamirror status` lists the datasets, as <namespace>.<table>",
                   "there is no dataset %s", dataset);
}

/* In one transaction: a mirror that starts meanwhile sees all requests or none, and only with all of them the capture begins anew. */
enum dm_status dm_mirror_resync(const struct dm_config *config, const char *const *datasets, size_t n,
                                struct dm_error *err)
{
    sqlite3 *db = NULL;
    struct dm_dataset_states states = {0};
    enum dm_status status = dm_catalog_side_open(config->lake, &db, err);
    if (status == DM_OK)
        status = dm_state_datasets(db, NULL, &states, err);
    if (status == DM_OK && sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        status = dm_sql_fail(db, "asking for copies", err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = ask(db, &states, datasets[i], err);
    if (status == DM_OK && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        status = dm_sql_fail(db, "asking for copies", err);
    dm_dataset_states_release(&states);
    (void)sqlite3_close(db); /* rolls back what was not committed */
    return status;
}
