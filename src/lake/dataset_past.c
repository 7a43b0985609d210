/* A dataset as it was: snapshots that the current metadata still keeps. */
#include <stdlib.h>

#include "base/memory.h"
#include "lake/lake_internal.h"

/* The table's metadata; NULL: there is no such table. Caller holds the lock. */
static enum dm_status metadata_of(struct dm_lake *lake, const char *namespace, const char *name,
                                  struct dm_metadata **meta, struct dm_error *err)
{
    struct lake_table *t = NULL;
    *meta = NULL;
    if (lake_table_get(lake, namespace, name, &t, err) != DM_OK)
        return DM_FAIL;
    return t == NULL ? DM_OK : lake_table_meta(lake, t, meta, err);
}

enum dm_status dm_lake_past(struct dm_lake *lake, const char *namespace, const char *name,
                            struct dm_past_snapshot **out, size_t *n, struct dm_error *err)
{
    struct dm_metadata *meta = NULL;
    *out = NULL;
    *n = 0;
    lake_lock(lake);
    enum dm_status status = metadata_of(lake, namespace, name, &meta, err);
    if (status == DM_OK && meta != NULL) {
        *out = dm_xzalloc(meta->n_snapshots + 1, sizeof **out);
        for (; *n < meta->n_snapshots; ++*n)
            (*out)[*n] = (struct dm_past_snapshot){.id = meta->snapshots[*n].id,
                                                   .timestamp_ms = meta->snapshots[*n].timestamp_ms};
    }
    lake_unlock(lake);
    return status;
}

static const struct dm_schema *schema_of(const struct dm_metadata *m, const struct dm_snapshot *s)
{
    for (size_t i = 0; i < m->n_schemas; i++)
        if (m->schemas[i]->schema_id == s->schema_id)
            return m->schemas[i];
    return NULL;
}

enum dm_status dm_lake_dataset_past(struct dm_lake *lake, const char *namespace, const char *name,
                                    int64_t snapshot, struct dm_dataset **out, struct dm_error *err)
{
    struct dm_metadata *meta = NULL;
    struct lake_dataset *ds = NULL;
    *out = NULL;
    lake_lock(lake);
    enum dm_status status = metadata_of(lake, namespace, name, &meta, err);
    const struct dm_snapshot *s = meta == NULL ? NULL : dm_metadata_snapshot(meta, snapshot);
    const struct dm_schema *schema = s == NULL ? NULL : schema_of(meta, s);
    if (status == DM_OK && schema != NULL)
        status = lake_dataset_load_snapshot(namespace, name, meta, s, schema, &ds, err);
    lake_unlock(lake);
    if (status == DM_OK && ds != NULL)
        *out = &ds->pub;
    return status;
}
