/* After the catalog transaction: the tables in memory take the change, readers without a catalog get their hint files, and metadata
 * files that left the log are removed. The commit stands whatever happens here, so failures are only logged. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "base/memory.h"
#include "lake/commit_internal.h"

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct dm_data_file *)a)->number;
    uint32_t y = ((const struct dm_data_file *)b)->number;
    return (x > y) - (x < y);
}

/* Live file i as the new snapshot has it; false when it is gone. */
static bool keep_live(struct table_commit *t, size_t i, struct dm_data_file *f)
{
    if (t->live_removed != NULL && t->live_removed[i]) {
        free(f->path);
        if (f->deleted != NULL)
            roaring_bitmap_free(f->deleted);
        return false;
    }
    if (t->live_manifest[i] != 0)
        f->manifest = t->live_manifest[i];
    if (t->live_vector_manifest[i] != 0)
        f->vector_manifest = t->live_vector_manifest[i];
    if (t->live_deleted != NULL && t->live_deleted[i] != NULL) {
        if (f->deleted != NULL)
            roaring_bitmap_free(f->deleted);
        f->deleted = t->live_deleted[i];
        f->deleted_rows = roaring_bitmap_get_cardinality(f->deleted);
        t->live_deleted[i] = NULL;
    }
    return true;
}

static void apply_files(struct table_commit *t, struct lake_dataset *ds)
{
    struct dm_dataset *d = &ds->pub;
    size_t n = 0, rows = 0;
    struct dm_data_file *files = d->files;
    for (size_t i = 0; i < d->n_files; i++) {
        struct dm_data_file f = files[i];
        if (keep_live(t, i, &f))
            files[n++] = f;
    }
    files = dm_xrealloc(files, n + t->n_added + 1, sizeof *files);
    bool sorted = true;
    for (size_t i = 0; i < t->n_added; i++) {
        struct added_file *a = &t->added[i];
        if (a->gone)
            continue;
        sorted = sorted && (n == 0 || files[n - 1].number < a->file.number);
        files[n] = a->file;
        files[n].added_snapshot = t->snapshot_id;
        files[n].sequence_number = t->meta->last_sequence_number;
        n++;
        a->file.path = NULL; /* both belong to the dataset now */
        a->file.deleted = NULL;
    }
    if (!sorted)
        qsort(files, n, sizeof *files, by_number);
    for (size_t i = 0; i < n; i++)
        rows += files[i].rows - files[i].deleted_rows;
    d->files = files;
    d->n_files = n;
    d->live_rows = rows;
    for (size_t i = 0; i < ds->n_manifests; i++)
        free(ds->manifests[i].file.path);
    free(ds->manifests);
    ds->manifests = t->manifests;
    ds->n_manifests = t->n_manifests;
    ds->next_key = t->next_key;
    t->manifests = NULL;
    t->n_manifests = 0;
    d->parent_snapshot_id = d->snapshot_id;
    d->snapshot_id = t->snapshot_id;
}

static struct lake_table *new_table(const struct table_commit *t)
{
    struct lake_table *table = dm_xzalloc(1, sizeof *table);
    table->ds = dm_xzalloc(1, sizeof *table->ds);
    table->ds->next_key = 1;
    table->ds->pub.location = dm_xstrdup(t->location);
    table->ds->pub.format_version = t->meta->format_version;
    table->ds->pub.day_field = t->day_field;
    table->next_file = t->next_file;
    return table;
}

static void set_name(char **text, const char *value)
{
    char *old = *text;
    *text = dm_xstrdup(value);
    free(old);
}

static void remove_pruned(const struct table_commit *t)
{
    for (size_t i = 0; i < t->n_pruned; i++) {
        char *path = dm_store_path(t->pruned[i]);
        char *link_path = lake_hint_link_path(t->pruned[i]);
        if (path != NULL)
            (void)unlink(path);
        if (link_path != NULL)
            (void)unlink(link_path);
        free(link_path);
        free(path);
    }
}

void lake_table_apply(struct dm_commit *c, struct table_commit *t)
{
    struct dm_lake *lake = c->lake;
    if (t->dropped) {
        if (t->table != NULL)
            lake_table_free(lake, t->table);
        t->table = NULL;
        for (size_t i = 0; i < t->n_added; i++)
            t->added[i].gone = true;
        return;
    }
    bool is_new = t->table == NULL;
    if (is_new)
        t->table = new_table(t);
    struct lake_table *table = t->table;
    if (is_new || t->renamed) {
        set_name(&table->namespace, t->namespace);
        set_name(&table->name, t->name);
        set_name(&table->ds->pub.namespace, t->namespace);
        set_name(&table->ds->pub.name, t->name);
        dm_name_map_put(&lake->tables, t->namespace, t->name, table);
    }
    if (t->meta == NULL)
        return;
    set_name(&table->metadata_location, t->metadata_location);
    table->version = t->version;
    struct dm_dataset *d = &table->ds->pub;
    dm_schema_unref(d->schema);
    d->schema = dm_schema_ref(dm_metadata_schema(t->meta));
    d->last_column_id = t->meta->last_column_id;
    d->sequence_number = t->meta->last_sequence_number;
    if (t->snapshot_id != 0)
        apply_files(t, table->ds);
    lake_table_keep_meta(lake, table, t->meta);
    t->meta = NULL;
    dm_crash_point("before-hint");
    struct dm_error err;
    if (lake_hint_write(table->metadata_location, &err) != DM_OK)
        dm_log_error(DM_LOG_WARN, "the hint for readers without a catalog", &err);
    remove_pruned(t);
}
