/* An open commit: the calls that say what it shall change. Nothing is written here but folders. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "lake/commit_internal.h"
#include "lake/iceberg/day_spec.h"

/* Stands in by_name for a dataset that the commit dropped or renamed away. */
static struct table_commit gone;

enum dm_status dm_commit_begin(struct dm_lake *lake, struct dm_commit **out, struct dm_error *err)
{
    if (lake->read_only)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a commit in a lake that was opened read-only");
    if (lake->open_commit != NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a second commit while one is open");
    struct dm_commit *c = dm_xzalloc(1, sizeof *c);
    c->lake = lake;
    lake->open_commit = c;
    *out = c;
    return DM_OK;
}

static void free_table_commit(struct table_commit *t)
{
    for (size_t i = 0; i < t->n_added; i++) {
        free(t->added[i].file.path);
        free(t->added[i].stats);
        if (t->added[i].file.deleted != NULL)
            roaring_bitmap_free(t->added[i].file.deleted);
    }
    for (size_t i = 0; t->live_deleted != NULL && i < t->n_live; i++)
        if (t->live_deleted[i] != NULL)
            roaring_bitmap_free(t->live_deleted[i]);
    for (size_t i = 0; i < t->n_manifests; i++)
        free(t->manifests[i].file.path);
    for (size_t i = 0; i < t->n_pruned; i++)
        free(t->pruned[i]);
    free(t->added);
    free(t->live_deleted);
    free(t->live_removed);
    free(t->live_manifest);
    free(t->live_vector_manifest);
    free(t->manifests);
    free(t->pruned);
    dm_metadata_free(t->meta);
    dm_schema_unref(t->schema);
    free(t->metadata_location);
    free(t->location);
    free(t->namespace);
    free(t->name);
    free(t);
}

/* Best effort: what stays behind is found by the sweep. */
static void remove_unpublished(struct dm_commit *c)
{
    dm_store_remove_written(&c->store);
    for (size_t i = 0; i < c->n_paths; i++)
        (void)unlink(c->paths[i]);
    for (size_t i = 0; i < c->n_tables; i++) {
        const struct table_commit *t = c->tables[i];
        if (t->table != NULL)
            continue;
        static const char *const parts[] = {"/data", "/metadata", ""};
        for (size_t p = 0; p < 3; p++) { /* rmdir takes empty folders only */
            char *folder = dm_xasprintf("%s%s", t->location, parts[p]);
            (void)rmdir(folder);
            free(folder);
        }
    }
}

static void remove_gone_files(const struct table_commit *t)
{
    for (size_t i = 0; i < t->n_added; i++)
        if (t->added[i].gone && t->added[i].file.path != NULL)
            (void)unlink(t->added[i].file.path);
}

void dm_commit_free(struct dm_commit *c)
{
    if (c == NULL)
        return;
    lake_lock(c->lake);
    if (!c->published && !c->uncertain)
        remove_unpublished(c);
    for (size_t i = 0; i < c->n_tables; i++) {
        if (c->published)
            remove_gone_files(c->tables[i]);
        free_table_commit(c->tables[i]);
    }
    free(c->tables);
    for (size_t i = 0; i < c->n_paths; i++)
        free(c->paths[i]);
    free(c->paths);
    dm_name_map_release(&c->by_name);
    dm_store_release(&c->store);
    c->lake->open_commit = NULL;
    lake_unlock(c->lake);
    free(c);
}

static struct table_commit *new_table_commit(struct dm_commit *c, const char *namespace, const char *name)
{
    struct table_commit *t = dm_xzalloc(1, sizeof *t);
    t->namespace = dm_xstrdup(namespace);
    t->name = dm_xstrdup(name);
    if ((c->n_tables & (c->n_tables - 1)) == 0) /* a power of two (or none): double the room */
        c->tables = dm_xrealloc(c->tables, c->n_tables == 0 ? 1 : c->n_tables * 2, sizeof *c->tables);
    c->tables[c->n_tables++] = t;
    dm_name_map_put(&c->by_name, namespace, name, t);
    return t;
}

/* What the commit holds for the dataset; a dataset of the lake is taken up at the first call. The lake is locked. */
static enum dm_status touch(struct dm_commit *c, const char *namespace, const char *name,
                            struct table_commit **out, struct dm_error *err)
{
    struct table_commit *t = dm_name_map_get(&c->by_name, namespace, name);
    if (c->written)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a change after the commit was written (%s.%s)", namespace,
                       name);
    if (t == NULL) {
        struct lake_table *table = NULL;
        if (lake_table_get(c->lake, namespace, name, &table, err) != DM_OK)
            return DM_FAIL;
        if (table != NULL) {
            t = new_table_commit(c, namespace, name);
            t->table = table;
            t->location = dm_xstrdup(table->ds->pub.location);
            t->live = table->ds->pub.files;
            t->n_live = table->ds->pub.n_files;
            t->day_field = table->ds->pub.day_field;
        }
    }
    if (t == NULL || t == &gone)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "the lake has no dataset %s.%s", namespace, name);
    *out = t;
    return DM_OK;
}

/* ---- datasets come, go and change ---- */

static bool location_in_commit(const struct dm_commit *c, const char *location)
{
    for (size_t i = 0; i < c->n_tables; i++)
        if (c->tables[i]->location != NULL && strcmp(c->tables[i]->location, location) == 0)
            return true;
    return false;
}

/* A folder that no other dataset lives in: after a rename, the folder of the old name still belongs to the renamed dataset. */
static enum dm_status choose_location(struct dm_commit *c, struct table_commit *t, struct dm_error *err)
{
    char *namespace = dm_store_folder_name(t->namespace);
    char *name = dm_store_folder_name(t->name);
    char *base = dm_xasprintf("%s/%s/%s", c->lake->folder, namespace, name);
    char *location = dm_xstrdup(base);
    enum dm_status status = DM_OK;
    for (int n = 2;; n++) {
        bool used = location_in_commit(c, location);
        if (!used && dm_file_exists(location)) {
            char *uri = dm_store_uri(location);
            status = dm_catalog_folder_used(&c->lake->catalog, uri, &used, err);
            free(uri);
        }
        if (status != DM_OK || !used)
            break;
        free(location);
        location =
            dm_xasprintf("%s~%d", base, n); /* '~': no folder name of another dataset looks like this */
    }
    if (status == DM_OK) {
        char *metadata = dm_xasprintf("%s/metadata", location);
        status = dm_file_make_folders(metadata, err);
        char *hint = dm_xasprintf("%s/version-hint.text", metadata);
        (void)unlink(hint); /* left by a dataset that was here before: the number must begin anew */
        free(hint);
        free(metadata);
        char *parent = dm_xasprintf("%s/%s", c->lake->folder, namespace);
        dm_store_folder(&c->store, location);
        dm_store_folder(&c->store, parent);
        dm_store_folder(&c->store, c->lake->folder);
        free(parent);
    }
    t->location = location;
    free(base);
    free(name);
    free(namespace);
    return status;
}

static void set_schema(struct table_commit *t, const struct dm_schema *schema)
{
    int32_t highest = dm_schema_highest_id(schema);
    t->schema = dm_schema_ref(schema);
    t->highest_id = highest > t->highest_id ? highest : t->highest_id;
}

static enum dm_status create(struct dm_commit *c, const char *namespace, const char *name,
                             const struct dm_schema *schema, struct dm_error *err)
{
    struct lake_table *table = NULL;
    struct table_commit *t = dm_name_map_get(&c->by_name, namespace, name);
    if (c->written)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a change after the commit was written (%s.%s)", namespace,
                       name);
    if (t == NULL && lake_table_get(c->lake, namespace, name, &table, err) != DM_OK)
        return DM_FAIL;
    if (table != NULL || (t != NULL && t != &gone))
        return dm_fail(err, DM_ERROR_FATAL, NULL, "the lake already has a dataset %s.%s", namespace, name);
    if (strlen(namespace) == 0 || strlen(namespace) > 255 || strlen(name) == 0 || strlen(name) > 255)
        return dm_fail(err, DM_ERROR_DATA, "rename it in the configuration or leave it out",
                       "the name of the dataset %s.%s is empty or longer than 255 bytes", namespace, name);
    t = new_table_commit(c, namespace, name);
    t->next_file = 1;
    set_schema(t, schema);
    return choose_location(c, t, err);
}

enum dm_status dm_commit_create(struct dm_commit *c, const char *namespace, const char *name,
                                const struct dm_schema *schema, struct dm_error *err)
{
    lake_lock(c->lake);
    enum dm_status status = create(c, namespace, name, schema, err);
    lake_unlock(c->lake);
    return status;
}

static const struct dm_schema *schema_of(const struct table_commit *t)
{
    return t->schema != NULL ? t->schema : t->table->ds->pub.schema;
}

enum dm_status dm_commit_schema(struct dm_commit *c, const char *namespace, const char *name,
                                const struct dm_schema **schema, struct dm_error *err)
{
    struct lake_table *table = NULL;
    *schema = NULL;
    lake_lock(c->lake);
    const struct table_commit *t = dm_name_map_get(&c->by_name, namespace, name);
    enum dm_status status = t == NULL ? lake_table_get(c->lake, namespace, name, &table, err) : DM_OK;
    if (t != NULL && t != &gone)
        *schema = schema_of(t);
    else if (table != NULL)
        *schema = table->ds->pub.schema;
    lake_unlock(c->lake);
    return status;
}

enum dm_status dm_commit_divide_by_day(struct dm_commit *c, const char *namespace, const char *name,
                                       int32_t field_id, struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    int at = status == DM_OK ? dm_schema_find_id(schema_of(t), field_id) : -1;
    if (status == DM_OK && (t->table != NULL || t->n_added > 0))
        status = dm_fail(err, DM_ERROR_FATAL, NULL, "%s.%s: only a new dataset can be divided by day",
                         namespace, name);
    else if (status == DM_OK && (at < 0 || !dm_day_has(schema_of(t)->fields[at].type)))
        status = dm_fail(err, DM_ERROR_FATAL, NULL, "%s.%s: the days of a column that is no time", namespace,
                         name);
    if (status == DM_OK)
        t->day_field = field_id;
    lake_unlock(c->lake);
    return status;
}

int32_t dm_commit_day_field(struct dm_commit *c, const char *namespace, const char *name)
{
    struct table_commit *t = NULL;
    struct dm_error ignored = {0};
    lake_lock(c->lake);
    int32_t field = touch(c, namespace, name, &t, &ignored) == DM_OK ? t->day_field : 0;
    lake_unlock(c->lake);
    return field;
}

enum dm_status dm_commit_set_schema(struct dm_commit *c, const char *namespace, const char *name,
                                    const struct dm_schema *schema, struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    if (status == DM_OK) {
        dm_schema_unref(t->schema);
        set_schema(t, schema);
    }
    lake_unlock(c->lake);
    return status;
}

enum dm_status dm_commit_drop(struct dm_commit *c, const char *namespace, const char *name,
                              struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    if (status == DM_OK) {
        t->dropped = true;
        dm_name_map_put(&c->by_name, namespace, name, &gone);
    }
    lake_unlock(c->lake);
    return status;
}

enum dm_status dm_commit_rename(struct dm_commit *c, const char *namespace, const char *name,
                                const char *new_namespace, const char *new_name, struct dm_error *err)
{
    struct table_commit *t = NULL;
    struct lake_table *other = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    struct table_commit *there = dm_name_map_get(&c->by_name, new_namespace, new_name);
    if (status == DM_OK && there == NULL)
        status = lake_table_get(c->lake, new_namespace, new_name, &other, err);
    if (status == DM_OK && (other != NULL || (there != NULL && there != &gone)))
        status = dm_fail(err, DM_ERROR_DATA, "drop or rename the other dataset first",
                         "cannot rename %s.%s: there is a dataset %s.%s already", namespace, name,
                         new_namespace, new_name);
    if (status == DM_OK) {
        dm_name_map_put(&c->by_name, namespace, name, &gone);
        dm_name_map_put(&c->by_name, new_namespace, new_name, t);
        free(t->namespace);
        free(t->name);
        t->namespace = dm_xstrdup(new_namespace);
        t->name = dm_xstrdup(new_name);
        t->renamed = t->table != NULL;
    }
    lake_unlock(c->lake);
    return status;
}

/* ---- files and rows ---- */

static enum dm_status make_data_folder(struct dm_commit *c, struct table_commit *t, struct dm_error *err)
{
    char *folder = dm_xasprintf("%s/data", t->location);
    enum dm_status status = DM_OK;
    if (!dm_file_exists(folder)) {
        dm_store_folder(&c->store, t->location);
        status = dm_file_make_folders(folder, err);
    }
    free(folder);
    t->data_folder_made = status == DM_OK;
    return status;
}

enum dm_status dm_commit_new_file(struct dm_commit *c, const char *namespace, const char *name,
                                  uint32_t *number, char **path, struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    if (status == DM_OK && !t->data_folder_made)
        status = make_data_folder(c, t, err);
    if (status == DM_OK) {
        uint32_t *next = t->table != NULL ? &t->table->next_file : &t->next_file;
        if (*next == UINT32_MAX)
            status = dm_fail(err, DM_ERROR_DATA, "resync the dataset", "%s.%s has used up its file numbers",
                             namespace, name);
        else
            *number = (*next)++;
    }
    if (status == DM_OK) {
        char random[17];
        *path = dm_xasprintf("%s/data/%08u-%s.parquet", t->location, *number, dm_store_random_hex(random, 8));
        if (c->n_paths == c->paths_room) {
            c->paths_room = c->paths_room == 0 ? 16 : c->paths_room * 2;
            c->paths = dm_xrealloc(c->paths, c->paths_room, sizeof *c->paths);
        }
        c->paths[c->n_paths++] = dm_xstrdup(*path);
    }
    lake_unlock(c->lake);
    return status;
}

static struct added_file *find_added(const struct table_commit *t, uint32_t number)
{
    size_t low = 0, high = t->n_added;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t->added[mid].file.number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low < t->n_added && t->added[low].file.number == number ? &t->added[low] : NULL;
}

/* The index of a live file, or n_live. */
static size_t find_live(const struct table_commit *t, uint32_t number)
{
    struct dm_data_file *f = t->table == NULL ? NULL : lake_dataset_find(t->table->ds, number);
    return f == NULL ? t->n_live : (size_t)(f - t->live);
}

static enum dm_status unknown_file(const struct table_commit *t, uint32_t number, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_FATAL, NULL, "the dataset %s.%s has no data file %u", t->namespace, t->name,
                   number);
}

static void insert_added(struct table_commit *t, const struct added_file *a)
{
    if (t->n_added == t->added_room) {
        t->added_room = t->added_room == 0 ? 4 : t->added_room * 2;
        t->added = dm_xrealloc(t->added, t->added_room, sizeof *t->added);
    }
    size_t at = t->n_added; /* numbers come nearly in order */
    while (at > 0 && t->added[at - 1].file.number > a->file.number)
        at--;
    memmove(t->added + at + 1, t->added + at, (t->n_added - at) * sizeof *t->added);
    t->added[at] = *a;
    t->n_added++;
}

enum dm_status dm_commit_add_file(struct dm_commit *c, const char *namespace, const char *name,
                                  uint32_t number, const char *path, const struct dm_parquet_result *result,
                                  struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    if (status == DM_OK && (lake_file_number(path) != number || find_added(t, number) != NULL ||
                            find_live(t, number) < t->n_live))
        status = dm_fail(err, DM_ERROR_FATAL, NULL, "%s is not a new data file %u of %s.%s", path, number,
                         namespace, name);
    int32_t day = DM_NO_DAY;
    if (status == DM_OK && t->day_field != 0 && result->rows > 0)
        status = dm_day_of_file(schema_of(t), t->day_field, result, &day, err);
    if (status == DM_OK && result->rows > UINT32_MAX)
        status =
            dm_fail(err, DM_ERROR_FATAL, NULL, "%s has more rows than a deletion vector can address", path);
    if (status == DM_OK) {
        struct added_file a = {.file = {.number = number,
                                        .path = dm_xstrdup(path),
                                        .rows = result->rows,
                                        .bytes = result->file_bytes,
                                        .day = day,
                                        .first_row_id = -1},
                               .n_stats = result->n_stats,
                               .gone = result->rows == 0};
        if (a.n_stats > 0) {
            a.stats = dm_xzalloc(a.n_stats, sizeof *a.stats);
            memcpy(a.stats, result->stats, a.n_stats * sizeof *a.stats);
        }
        insert_added(t, &a);
    }
    lake_unlock(c->lake);
    return status;
}

static enum dm_status delete_rows(struct table_commit *t, uint32_t number, const uint32_t *positions,
                                  size_t n, struct dm_error *err)
{
    struct added_file *a = find_added(t, number);
    size_t live = a != NULL ? t->n_live : find_live(t, number);
    if (a == NULL && live == t->n_live)
        return unknown_file(t, number, err);
    uint64_t rows = a != NULL ? a->file.rows : t->live[live].rows;
    for (size_t i = 0; i < n; i++)
        if (positions[i] >= rows)
            return dm_fail(err, DM_ERROR_FATAL, NULL, "row %u of data file %u of %s.%s, which has %llu rows",
                           positions[i], number, t->namespace, t->name, (unsigned long long)rows);
    if (a == NULL && t->live_deleted == NULL)
        t->live_deleted = dm_xzalloc(t->n_live, sizeof(roaring_bitmap_t *));
    roaring_bitmap_t **bitmap = a != NULL ? &a->file.deleted : &t->live_deleted[live];
    if (*bitmap == NULL)
        *bitmap = roaring_bitmap_create();
    if (*bitmap == NULL)
        return dm_fail_memory(err, sizeof **bitmap);
    roaring_bitmap_add_many(*bitmap, n, positions);
    return DM_OK;
}

enum dm_status dm_commit_delete_rows(struct dm_commit *c, const char *namespace, const char *name,
                                     uint32_t file, const uint32_t *positions, size_t n, struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    if (status == DM_OK && n > 0)
        status = delete_rows(t, file, positions, n, err);
    lake_unlock(c->lake);
    return status;
}

static void remove_live(struct table_commit *t, size_t i)
{
    if (t->live_removed == NULL)
        t->live_removed = dm_xzalloc(t->n_live, sizeof *t->live_removed);
    t->live_removed[i] = true;
}

enum dm_status dm_commit_remove_file(struct dm_commit *c, const char *namespace, const char *name,
                                     uint32_t file, struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    if (status == DM_OK) {
        struct added_file *a = find_added(t, file);
        size_t live = find_live(t, file);
        if (a != NULL)
            a->gone = true;
        else if (live < t->n_live)
            remove_live(t, live);
        else
            status = unknown_file(t, file, err);
    }
    lake_unlock(c->lake);
    return status;
}

enum dm_status dm_commit_remove_all(struct dm_commit *c, const char *namespace, const char *name,
                                    struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    if (status == DM_OK) {
        for (size_t i = 0; i < t->n_live; i++)
            remove_live(t, i);
        for (size_t i = 0; i < t->n_added; i++)
            t->added[i].gone = true;
    }
    lake_unlock(c->lake);
    return status;
}

enum dm_status dm_commit_mark(struct dm_commit *c, const char *namespace, const char *name,
                              struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    if (status == DM_OK)
        t->marked = true;
    lake_unlock(c->lake);
    return status;
}

enum dm_status lake_commit_table(struct dm_commit *c, const char *namespace, const char *name,
                                 const struct table_commit **out, struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    lake_unlock(c->lake);
    *out = t;
    return status;
}

enum dm_status dm_commit_expire_all(struct dm_commit *c, const char *namespace, const char *name,
                                    struct dm_error *err)
{
    struct table_commit *t = NULL;
    lake_lock(c->lake);
    enum dm_status status = touch(c, namespace, name, &t, err);
    if (status == DM_OK)
        t->expire = true;
    lake_unlock(c->lake);
    return status;
}

const char *dm_commit_file_path(struct dm_commit *c, const char *namespace, const char *name, uint32_t file)
{
    struct table_commit *t = NULL;
    struct dm_error ignored = {0};
    const char *path = NULL;
    lake_lock(c->lake);
    if (touch(c, namespace, name, &t, &ignored) == DM_OK) {
        const struct added_file *a = find_added(t, file);
        size_t live = find_live(t, file);
        path = a != NULL ? a->file.path : live < t->n_live ? t->live[live].path : NULL;
    }
    lake_unlock(c->lake);
    return path;
}

int64_t dm_commit_snapshot(struct dm_commit *c, const char *namespace, const char *name)
{
    const struct table_commit *t = dm_name_map_get(&c->by_name, namespace, name);
    return t == NULL || t == &gone ? 0 : t->snapshot_id;
}

enum dm_status dm_commit_write(struct dm_commit *c, const struct dm_commit_summary *summary,
                               struct dm_error *err)
{
    lake_lock(c->lake);
    enum dm_status status =
        c->written ? dm_fail(err, DM_ERROR_FATAL, NULL, "a commit was written twice") : DM_OK;
    for (size_t i = 0; i < c->n_tables && status == DM_OK; i++) {
        struct table_commit *t = c->tables[i];
        if (t->dropped)
            continue;
        status = lake_table_write(c, t, summary, err);
        if (status != DM_OK)
            dm_error_prefix(err, "dataset %s.%s", t->namespace, t->name);
    }
    if (status == DM_OK)
        status = dm_store_sync(&c->store, err);
    c->written = true; /* also after a failure: only dm_commit_free is left then */
    lake_unlock(c->lake);
    return status;
}
