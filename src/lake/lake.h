/* lake.h — Iceberg tables in a local folder with an embedded catalog; commits that move several tables at once.
 *
 *   <lake>/catalog.db                                   SQLite: iceberg_tables (JDBC catalog layout) + the mirror's own tables
 *   <lake>/<namespace>/<table>/data/00000007-<rand>.parquet     file number 7 of the dataset
 *   <lake>/<namespace>/<table>/data/dv-<snapshot>-<rand>.puffin   deletion vectors (one puffin a commit, one blob a data file)
 *   <lake>/<namespace>/<table>/metadata/…               manifests, manifest lists, NNNNN-<uuid>.metadata.json,
 *                                                       vN.metadata.json (hard link or copy), version-hint.text
 *
 * Commit protocol: dm_commit_write makes every file durable under names that nothing refers to; dm_commit_publish swaps all
 * metadata pointers, and runs the caller's SQL, in one SQLite transaction. A crash before publish leaves garbage
 * files that dm_lake_sweep removes.
 *
 * Threads: one lake belongs to one process (the caller holds the lock file); one commit at a time, in one thread.
 * dm_commit_new_file may be called from several threads. dm_dataset values are read between commits, or by the committing thread.
 */
#ifndef DM_LAKE_LAKE_H
#define DM_LAKE_LAKE_H

#include <roaring/roaring.h>

#include "column/day.h"
#include "column/schema.h"
#include "engine/parquet_write.h"

struct sqlite3;
struct dm_lake;
struct dm_commit;

struct dm_lake_options {
    const char *folder;
    const char *catalog_name; /* catalog_name in iceberg_tables */
    int format_version; /* for new tables: 3 (or 0, which means 3); 2 is refused: position delete files are not written */
    int metadata_versions; /* metadata files kept per dataset, and the most snapshots kept (0: 100) */
    int64_t
        snapshot_retention_ms; /* snapshots older than this are expired; 0: by number only. The latest always stays; what stays of the
                                    * others is in dm_metadata_expire: at one commit a second, all would be 600 000 after a week */
    bool read_only; /* status, query: never writes, never takes locks for long */
};

/* A live data file of a dataset. */
struct dm_data_file {
    uint32_t number; /* from its name; unique in the dataset for ever */
    char *path;      /* absolute file path */
    uint64_t rows;
    uint64_t bytes;
    int64_t sequence_number; /* data sequence number */
    int64_t added_snapshot;
    int64_t first_row_id;      /* row lineage; -1 when unknown */
    roaring_bitmap_t *deleted; /* loaded deletion vector; NULL: none. Owned by the dataset */
    uint64_t deleted_rows;
    int32_t day;              /* of all its rows; DM_NO_DAY: not divided by day */
    uint32_t manifest;        /* the lake's own: key of the manifest that holds the file */
    uint32_t vector_manifest; /* the lake's own: key of the delete manifest that holds its vector; 0: none */
};

/* A dataset as its current snapshot is. Owned by the lake; valid until the next publish or close. */
struct dm_dataset {
    char *namespace;
    char *name;
    char *location;                 /* absolute folder */
    const struct dm_schema *schema; /* current; ids assigned */
    int32_t last_column_id;
    int32_t day_field; /* id of the column whose day divides the rows into files; 0: none */
    int format_version;
    int64_t snapshot_id; /* 0: no snapshot yet */
    int64_t parent_snapshot_id;
    int64_t sequence_number;
    uint64_t live_rows; /* rows minus deleted */
    size_t n_files;
    struct dm_data_file *files; /* ascending by number */
};

/* Creates the lake when it is not there (unless read_only: then a missing lake is a CONFIG error with a hint). */
enum dm_status dm_lake_open(const struct dm_lake_options *options, struct dm_lake **out,
                            struct dm_error *err) DM_MUST_USE;
void dm_lake_close(struct dm_lake *lake);
/* The catalog's connection, for the mirror's own tables (state, positions, quarantine). The lake owns it. It is writable where the
 * file is, also in a read-only lake (for requests to a running mirror); the lake itself then writes nothing. */
struct sqlite3 *dm_lake_sqlite(struct dm_lake *lake);

/* All dataset names of the catalog. */
struct dm_dataset_name {
    char *namespace;
    char *name;
};
enum dm_status dm_lake_list(struct dm_lake *lake, struct dm_dataset_name **names, size_t *n,
                            struct dm_error *err) DM_MUST_USE;
void dm_dataset_names_free(struct dm_dataset_name *names, size_t n);
/* Loads the dataset (cached; a read-only lake looks at the pointer again each time, and keeps all that it handed out until it is closed).
 * *out NULL when the catalog has none. */
enum dm_status dm_lake_dataset(struct dm_lake *lake, const char *namespace, const char *name,
                               const struct dm_dataset **out, struct dm_error *err) DM_MUST_USE;
/* The dataset as an older metadata file has it (verify at a pin), with empty names; the caller frees it with dm_dataset_free. The file is there for
 * metadata_versions commits, what it refers to until a sweep after that. */
enum dm_status dm_lake_dataset_at(struct dm_lake *lake, const char *metadata_location,
                                  struct dm_dataset **out, struct dm_error *err) DM_MUST_USE;
void dm_dataset_free(struct dm_dataset *d);
/* All datasets' current metadata locations in one catalog read: what a pin remembers. */
enum dm_status dm_lake_metadata_location(struct dm_lake *lake, const char *namespace, const char *name,
                                         char **out, struct dm_error *err) DM_MUST_USE;
const struct dm_data_file *dm_dataset_file(const struct dm_dataset *d, uint32_t number); /* or NULL */

/* Gives ids to the fields of `wanted` (as a source sees the table): a field with the source_ref (or, when that is 0, the name) of a
 * field of `current` keeps its id; others get new ids after *last_column_id. List elements too. `current` may be NULL. The result is a new schema
 * (one reference). Refuses (DATA error) type changes that are not widening. Fields new in a dataset that has rows are made optional. */
enum dm_status dm_schema_evolve(const struct dm_schema *current, const struct dm_schema *wanted,
                                int32_t *last_column_id, struct dm_schema **out,
                                struct dm_error *err) DM_MUST_USE;

/* ---- commits ---- */

struct dm_commit_summary {
    const char *source;     /* datamirror.source */
    const char *position;   /* datamirror.position */
    int64_t commit_time_us; /* datamirror.source-commit-time; 0: left out */
};

enum dm_status dm_commit_begin(struct dm_lake *lake, struct dm_commit **out,
                               struct dm_error *err) DM_MUST_USE;
/* Frees the commit. Before publish it also removes the files that it wrote and those that came from dm_commit_new_file; after publish, those that
 * were added and removed again by the same commit. */
void dm_commit_free(struct dm_commit *c);

/* A dataset that this commit creates (also in place of one that it dropped). The schema's ids are assigned by dm_schema_evolve. */
enum dm_status dm_commit_create(struct dm_commit *c, const char *namespace, const char *name,
                                const struct dm_schema *schema, struct dm_error *err) DM_MUST_USE;
/* Divides a dataset that this commit creates by the day of a required time column, for good: each of its files holds rows of one day. */
enum dm_status dm_commit_divide_by_day(struct dm_commit *c, const char *namespace, const char *name,
                                       int32_t field_id, struct dm_error *err) DM_MUST_USE;
/* The column whose day divides the dataset, as dm_dataset has it, also for a dataset that this commit creates; 0: none. */
int32_t dm_commit_day_field(struct dm_commit *c, const char *namespace, const char *name);
enum dm_status dm_commit_set_schema(struct dm_commit *c, const char *namespace, const char *name,
                                    const struct dm_schema *schema, struct dm_error *err) DM_MUST_USE;
/* Drop: out of the catalog; files are left for the sweep after retention. Rename: pointer only. */
enum dm_status dm_commit_drop(struct dm_commit *c, const char *namespace, const char *name,
                              struct dm_error *err) DM_MUST_USE;
/* The schema of the dataset as the commit leaves it; NULL: there is none of that name then. Borrowed until the next change. */
enum dm_status dm_commit_schema(struct dm_commit *c, const char *namespace, const char *name,
                                const struct dm_schema **schema, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_commit_rename(struct dm_commit *c, const char *namespace, const char *name,
                                const char *new_namespace, const char *new_name,
                                struct dm_error *err) DM_MUST_USE;
/* A new file number and path for a data file of the dataset. Creates the folder. Thread safe. The path is malloc'ed. */
enum dm_status dm_commit_new_file(struct dm_commit *c, const char *namespace, const char *name,
                                  uint32_t *number, char **path, struct dm_error *err) DM_MUST_USE;
/* The file (already durable) becomes part of the dataset. `result` is what the engine said of it. In a dataset that is divided by day all its rows
 * are of one day. */
enum dm_status dm_commit_add_file(struct dm_commit *c, const char *namespace, const char *name,
                                  uint32_t number, const char *path, const struct dm_parquet_result *result,
                                  struct dm_error *err) DM_MUST_USE;
/* Rows of a live file, or of one added by this commit, are deleted. Repeated positions are fine. */
enum dm_status dm_commit_delete_rows(struct dm_commit *c, const char *namespace, const char *name,
                                     uint32_t file, const uint32_t *positions, size_t n,
                                     struct dm_error *err) DM_MUST_USE;
/* Removes one live file from the dataset (compaction), or all there are so far, added ones included (truncate, resync). */
enum dm_status dm_commit_remove_file(struct dm_commit *c, const char *namespace, const char *name,
                                     uint32_t file, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_commit_remove_all(struct dm_commit *c, const char *namespace, const char *name,
                                    struct dm_error *err) DM_MUST_USE;
/* After this commit nothing of the dataset's past is referred to any more (erasing): older snapshots and metadata files are forgotten, and so are the entries
 * of removed files with their statistics. A snapshot is made also when nothing else changes. What is left over goes with dm_lake_sweep_dataset. */
enum dm_status dm_commit_expire_all(struct dm_commit *c, const char *namespace, const char *name,
                                    struct dm_error *err) DM_MUST_USE;
/* The dataset gets a snapshot in this commit even if only its schema changes (another key: the key index's tag must tell before from after). */
enum dm_status dm_commit_mark(struct dm_commit *c, const char *namespace, const char *name,
                              struct dm_error *err) DM_MUST_USE;
/* Path of a file that this commit added or the dataset has; NULL: unknown number. Borrowed. */
const char *dm_commit_file_path(struct dm_commit *c, const char *namespace, const char *name, uint32_t file);

/* Step 1: writes deletion vectors, manifests, manifest lists and metadata, all durable, for every dataset touched (a dataset with
 * only a new schema gets new metadata and no snapshot). */
enum dm_status dm_commit_write(struct dm_commit *c, const struct dm_commit_summary *summary,
                               struct dm_error *err) DM_MUST_USE;
/* The snapshot that this commit gives the dataset (after dm_commit_write); 0 when it makes none. */
int64_t dm_commit_snapshot(struct dm_commit *c, const char *namespace, const char *name);
/* Step 2: one SQLite transaction: `extra` (may be NULL) runs the caller's statements in it, then all pointers move. Fails with CONFLICT when a
 * pointer is not what this lake loaded. Afterwards dm_lake_dataset answers the new state; dm_commit_free remains to be called. */
typedef enum dm_status (*dm_commit_extra)(void *ctx, struct sqlite3 *db, struct dm_error *err);
enum dm_status dm_commit_publish(struct dm_commit *c, dm_commit_extra extra, void *ctx,
                                 struct dm_error *err) DM_MUST_USE;

/* Removes files that no retained metadata refers to (crash leftovers, expired snapshots), min_age_ms after a sweep first saw them so: readers of
 * a snapshot that has just expired get that much time. 0: at once. Also the folders of datasets dropped longer ago than the retention.
 * Never called while a commit is open. *removed (may be NULL). */
enum dm_status dm_lake_sweep(struct dm_lake *lake, int64_t min_age_ms, uint64_t *removed,
                             struct dm_error *err) DM_MUST_USE;
/* The same for one dataset, at once: readers of older snapshots lose their files. Also the folders that dropped datasets of its name left. What
 * is gone from its folders, now or before, is gone durably. Both counts may be NULL and are added to. */
enum dm_status dm_lake_sweep_dataset(struct dm_lake *lake, const char *namespace, const char *name,
                                     uint64_t *files, uint64_t *bytes, struct dm_error *err) DM_MUST_USE;
/* Hints for readers without the catalog (version-hint.text, vN.metadata.json) that a crash left behind the catalog are written again. Only the holder of
 * the lake may call it; a read-only lake will do. */
enum dm_status dm_lake_mend_hints(struct dm_lake *lake, size_t *mended, struct dm_error *err) DM_MUST_USE;
/* Snapshots that the dataset has now; 0: there is no such dataset. */
enum dm_status dm_lake_snapshots(struct dm_lake *lake, const char *namespace, const char *name, size_t *n,
                                 struct dm_error *err) DM_MUST_USE;
/* The snapshots that the dataset's current metadata keeps, oldest first; the files that they refer to are there, too. free() the array. */
struct dm_past_snapshot {
    int64_t id;
    int64_t timestamp_ms;
};
enum dm_status dm_lake_past(struct dm_lake *lake, const char *namespace, const char *name,
                            struct dm_past_snapshot **out, size_t *n, struct dm_error *err) DM_MUST_USE;
/* The dataset as one of them has it; the caller frees it with dm_dataset_free. *out NULL: no such snapshot is kept. The schema is the one it was made
 * with; when that is not the current one, its key is known only where Iceberg knows it (identifier fields), else it has none. */
enum dm_status dm_lake_dataset_past(struct dm_lake *lake, const char *namespace, const char *name,
                                    int64_t snapshot, struct dm_dataset **out,
                                    struct dm_error *err) DM_MUST_USE;
/* Data files in the dataset's folder that its current snapshot does not refer to: of older snapshots, merged away, or left by a crash. */
struct dm_leftovers {
    size_t n;
    char **paths;
    size_t torn; /* files besides that are no whole ones: nobody can read them */
};
enum dm_status dm_lake_leftovers(const struct dm_dataset *d, struct dm_leftovers *out,
                                 struct dm_error *err) DM_MUST_USE;
void dm_leftovers_release(struct dm_leftovers *l);
/* Is every file that the current snapshot refers to there, with its size? *what NULL: yes, or there is no such dataset; else the first that is not, malloc.
 * Looks at no more than *looks data files, and counts them off. */
enum dm_status dm_lake_look(struct dm_lake *lake, const char *namespace, const char *name, size_t *looks,
                            char **what, struct dm_error *err) DM_MUST_USE;
/* Takes a dataset whose metadata cannot be read out of the catalog, for one that is about to take its place; what is left of its files goes with
 * the sweep. */
enum dm_status dm_lake_forget(struct dm_lake *lake, const char *namespace, const char *name,
                              struct dm_error *err) DM_MUST_USE;
/* SQLite's own check of catalog.db. *problem NULL: sound; else what it found first, malloc. */
enum dm_status dm_lake_check_catalog(struct dm_lake *lake, char **problem, struct dm_error *err) DM_MUST_USE;
/* doctor: checks that every file that the current snapshots refer to is there, with its size, and can be parsed. Each finding calls fn. */
typedef void (*dm_lake_finding)(void *ctx, const char *namespace, const char *name, const char *path,
                                const char *what);
enum dm_status dm_lake_check(struct dm_lake *lake, dm_lake_finding fn, void *ctx,
                             struct dm_error *err) DM_MUST_USE;

#endif
