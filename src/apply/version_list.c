#include "apply/version_list.h"

#include "base/bytes.h"

enum dm_status dm_version_list_encode(struct dm_key_list *list, const struct dm_batch *b, int field,
                                      struct dm_error *err)
{
    struct dm_schema *schema = dm_schema_new();
    dm_schema_add_copy(schema, &b->schema->fields[field]);
    dm_schema_add_key(schema, 0);
    const struct dm_batch view = {
        .schema = schema, .n_columns = 1, .columns = &b->columns[field], .rows = b->rows}; /* borrowed */
    enum dm_status status = dm_key_list_encode(list, &view, err);
    dm_schema_unref(schema);
    return status;
}

size_t dm_version_bytes(const struct dm_column *c, size_t row)
{
    size_t n = 0;
    switch ((enum dm_type_id)c->type.id) {
    case DM_DATE: return 4;
    case DM_DECIMAL:
    case DM_UUID: return 16;
    case DM_BOOL: return 1;
    case DM_STRING:
    case DM_BINARY: (void)dm_column_bytes_at(c, row, &n); return n;
    default: return 8;
    }
}

enum dm_status dm_version_append(struct dm_column *c, const uint8_t *bytes, size_t n, struct dm_error *err)
{
    static const uint64_t sign = UINT64_C(1) << 63;
    size_t width = c->type.id == DM_STRING || c->type.id == DM_BINARY ? n
                   : c->type.id == DM_DATE                            ? 4
                   : c->type.id == DM_DECIMAL                         ? 16
                                                                      : 8;
    if (n != width)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a version of %zu bytes is not of type %d", n, c->type.id);
    switch ((enum dm_type_id)c->type.id) {
    case DM_INT32: {
        int32_t v = (int32_t)(int64_t)(dm_get_be64(bytes) ^ sign);
        dm_column_append_fixed(c, &v);
        return DM_OK;
    }
    case DM_INT64:
    case DM_TIME:
    case DM_TIMESTAMP:
    case DM_TIMESTAMPTZ:
    case DM_TIMESTAMP_NS: {
        int64_t v = (int64_t)(dm_get_be64(bytes) ^ sign);
        dm_column_append_fixed(c, &v);
        return DM_OK;
    }
    case DM_DATE: {
        int32_t v = (int32_t)(dm_get_be32(bytes) ^ UINT32_C(0x80000000));
        dm_column_append_fixed(c, &v);
        return DM_OK;
    }
    case DM_DECIMAL: {
        unsigned __int128 v = (unsigned __int128)(dm_get_be64(bytes) ^ sign) << 64 | dm_get_be64(bytes + 8);
        dm_column_append_fixed(c, &v);
        return DM_OK;
    }
    case DM_STRING:
    case DM_BINARY: return dm_column_append_bytes(c, bytes, n, err);
    default: return dm_fail(err, DM_ERROR_FATAL, NULL, "type %d cannot be a version", c->type.id);
    }
}
