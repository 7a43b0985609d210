/* The lake: open and close, and the tables it has loaded. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "lake/lake_internal.h"

/* Metadata of tables that nobody writes at the moment is not worth more memory than this. */
enum { MAX_META_BYTES = 48 << 20 };

void lake_lock(struct dm_lake *lake)
{
    pthread_mutex_lock(&lake->lock);
}

void lake_unlock(struct dm_lake *lake)
{
    pthread_mutex_unlock(&lake->lock);
}

static enum dm_status find_folder(struct dm_lake *lake, const struct dm_lake_options *o, struct dm_error *err)
{
    if (o->read_only && !dm_file_exists(o->folder))
        return dm_fail(err, DM_ERROR_CONFIG,
                       "check `lake:` in the configuration; `datamirror run` creates the lake",
                       "there is no lake here: %s does not exist", o->folder);
    if (!o->read_only && dm_file_make_folders(o->folder, err) != DM_OK)
        return DM_FAIL;
    lake->folder = realpath(o->folder, NULL);
    if (lake->folder == NULL)
        return dm_fail_errno(err, "cannot find the lake folder %s", o->folder);
    if (strpbrk(lake->folder, "#?") != NULL)
        return dm_fail(err, DM_ERROR_CONFIG, "move the lake to a folder without these characters",
                       "%s: readers of Iceberg tables cannot open paths with '#' or '?'", lake->folder);
    return DM_OK;
}

enum dm_status dm_lake_open(const struct dm_lake_options *options, struct dm_lake **out, struct dm_error *err)
{
    if (options->format_version != 0 && options->format_version != 3)
        return dm_fail(err, DM_ERROR_CONFIG, "leave format_version out, or set it to 3",
                       "format_version %d: this version of Data Mirror writes Iceberg format version 3 only",
                       options->format_version);
    struct dm_lake *lake = dm_xzalloc(1, sizeof *lake);
    lake->format_version = 3;
    lake->metadata_versions = options->metadata_versions > 0 ? options->metadata_versions : 100;
    lake->snapshot_retention_ms = options->snapshot_retention_ms;
    lake->read_only = options->read_only;
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lake->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    enum dm_status status = find_folder(lake, options, err);
    if (status == DM_OK) {
        char *path = dm_xasprintf("%s/catalog.db", lake->folder);
        const char *name = options->catalog_name != NULL ? options->catalog_name : "datamirror";
        status = dm_catalog_open(&lake->catalog, path, name, lake->read_only, err);
        free(path);
    }
    if (status == DM_OK && !lake->read_only)
        status = dm_file_sync(lake->folder, err); /* the entry of catalog.db */
    if (status != DM_OK) {
        dm_lake_close(lake);
        return status;
    }
    *out = lake;
    return DM_OK;
}

void lake_table_free(struct dm_lake *lake, struct lake_table *t)
{
    if (t == NULL)
        return;
    lake->meta_bytes -= t->meta_bytes;
    dm_metadata_free(t->meta);
    lake_dataset_free(t->ds);
    free(t->namespace);
    free(t->name);
    free(t->metadata_location);
    free(t);
}

void dm_lake_close(struct dm_lake *lake)
{
    if (lake == NULL)
        return;
    for (size_t i = 0; i < lake->tables.slots; i++)
        if (lake->tables.table[i].namespace != NULL)
            lake_table_free(lake, lake->tables.table[i].value);
    dm_name_map_release(&lake->tables);
    for (size_t i = 0; i < lake->n_kept; i++)
        lake_dataset_free(lake->kept[i]);
    free(lake->kept);
    for (size_t i = 0; i < lake->n_kept_memory; i++)
        free(lake->kept_memory[i]);
    free(lake->kept_memory);
    dm_catalog_close(&lake->catalog);
    pthread_mutex_destroy(&lake->lock);
    free(lake->folder);
    free(lake);
}

struct sqlite3 *dm_lake_sqlite(struct dm_lake *lake)
{
    return lake->catalog.db;
}

enum dm_status dm_lake_list(struct dm_lake *lake, struct dm_dataset_name **names, size_t *n,
                            struct dm_error *err)
{
    struct dm_catalog_table *tables = NULL;
    size_t count = 0;
    if (dm_catalog_tables(&lake->catalog, NULL, NULL, &tables, &count, err) != DM_OK)
        return DM_FAIL;
    *names = dm_xzalloc(count + 1, sizeof **names);
    *n = count;
    for (size_t i = 0; i < count; i++) {
        (*names)[i] = (struct dm_dataset_name){tables[i].namespace, tables[i].name};
        free(tables[i].metadata_location);
    }
    free(tables);
    return DM_OK;
}

void dm_dataset_names_free(struct dm_dataset_name *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(names[i].namespace);
        free(names[i].name);
    }
    free(names);
}

enum dm_status dm_lake_metadata_location(struct dm_lake *lake, const char *namespace, const char *name,
                                         char **out, struct dm_error *err)
{
    struct dm_catalog_table *tables = NULL;
    size_t n = 0;
    if (dm_catalog_tables(&lake->catalog, namespace, name, &tables, &n, err) != DM_OK)
        return DM_FAIL;
    *out = n == 0 ? NULL : dm_xstrdup(tables[0].metadata_location);
    dm_catalog_tables_free(tables, n);
    return DM_OK;
}

void lake_table_keep_meta(struct dm_lake *lake, struct lake_table *t, struct dm_metadata *meta)
{
    if (meta != t->meta)
        dm_metadata_free(t->meta);
    lake->meta_bytes -= t->meta_bytes;
    t->meta = meta;
    t->meta_bytes = meta == NULL ? 0 : dm_metadata_bytes(meta);
    t->meta_used = ++lake->clock;
    lake->meta_bytes += t->meta_bytes;
    if (lake->meta_bytes <= MAX_META_BYTES)
        return;
    /* Drop all that was not among the last few hundred uses: simple, and rare enough. */
    uint64_t recent = lake->clock > 200 ? lake->clock - 200 : 0;
    for (size_t i = 0; i < lake->tables.slots; i++) {
        struct lake_table *other = lake->tables.table[i].value;
        if (other == NULL || other == t || other->meta_used > recent)
            continue;
        dm_metadata_free(other->meta);
        other->meta = NULL;
        lake->meta_bytes -= other->meta_bytes;
        other->meta_bytes = 0;
    }
}

enum dm_status lake_table_meta(struct dm_lake *lake, struct lake_table *t, struct dm_metadata **out,
                               struct dm_error *err)
{
    if (t->meta == NULL) {
        struct dm_metadata *meta = NULL;
        if (lake_metadata_read(t->metadata_location, &meta, err) != DM_OK)
            return DM_FAIL;
        lake_table_keep_meta(lake, t, meta);
    }
    t->meta_used = ++lake->clock;
    *out = t->meta;
    return DM_OK;
}

/* The absolute paths in the metadata are what readers follow; a lake that was moved would be read half here, half there. */
static enum dm_status check_location(const struct dm_lake *lake, const struct dm_metadata *m,
                                     struct dm_error *err)
{
    char *location = dm_store_path(m->location);
    size_t n = strlen(lake->folder);
    bool inside = location != NULL && strncmp(location, lake->folder, n) == 0 && location[n] == '/';
    free(location);
    if (!inside)
        return dm_fail(err, DM_ERROR_CONFIG, "move the lake back, or begin with a new lake folder",
                       "the lake was moved: its tables are at %s, not in %s", m->location, lake->folder);
    return DM_OK;
}

enum dm_status lake_table_load(struct dm_lake *lake, const struct dm_catalog_table *row,
                               struct lake_table **out, struct dm_error *err)
{
    struct lake_table *t = dm_name_map_get(&lake->tables, row->namespace, row->name);
    if (t != NULL && strcmp(t->metadata_location, row->metadata_location) == 0) {
        *out = t;
        return DM_OK;
    }
    struct dm_metadata *meta = NULL;
    struct lake_dataset *ds = NULL;
    if (lake_metadata_read(row->metadata_location, &meta, err) != DM_OK)
        return DM_FAIL;
    if (check_location(lake, meta, err) != DM_OK ||
        lake_dataset_load(row->namespace, row->name, meta, &ds, err) != DM_OK) {
        dm_metadata_free(meta);
        return DM_FAIL;
    }
    if (t == NULL) {
        t = dm_xzalloc(1, sizeof *t);
        t->namespace = dm_xstrdup(row->namespace);
        t->name = dm_xstrdup(row->name);
        dm_name_map_put(&lake->tables, row->namespace, row->name, t);
    } else { /* read-only and the pointer moved: what was handed out stays valid */
        lake->kept = dm_xrealloc(lake->kept, lake->n_kept + 1, sizeof *lake->kept);
        lake->kept[lake->n_kept++] = t->ds;
        free(t->metadata_location);
    }
    t->metadata_location = dm_xstrdup(row->metadata_location);
    t->version = lake_metadata_version(row->metadata_location);
    t->next_file = meta->next_file;
    t->ds = ds;
    lake_table_keep_meta(lake, t, meta);
    *out = t;
    return DM_OK;
}

enum dm_status lake_table_get(struct dm_lake *lake, const char *namespace, const char *name,
                              struct lake_table **out, struct dm_error *err)
{
    struct lake_table *t = dm_name_map_get(&lake->tables, namespace, name);
    *out = t;
    if (t != NULL && !lake->read_only)
        return DM_OK;
    /* A reader may find the pointer and lose the file to the writer's clean-up before it opens it: look again. */
    for (int attempt = 0;; attempt++) {
        struct dm_catalog_table *rows = NULL;
        size_t n = 0;
        if (dm_catalog_tables(&lake->catalog, namespace, name, &rows, &n, err) != DM_OK)
            return DM_FAIL;
        *out = NULL;
        enum dm_status status = n == 0 ? DM_OK : lake_table_load(lake, &rows[0], out, err);
        dm_catalog_tables_free(rows, n);
        if (status == DM_OK || !lake->read_only || attempt == 3)
            return status;
    }
}

enum dm_status dm_lake_dataset(struct dm_lake *lake, const char *namespace, const char *name,
                               const struct dm_dataset **out, struct dm_error *err)
{
    struct lake_table *t = NULL;
    lake_lock(lake);
    enum dm_status status = lake_table_get(lake, namespace, name, &t, err);
    *out = status == DM_OK && t != NULL ? &t->ds->pub : NULL;
    lake_unlock(lake);
    return status;
}

enum dm_status dm_lake_snapshots(struct dm_lake *lake, const char *namespace, const char *name, size_t *n,
                                 struct dm_error *err)
{
    struct lake_table *t = NULL;
    struct dm_metadata *meta = NULL;
    *n = 0;
    lake_lock(lake);
    enum dm_status status = lake_table_get(lake, namespace, name, &t, err);
    if (status == DM_OK && t != NULL)
        status = lake_table_meta(lake, t, &meta, err);
    if (meta != NULL)
        *n = meta->n_snapshots;
    lake_unlock(lake);
    return status;
}

enum dm_status dm_lake_dataset_at(struct dm_lake *lake, const char *metadata_location,
                                  struct dm_dataset **out, struct dm_error *err)
{
    struct dm_metadata *meta = NULL;
    struct lake_dataset *ds = NULL;
    if (lake_metadata_read(metadata_location, &meta, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = check_location(lake, meta, err);
    if (status == DM_OK)
        status = lake_dataset_load("", "", meta, &ds, err);
    dm_metadata_free(meta);
    if (status == DM_OK)
        *out = &ds->pub;
    else
        dm_error_prefix(err, "%s", metadata_location);
    return status;
}
