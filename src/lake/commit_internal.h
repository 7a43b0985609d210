/* commit_internal.h — an open commit: what it will change, table by table, and what it has written so far.
 *
 * Until publish nothing here touches struct lake_table or its dataset (file numbers excepted, which are only ever used up).
 * Arrays named live_* run parallel to the dataset's files.
 */
#ifndef DM_LAKE_COMMIT_INTERNAL_H
#define DM_LAKE_COMMIT_INTERNAL_H

#include "lake/lake_internal.h"

/* A data file that this commit adds. */
struct added_file {
    struct dm_data_file file; /* deleted: rows of it that the same commit deletes */
    size_t n_stats;
    struct dm_column_stats *stats;
    bool gone; /* removed again, or all its rows were deleted: never becomes part of the dataset */
};

struct table_commit {
    struct lake_table *table; /* NULL: created by this commit */
    char *namespace;          /* the name after the commit */
    char *name;
    char *location; /* absolute folder */
    bool dropped;
    bool renamed;
    bool data_folder_made;
    bool expire;                    /* nothing older than this commit stays */
    bool marked;                    /* it gets a snapshot, whatever changes */
    int32_t day_field;              /* 0: not divided by day */
    uint32_t next_file;             /* created tables; others count in table->next_file */
    const struct dm_schema *schema; /* NULL: as it is */
    int32_t highest_id; /* of the columns of all schemas during the commit: its files may have any of them */
    size_t n_added;
    size_t added_room;
    struct added_file *added; /* ascending by number */
    size_t n_live;
    struct dm_data_file *live; /* borrowed from the dataset */
    bool *live_removed;        /* NULL: none */
    roaring_bitmap_t *
        *live_deleted; /* NULL: none. Before write: rows to delete; after: the new whole vector */

    /* What dm_commit_write made: */
    struct dm_metadata *meta; /* NULL: nothing changes */
    char *metadata_location;
    uint32_t version;
    int64_t snapshot_id; /* 0: no snapshot */
    size_t n_manifests;
    struct lake_manifest *manifests;
    uint32_t next_key;
    uint32_t *live_manifest;        /* 0: unchanged */
    uint32_t *live_vector_manifest; /* 0: unchanged */
    size_t n_pruned;
    char **pruned; /* URIs of metadata files that have left the log */
};

struct dm_commit {
    struct dm_lake *lake;
    struct dm_name_map by_name; /* struct table_commit *, or &gone */
    size_t n_tables;
    struct table_commit **tables;
    struct dm_store_batch store;
    size_t n_paths; /* handed out by dm_commit_new_file */
    size_t paths_room;
    char **paths;
    bool written;
    bool published;
    bool uncertain; /* the catalog may or may not have taken the commit: nothing is removed */
};

/* Counters of a snapshot's summary, filled while it is written. */
struct snapshot_counts {
    uint64_t added_files, added_rows, added_bytes;
    uint64_t removed_files, removed_rows, removed_bytes;
    uint64_t added_vectors, added_positions;
    uint64_t removed_vectors, removed_positions;
    uint64_t changed_partitions; /* 1 without days */
    uint64_t total_files, total_rows, total_bytes, total_vectors, total_positions;
};

/* commit_manifests.c: writes the manifests of the new snapshot into t->manifests; `added` are the new entries (moved from). */
struct manifest_job {
    struct dm_commit *commit;
    struct table_commit *t;
    enum dm_content content;
    int64_t snapshot_id;
    int64_t sequence_number;
    const char *schema_json;
    const struct dm_day_spec *days;
    int64_t *next_row_id; /* NULL: no row lineage */
    size_t n_added;
    struct dm_manifest_entry *added;
};
enum dm_status lake_manifests_write(struct manifest_job *job, struct dm_error *err) DM_MUST_USE;

/* commit.c: what the commit holds for the dataset. */
enum dm_status lake_commit_table(struct dm_commit *c, const char *namespace, const char *name,
                                 const struct table_commit **out, struct dm_error *err) DM_MUST_USE;
/* commit_write.c: everything of one table up to its metadata file. */
enum dm_status lake_table_write(struct dm_commit *c, struct table_commit *t,
                                const struct dm_commit_summary *summary, struct dm_error *err) DM_MUST_USE;
/* commit_snapshot.c: the new snapshot's summary, added to t->meta. */
enum dm_status lake_snapshot_add(struct table_commit *t, const struct snapshot_counts *n,
                                 const char *manifest_list, int64_t first_row_id,
                                 const struct dm_commit_summary *summary, struct dm_error *err) DM_MUST_USE;
/* commit_apply.c: after publish: the lake's tables take the change; hint files; old metadata files go. */
void lake_table_apply(struct dm_commit *c, struct table_commit *t);

#endif
