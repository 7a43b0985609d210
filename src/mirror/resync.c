#include <sqlite3.h>
#include <stdio.h>

#include "mirror/capture/catalog_side.h"
#include "mirror/dataset_match.h"
#include "mirror/mirror.h"

enum dm_status dm_mirror_resync(const struct dm_config *config, const char *dataset, struct dm_error *err)
{
    sqlite3 *db = NULL;
    struct dm_dataset_states states = {0};
    enum dm_status status = dm_catalog_side_open(config->lake, &db, err);
    if (status == DM_OK)
        status = dm_state_datasets(db, NULL, &states, err);
    const struct dm_dataset_state *found = NULL;
    for (size_t i = 0; i < states.n; i++)
        if (dm_dataset_is_named(&states.items[i], dataset))
            found = &states.items[i];
    if (status == DM_OK && found == NULL)
        status =
            dm_fail(err, DM_ERROR_CONFIG, "`datamirror status` lists the datasets, as <namespace>.<table>",
                    "there is no dataset %s", dataset);
    if (status == DM_OK)
        status = dm_request_add(db, DM_REQUEST_RESYNC, found->source, dataset, NULL, err);
    dm_dataset_states_release(&states);
    (void)sqlite3_close(db);
    return status;
}
