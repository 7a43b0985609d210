/* manifest.h — Iceberg manifests and manifest lists (Avro), format versions 2 and 3, encode and decode.
 *
 * Bytes in memory only, no I/O. What we write has partition spec 0: unpartitioned, or by day (day_spec.h); when
 * reading, other partition values, column sizes, split offsets and sort orders are skipped.
 * Decoded entries own their strings and stats (dm_manifest_release). Nothing is shared between threads.
 * Failure: bytes that are not a sound manifest are DATA errors, whatever they are; encoding a structure that
 * the format does not allow is a FATAL error (our own bug) and leaves `out` as it was.
 * Source: Iceberg table spec, "Manifests", "Manifest Lists"; field ids as listed there (manifest_schema.h).
 *
 *     struct dm_manifest m;
 *     if (dm_manifest_decode(bytes, n, &m, err) != DM_OK) return DM_FAIL;
 *     for (size_t i = 0; i < m.n_entries; i++) use(&m.entries[i]);
 *     dm_manifest_release(&m);
 */
#ifndef DM_LAKE_ICEBERG_MANIFEST_H
#define DM_LAKE_ICEBERG_MANIFEST_H

#include "base/buffer.h"
#include "column/schema.h"
#include "engine/parquet_write.h"
#include "lake/iceberg/day_spec.h"

enum dm_entry_status { DM_ENTRY_EXISTING = 0, DM_ENTRY_ADDED = 1, DM_ENTRY_DELETED = 2 };
enum dm_content { DM_CONTENT_DATA = 0, DM_CONTENT_POSITION_DELETES = 1 };

struct dm_manifest_entry {
    enum dm_entry_status status;
    int64_t snapshot_id;     /* where it was added, or deleted; -1: null (inherit from the manifest list) */
    int64_t sequence_number; /* data sequence number; -1: null (inherit; only when ADDED) */
    int64_t file_sequence_number; /* -1: null (inherit; only when ADDED) */
    enum dm_content content;
    char *file_path;
    int32_t day;          /* the partition; DM_NO_DAY: null, or unpartitioned */
    char *file_format;    /* "PARQUET", "PUFFIN" (upper case when written; as found when read) */
    int64_t record_count; /* rows, or the cardinality of a deletion vector */
    int64_t file_bytes;
    int64_t first_row_id;       /* v3 data files; -1: null */
    char *referenced_data_file; /* deletes: the one data file; else NULL */
    int64_t content_offset;     /* deletion vectors: blob offset in the puffin; -1: null */
    int64_t content_size;       /* deletion vectors: blob length; -1: null */
    size_t n_stats;
    struct dm_column_stats
        *stats; /* value_counts, null_value_counts, nan_value_counts, lower_bounds, upper_bounds */
};
/* Decoded stats are ordered by field id. A column is kept when it has both a value count and a null count;
 * its bounds are kept when both are there and fit struct dm_column_stats (which holds all that we write). */

struct dm_manifest {
    int format_version;      /* of the header: 2 or 3 when writing; 1 to 3 when read */
    enum dm_content content; /* DATA, or POSITION_DELETES for a delete manifest; every entry has the same */
    size_t n_entries;
    struct dm_manifest_entry *entries;
};
void dm_manifest_release(struct dm_manifest *m); /* a zeroed one is fine */

/* Appends the file to `out`. schema_json: the Iceberg schema JSON that goes into the header; schema_id and the partition spec
 * likewise. */
enum dm_status dm_manifest_encode(const struct dm_manifest *m, const char *schema_json, int32_t schema_id,
                                  const struct dm_day_spec *spec, struct dm_buffer *out,
                                  struct dm_error *err) DM_MUST_USE;
/* Also accepts manifests of other writers (any field order, unknown fields, codecs null and deflate).
 * Equality deletes and encrypted files are DATA errors. *out is overwritten; on failure nothing is held. */
enum dm_status dm_manifest_decode(const uint8_t *bytes, size_t n, struct dm_manifest *out,
                                  struct dm_error *err) DM_MUST_USE;

/* The partitions of a manifest's entries, for readers that skip manifests by them. */
struct dm_day_range {
    bool by_day;   /* false: unpartitioned, and the rest is nothing */
    bool has_none; /* an entry has no day */
    int32_t first; /* DM_NO_DAY: no entry has a day */
    int32_t last;
};
void dm_day_range_add(struct dm_day_range *r, int32_t day);

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
    struct dm_day_range days;
};
struct dm_manifest_list {
    size_t n;
    struct dm_manifest_file *files;
};
void dm_manifest_list_release(struct dm_manifest_list *l);
/* Appends the file to `out`. parent_snapshot_id <= 0: there is none. first_row_id: the snapshot's (v3);
 * ignored in v2. */
enum dm_status dm_manifest_list_encode(const struct dm_manifest_list *l, int format_version,
                                       int64_t snapshot_id, int64_t parent_snapshot_id,
                                       int64_t sequence_number, int64_t first_row_id, struct dm_buffer *out,
                                       struct dm_error *err) DM_MUST_USE;
enum dm_status dm_manifest_list_decode(const uint8_t *bytes, size_t n, struct dm_manifest_list *out,
                                       struct dm_error *err) DM_MUST_USE;

#endif
