#include "apply/version_list.h"

enum dm_status dm_version_list_encode(struct dm_key_list *list, const struct dm_batch *b, int field,
                                      struct dm_error *err)
{
    const struct dm_field *from = &b->schema->fields[field];
    struct dm_schema *schema = dm_schema_new();
    dm_schema_add(schema, from->name, from->type);
    dm_schema_add_key(schema, 0);
    const struct dm_batch view = {
        .schema = schema, .n_columns = 1, .columns = &b->columns[field], .rows = b->rows}; /* borrowed */
    enum dm_status status = dm_key_list_encode(list, &view, err);
    dm_schema_unref(schema);
    return status;
}
