/* schema.h — the columns of a table or dataset: names, types, Iceberg field ids and the key.
 *
 * A struct dm_schema is immutable once built and shared by reference count (atomic): batches, files and commits
 * of different threads may hold different versions of one table's schema at once.
 * As it comes from a source, `id` is 0 and `source_ref` says which source column it is; the mirror assigns ids.
 *
 *     struct dm_schema *s = dm_schema_new();
 *     struct dm_field *f = dm_schema_add(s, "id", dm_type_of(DM_INT64));
 *     f->required = true;
 *     dm_schema_add_key(s, 0);
 *     ...
 *     dm_schema_unref(s);
 */
#ifndef DM_COLUMN_SCHEMA_H
#define DM_COLUMN_SCHEMA_H

#include <stdatomic.h>

#include "column/type.h"

struct dm_field {
    int32_t id;         /* Iceberg field id, > 0; 0 when not assigned yet */
    int32_t element_id; /* LIST: the field id of the elements */
    char *name;         /* owned; as the source spells it, any UTF-8 */
    struct dm_type type;
    bool required;      /* never null; true for key columns */
    int32_t source_ref; /* the source's stable number of the column (PostgreSQL: attnum); 0 none */
    char *source_type;  /* owned; the source's spelling of the type, "numeric(10,2)"; NULL unknown */
    bool
        filled; /* stored rows may hold values that no change announced (a computed default): when the column is new
                           * to a dataset, its rows must be copied again */
    char *default_json; /* owned; Iceberg initial-default as JSON single value; NULL: none */
};

struct dm_schema {
    atomic_int references;
    int32_t schema_id; /* Iceberg schema id once it is part of a dataset */
    size_t n_fields;
    struct dm_field *fields;
    size_t n_keys;  /* 0: append-only */
    uint32_t *keys; /* indexes into fields, in key order */
};

struct dm_schema *dm_schema_new(void);                       /* one reference, owned by the caller */
struct dm_schema *dm_schema_ref(const struct dm_schema *s);  /* another reference; s may be NULL */
void dm_schema_unref(const struct dm_schema *s);             /* NULL is fine */
struct dm_schema *dm_schema_copy(const struct dm_schema *s); /* deep, unshared */

/* Only before the schema is shared. The returned pointer is valid until the next dm_schema_add. */
struct dm_field *dm_schema_add(struct dm_schema *s, const char *name, struct dm_type type);
/* A field as another schema has it, ids and default included; `from` must not be one of s, whose fields move. */
struct dm_field *dm_schema_add_copy(struct dm_schema *s, const struct dm_field *from);
void dm_schema_add_key(struct dm_schema *s, uint32_t field_index);
/* The key's fields alone, in key order, and they are its key; the caller owns it. Without a key it has no fields. */
struct dm_schema *dm_schema_keys(const struct dm_schema *s);
/* For a field whose files all hold a value of it. Only before the schema is shared. */
void dm_field_drop_default(struct dm_field *f);

/* Index of the field, or -1. Names compare bytewise. */
int dm_schema_find(const struct dm_schema *s, const char *name);
int dm_schema_find_id(const struct dm_schema *s, int32_t id);
int32_t dm_schema_highest_id(const struct dm_schema *s); /* of fields and list elements; 0: none */
bool dm_schema_is_key(const struct dm_schema *s, uint32_t field_index);
/* Same fields (id, name, type, required, default) in the same order and same key. */
bool dm_schema_equal(const struct dm_schema *a, const struct dm_schema *b);

#endif
