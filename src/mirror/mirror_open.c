#include "mirror/mirror_open.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"
#include "mirror/damage.h"
#include "mirror/declare/declared.h"
#include "mirror/order/order_table.h"
#include "mirror/intake/receipt.h"
#include "mirror/hygiene/suppression.h"
#include "mirror/relationship/orphan.h"

struct dm_opened_mirror {
    struct dm_mirror mirror;
    struct dm_lake_lock lock;
};

static const atomic_int never_stop;

static enum dm_status open_engine(struct dm_mirror *m, struct dm_error *err)
{
    char *temp = dm_xasprintf("%s/.spill", m->config->lake);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct dm_engine_options options = {
        .memory_limit =
            m->config->memory_limit / 2, /* the other half: batches on their way, index pages, the rest */
        .threads = cores > 4 ? 4 : (int)(cores > 0 ? cores : 1),
        .temp_folder = temp,
    };
    enum dm_status status = dm_engine_open(&options, &m->engine, err);
    free(temp);
    return status;
}

/* Files that only the holder of the lake needs: what an earlier one left is garbage. */
static enum dm_status remove_leftovers(const struct dm_mirror *m, struct dm_error *err)
{
    static const char *const names[] = {".copy", ".spool", ".spill"};
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == DM_OK; i++) {
        char *path = dm_xasprintf("%s/%s", m->config->lake, names[i]);
        status = dm_file_remove_tree(path, err);
        free(path);
    }
    return status;
}

static enum dm_status open_lake(struct dm_mirror *m, struct dm_error *err)
{
    struct dm_lake_options options = {
        .folder = m->config->lake,
        .catalog_name = m->config->catalog_name,
        .format_version = m->config->format_version,
        .metadata_versions = m->config->metadata_versions,
        .snapshot_retention_ms = m->config->snapshot_retention_ms,
    };
    if (dm_lake_open(&options, &m->lake, err) != DM_OK)
        return DM_FAIL;
    struct sqlite3 *db = dm_lake_sqlite(m->lake);
    if (dm_state_create_tables(db, err) != DM_OK || dm_registry_create_tables(db, err) != DM_OK ||
        dm_suppression_open(db, m->config->lake, true, &m->suppression, err) != DM_OK ||
        dm_receipt_create_table(db, m->suppression, err) != DM_OK)
        return DM_FAIL;
    return dm_order_table_create(db, err);
}

static enum dm_status open_index(struct dm_mirror *m, struct dm_error *err)
{
    char *folder = dm_xasprintf("%s/.index", m->config->lake);
    bool trusted =
        true; /* an untrusted index is empty, and what is missing in it is rebuilt like anything else */
    enum dm_status status = dm_keyindex_open(folder, &m->index, &trusted, err);
    free(folder);
    return status;
}

enum dm_status dm_mirror_open_locked(const struct dm_config *config, const atomic_int *stop,
                                     struct dm_lake_lock *take_lock, struct dm_opened_mirror **out,
                                     struct dm_mirror **mirror, struct dm_error *err)
{
    struct dm_opened_mirror *o = dm_xzalloc(1, sizeof *o);
    o->lock = *take_lock;
    take_lock->fd = -1;
    struct dm_mirror *m = &o->mirror;
    m->config = config;
    m->stop = stop != NULL ? stop : &never_stop;
    (void)pthread_mutex_init(&m->lake_mutex, NULL);
    enum dm_status status = remove_leftovers(m, err);
    if (status == DM_OK)
        status = open_engine(m, err);
    if (status == DM_OK)
        status = open_lake(m, err);
    if (status == DM_OK)
        status = dm_damage_look(m, DM_DAMAGE_DECLARED, err);
    if (status == DM_OK)
        status = open_index(m, err);
    if (status == DM_OK)
        status = dm_declared_catch_up(m, err);
    if (status != DM_OK) {
        dm_mirror_close(o);
        return status;
    }
    *out = o;
    *mirror = m;
    return DM_OK;
}

enum dm_status dm_mirror_open(const struct dm_config *config, const atomic_int *stop,
                              struct dm_opened_mirror **out, struct dm_mirror **mirror, struct dm_error *err)
{
    struct dm_lake_lock lock;
    struct dm_lake_holder holder;
    enum dm_status status = dm_lake_lock_try(config->lake, DM_LAKE_COMMAND, &lock, &holder, err);
    if (status == DM_TIMEOUT)
        return dm_lake_lock_refuse(config->lake, &holder, err);
    return status == DM_OK ? dm_mirror_open_locked(config, stop, &lock, out, mirror, err) : status;
}

static enum dm_status close_index(void *ctx, struct dm_error *err)
{
    (void)err;
    dm_keyindex_close(ctx);
    return DM_OK;
}

void dm_mirror_close(struct dm_opened_mirror *o)
{
    if (o == NULL)
        return;
    /* Beside the rest: after a large commit it has much to write to the disk. */
    struct dm_thread index = {0};
    struct dm_error ignored;
    if (dm_thread_start(&index, "index", close_index, o->mirror.index, &ignored) != DM_OK)
        dm_keyindex_close(o->mirror.index);
    dm_suppression_close(o->mirror.suppression);
    if (o->mirror.lake != NULL)
        dm_lake_close(o->mirror.lake);
    dm_engine_close(o->mirror.engine);
    dm_orphan_watch_free(o->mirror.orphan_watch);
    (void)!dm_thread_join(&index, &ignored); /* it does not fail */
    (void)pthread_mutex_destroy(&o->mirror.lake_mutex);
    dm_lake_lock_release(&o->lock);
    free(o);
}
