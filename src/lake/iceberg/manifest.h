/* manifest.h — Iceberg manifests and manifest lists (Avro), format versions 2 and 3, encode and decode.
 *
 * Bytes in memory only, no I/O. Unpartitioned tables (an empty partition struct) are what we write; when reading, partition values are skipped.
 * Entries own their strings after decoding (dm_manifest_release).
 * Source: Iceberg table spec, "Manifests", "Manifest lists"; field ids as listed there.
 */
#ifndef DM_LAKE_ICEBERG_MANIFEST_H
#define DM_LAKE_ICEBERG_MANIFEST_H

#include "base/buffer.h"
#include "column/schema.h"
#include "engine/parquet_write.h"

enum dm_entry_status { DM_ENTRY_EXISTING = 0, DM_ENTRY_ADDED = 1, DM_ENTRY_DELETED = 2 };
enum dm_content { DM_CONTENT_DATA = 0, DM_CONTENT_POSITION_DELETES = 1 };

struct dm_manifest_entry {
    enum dm_entry_status status;
    int64_t snapshot_id;
    int64_t sequence_number;      /* data sequence number; -1: null (inherit) */
    int64_t file_sequence_number; /* -1: null (inherit) */
    enum dm_content content;
    char *file_path;
    char *file_format; /* "PARQUET", "PUFFIN" (upper case when written) */
    int64_t record_count;
    int64_t file_bytes;
    int64_t first_row_id;          /* v3 data files; -1: null */
    char *referenced_data_file;    /* deletes: the one data file; else NULL */
    int64_t content_offset;        /* deletion vectors: blob offset in the puffin; -1: null */
    int64_t content_size;          /* deletion vectors: blob length; -1: null */
    size_t n_stats;
    struct dm_column_stats *stats; /* value_counts, null_value_counts, nan_value_counts, lower_bounds, upper_bounds */
};

struct dm_manifest {
    int format_version;
    enum dm_content content; /* DATA, or POSITION_DELETES for a delete manifest */
    size_t n_entries;
    struct dm_manifest_entry *entries;
};
void dm_manifest_release(struct dm_manifest *m);

/* schema_json: the Iceberg schema JSON that goes into the header; schema_id likewise. */
enum dm_status dm_manifest_encode(const struct dm_manifest *m, const char *schema_json, int32_t schema_id,
                                  struct dm_buffer *out, struct dm_error *err) DM_MUST_USE;
/* Also accepts manifests of other writers (any field order, unknown fields, null/deflate codec where cheap). */
enum dm_status dm_manifest_decode(const uint8_t *bytes, size_t n, struct dm_manifest *out, struct dm_error *err) DM_MUST_USE;

struct dm_manifest_file {
    char *path;
    int64_t length;
    enum dm_content content; /* DATA: data manifest; POSITION_DELETES: delete manifest */
    int64_t sequence_number;
    int64_t min_sequence_number;
    int64_t added_snapshot_id;
    int32_t added_files, existing_files, deleted_files;
    int64_t added_rows, existing_rows, deleted_rows;
    int64_t first_row_id; /* v3 data manifests; -1: null */
};
struct dm_manifest_list {
    size_t n;
    struct dm_manifest_file *files;
};
void dm_manifest_list_release(struct dm_manifest_list *l);
enum dm_status dm_manifest_list_encode(const struct dm_manifest_list *l, int format_version, int64_t snapshot_id,
                                       int64_t parent_snapshot_id, int64_t sequence_number, int64_t first_row_id,
                                       struct dm_buffer *out, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_manifest_list_decode(const uint8_t *bytes, size_t n, struct dm_manifest_list *out,
                                       struct dm_error *err) DM_MUST_USE;

#endif
