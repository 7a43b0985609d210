/* metadata.h — an Iceberg table's metadata file (versions 2 and 3) as a struct, parsed and printed.
 *
 * Only what Data Mirror's own tables use: one partition spec, empty or by day (day_spec.h), no sort order, the branch main. Anything else is a DATA error that
 * names the file. What Iceberg has no place for travels in table properties:
 *   datamirror.columns    JSON: field id -> {"ref": source_ref, "type": source_type} of the current schema
 *   datamirror.key        JSON: field ids of the key in key order (identifier-field-ids is a set, and not every key may be in it)
 *   datamirror.next-file  the next data file number
 * Memory: dm_metadata owns everything; dm_metadata_free. No I/O, no threads.
 * Source: Iceberg table spec, "Table Metadata Fields", appendix C "Table Metadata and Snapshots", "Schemas".
 */
#ifndef DM_LAKE_ICEBERG_METADATA_H
#define DM_LAKE_ICEBERG_METADATA_H

#include "base/buffer.h"
#include "column/schema.h"

struct dm_snapshot {
    int64_t id;
    int64_t timestamp_ms;
    int64_t sequence_number;
    int32_t schema_id;
    char *manifest_list; /* URI */
    char *json;          /* the snapshot object as it stands in the file, printed once */
};

struct dm_metadata_property {
    char *key;
    char *value;
};
struct dm_metadata_log {
    int64_t timestamp_ms;
    char *file;
}; /* URI */
struct dm_snapshot_log {
    int64_t timestamp_ms;
    int64_t snapshot_id;
};

struct dm_metadata {
    int format_version;
    char uuid[37];
    char *location; /* URI */
    int64_t last_sequence_number;
    int64_t last_updated_ms;
    int32_t last_column_id;
    int32_t current_schema_id;
    int32_t day_source_id; /* partitioned by the day of this column (field id); 0: unpartitioned */
    size_t n_schemas;
    struct dm_schema **schemas; /* one reference each; source_ref and source_type only in the current one */
    size_t n_properties;
    struct dm_metadata_property *properties;
    int64_t current_snapshot_id; /* 0: none */
    size_t n_snapshots;
    struct dm_snapshot *snapshots; /* oldest first */
    size_t n_snapshot_log;
    struct dm_snapshot_log *snapshot_log;
    size_t n_metadata_log;
    struct dm_metadata_log *metadata_log; /* older metadata files, oldest first */
    int64_t next_row_id;                  /* version 3 */
    uint32_t next_file;                   /* datamirror.next-file */
};

/* What a new snapshot says; printed once by dm_metadata_add_snapshot. */
struct dm_snapshot_pair {
    const char *key;
    const char *value;
};
struct dm_snapshot_new {
    int64_t id;
    int64_t parent_id; /* 0: none */
    int64_t sequence_number;
    int64_t timestamp_ms;
    const char *manifest_list; /* URI */
    int64_t first_row_id;      /* -1: left out (version 2) */
    int64_t added_rows;
    size_t n_summary;
    const struct dm_snapshot_pair *summary; /* "operation" among them */
};

/* `name` stands for the file in messages. */
enum dm_status dm_metadata_parse(const char *text, size_t n, const char *name, struct dm_metadata **out,
                                 struct dm_error *err) DM_MUST_USE;
enum dm_status dm_metadata_print(const struct dm_metadata *m, struct dm_buffer *out,
                                 struct dm_error *err) DM_MUST_USE;
void dm_metadata_free(struct dm_metadata *m); /* NULL is fine */
struct dm_metadata *dm_metadata_copy(const struct dm_metadata *m);
size_t dm_metadata_bytes(const struct dm_metadata *m); /* about how much memory it holds */

/* A new table with a random uuid and no schema; `location` is a URI. */
struct dm_metadata *dm_metadata_new(int format_version, const char *location);
const struct dm_schema *dm_metadata_schema(const struct dm_metadata *m); /* the current one */
const struct dm_snapshot *dm_metadata_snapshot(const struct dm_metadata *m, int64_t snapshot); /* or NULL */
const char *dm_metadata_property(const struct dm_metadata *m, const char *key);                /* or NULL */
void dm_metadata_set_property(struct dm_metadata *m, const char *key, const char *value);
/* Makes `schema` current: an equal schema that is already there keeps its id, else it gets a new one. */
enum dm_status dm_metadata_set_schema(struct dm_metadata *m, const struct dm_schema *schema,
                                      struct dm_error *err) DM_MUST_USE;
/* Columns get higher ids from now on: files may hold a column with this one, though no schema names it. */
void dm_metadata_raise_column_id(struct dm_metadata *m, int32_t id);
/* Adds the snapshot and makes it current. */
enum dm_status dm_metadata_add_snapshot(struct dm_metadata *m, const struct dm_snapshot_new *s,
                                        struct dm_error *err) DM_MUST_USE;
/* Forgets snapshots, so that at most `keep` stay, whatever their number: the newest three quarters of `keep`, and of the older ones those that stand about
 * evenly between `oldest_ms` and `now_ms` (with 8 or more to keep; INT64_MIN: none). Those older than `oldest_ms` go, the current one never. Also forgets
 * schemas that nothing refers to any more. */
void dm_metadata_expire(struct dm_metadata *m, size_t keep, int64_t oldest_ms, int64_t now_ms);

/* ---- schemas as JSON (metadata_schema.c) ---- */

struct json_t;
/* The Iceberg schema object; initial-default and write-default only in version 3. malloc. */
enum dm_status dm_schema_json(const struct dm_schema *s, int format_version, char **out,
                              struct dm_error *err) DM_MUST_USE;
enum dm_status dm_metadata_schema_from_json(const struct json_t *object, struct dm_schema **out,
                                            struct dm_error *err) DM_MUST_USE;
/* datamirror.columns and datamirror.key of a schema. malloc. */
enum dm_status dm_schema_columns_json(const struct dm_schema *s, char **columns, char **key,
                                      struct dm_error *err) DM_MUST_USE;
/* Puts them back; NULL: nothing to put back. Unknown field ids are left out. */
enum dm_status dm_schema_apply_columns(struct dm_schema *s, const char *columns, const char *key,
                                       struct dm_error *err) DM_MUST_USE;

#endif
