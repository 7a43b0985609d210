#include "mirror/index/index_rows.h"

#include <stdlib.h>

#include "apply/version_list.h"
#include "base/memory.h"

void dm_index_rows_init(struct dm_index_rows *r, const struct dm_schema *dataset, int version)
{
    *r = (struct dm_index_rows){.schema = dm_schema_keys(dataset), .version = -1, .version_most = UINT32_MAX};
    if (version >= 0) {
        r->version = (int)dataset->n_keys;
        dm_schema_add_copy(r->schema, &dataset->fields[version]);
    }
}

void dm_index_rows_release(struct dm_index_rows *r)
{
    dm_schema_unref(r->schema);
    dm_key_list_release(&r->keys);
    dm_key_list_release(&r->versions);
    free(r->changes);
    *r = (struct dm_index_rows){0};
}

enum dm_status dm_index_rows_take(struct dm_index_rows *r, const struct dm_batch *batch,
                                  const uint32_t *files, const uint32_t *positions, struct dm_error *err)
{
    if (dm_key_list_encode(&r->keys, batch, err) != DM_OK ||
        (r->version >= 0 && dm_version_list_encode(&r->versions, batch, r->version, err) != DM_OK))
        return DM_FAIL;
    if (batch->rows > r->capacity) {
        r->capacity = batch->rows;
        r->changes = dm_xrealloc(r->changes, r->capacity, sizeof *r->changes);
    }
    for (size_t i = 0; i < batch->rows; i++) {
        struct dm_index_change *c = &r->changes[i];
        *c = (struct dm_index_change){.key = r->keys.bytes.data + r->keys.offsets[i],
                                      .key_len = (uint32_t)(r->keys.offsets[i + 1] - r->keys.offsets[i]),
                                      .row = (uint32_t)i,
                                      .place = {.file = files[i], .position = positions[i]}};
        if (r->version < 0)
            continue;
        c->version = dm_version_at(&r->versions, i, &c->version_len);
        if (c->version_len > r->version_most)
            c->version_len = r->version_most;
    }
    return DM_OK;
}
