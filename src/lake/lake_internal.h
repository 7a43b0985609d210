/* lake_internal.h — what the files of src/lake share and nobody else sees.
 *
 * A table is the lake's view of one catalog entry: the pointer that it loaded, the metadata (may be dropped to save memory and parsed again), and
 * the dataset (data files, vectors, manifests). Commits describe a change beside the tables (struct table_commit) and touch them only after
 * the catalog transaction.
 */
#ifndef DM_LAKE_LAKE_INTERNAL_H
#define DM_LAKE_LAKE_INTERNAL_H

#include <pthread.h>

#include "lake/catalog/catalog.h"
#include "lake/iceberg/manifest.h"
#include "lake/iceberg/metadata.h"
#include "lake/lake.h"
#include "lake/name_map.h"
#include "lake/store/local_store.h"

/* A manifest of the current snapshot. Keys are this process's own numbers; they never repeat within a dataset. */
struct lake_manifest {
    uint32_t key;
    struct dm_manifest_file file; /* path is a URI */
};

struct lake_dataset {
    struct dm_dataset pub; /* first: a dm_dataset * is a lake_dataset * */
    size_t n_manifests;
    struct lake_manifest *manifests; /* data manifests, then delete manifests */
    uint32_t next_key;
};

struct lake_table {
    char *namespace;
    char *name;
    char *metadata_location;  /* the pointer as loaded, URI */
    uint32_t version;         /* N of the metadata file name */
    struct dm_metadata *meta; /* NULL: parse again when needed */
    size_t meta_bytes;
    uint64_t meta_used; /* lake->clock when meta was last used */
    uint32_t next_file; /* next file number; at least what the metadata says */
    struct lake_dataset *ds;
};

struct dm_lake {
    char *folder; /* real path */
    int format_version;
    int metadata_versions;
    int64_t snapshot_retention_ms;
    bool read_only;
    pthread_mutex_t lock; /* recursive; guards everything below */
    struct dm_catalog catalog;
    struct dm_name_map tables; /* struct lake_table * */
    struct dm_commit *open_commit;
    size_t meta_bytes; /* of all tables' meta */
    uint64_t clock;
    size_t n_kept; /* read-only: datasets that were handed out and replaced since */
    struct lake_dataset **kept;
    size_t n_kept_memory; /* what query sessions borrow */
    void **kept_memory;
};

/* lake.c */
void lake_lock(struct dm_lake *lake);
void lake_unlock(struct dm_lake *lake);
/* The table, loaded; NULL when the catalog has none. Caller holds the lock. */
enum dm_status lake_table_get(struct dm_lake *lake, const char *namespace, const char *name,
                              struct lake_table **out, struct dm_error *err) DM_MUST_USE;
/* Loads one whose pointer is known. */
enum dm_status lake_table_load(struct dm_lake *lake, const struct dm_catalog_table *row,
                               struct lake_table **out, struct dm_error *err) DM_MUST_USE;
/* The table's metadata, parsed anew when it was dropped. Borrowed until the next call. */
enum dm_status lake_table_meta(struct dm_lake *lake, struct lake_table *t, struct dm_metadata **out,
                               struct dm_error *err) DM_MUST_USE;
/* Replaces (or with NULL drops) the metadata in memory, and drops others' when there is too much. */
void lake_table_keep_meta(struct dm_lake *lake, struct lake_table *t, struct dm_metadata *meta);
void lake_table_free(struct dm_lake *lake, struct lake_table *t);

/* dataset.c */
enum dm_status lake_read_file(const char *path, size_t max, struct dm_buffer *out,
                              struct dm_error *err) DM_MUST_USE;
enum dm_status lake_metadata_read(const char *uri, struct dm_metadata **out,
                                  struct dm_error *err) DM_MUST_USE;
enum dm_status lake_manifest_list_read(const char *uri, struct dm_manifest_list *out,
                                       struct dm_error *err) DM_MUST_USE;
/* The manifest with everything that is inherited filled in (sequence numbers, snapshot, first row id). */
enum dm_status lake_manifest_read(const struct dm_manifest_file *file, struct dm_manifest *out,
                                  struct dm_error *err) DM_MUST_USE;
enum dm_status lake_dataset_load(const char *namespace, const char *name, const struct dm_metadata *m,
                                 struct lake_dataset **out, struct dm_error *err) DM_MUST_USE;
/* As a snapshot of the metadata has it (NULL: empty), under the schema. */
enum dm_status lake_dataset_load_snapshot(const char *namespace, const char *name,
                                          const struct dm_metadata *m, const struct dm_snapshot *s,
                                          const struct dm_schema *schema, struct lake_dataset **out,
                                          struct dm_error *err) DM_MUST_USE;
void lake_dataset_free(struct lake_dataset *ds);
/* The file number in a data file's path or URI; 0 when the name is not one of ours. */
uint32_t lake_file_number(const char *path);
/* N of ".../NNNNN-<uuid>.metadata.json"; 0 when it has none. */
uint32_t lake_metadata_version(const char *uri);
/* hint.c: version-hint.text and vN.metadata.json of the table whose current metadata file this is. */
enum dm_status lake_hint_write(const char *metadata_location, struct dm_error *err) DM_MUST_USE;
char *lake_hint_link_path(
    const char *metadata_location); /* …/metadata/vN.metadata.json, malloc; NULL: not a path */
struct dm_data_file *lake_dataset_find(struct lake_dataset *ds, uint32_t number);

#endif
