#include "mirror/capture/spool_file.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "column/batch_file.h"

/* Each record is a mark (its kind, its table's number), then for BATCH the batch, else a second mark with txn and subxid. */
enum { MARK_AT = 100 };

struct dm_spool_file {
    char *path;
    struct dm_batch_writer *writer;
    struct dm_batch_reader *reader;
};

enum dm_status dm_spool_file_new(const char *folder, struct dm_spool_file **out, struct dm_error *err)
{
    static atomic_uint number;
    if (dm_file_make_folders(folder, err) != DM_OK)
        return DM_FAIL;
    struct dm_spool_file *f = dm_xzalloc(1, sizeof *f);
    f->path = dm_xasprintf("%s/%u.spool", folder, atomic_fetch_add(&number, 1));
    enum dm_status status = dm_batch_file_open_write(f->path, &f->writer, err);
    if (status == DM_OK)
        *out = f;
    else
        dm_spool_file_free(f);
    return status;
}

void dm_spool_file_free(struct dm_spool_file *f)
{
    if (f == NULL)
        return;
    dm_batch_file_abandon(f->writer);
    dm_batch_file_close_read(f->reader);
    (void)unlink(f->path); /* gone already when it was abandoned */
    free(f->path);
    free(f);
}

enum dm_status dm_spool_file_append(struct dm_spool_file *f, const struct dm_spool_record *r,
                                    struct dm_error *err)
{
    enum dm_status status = dm_batch_file_append_mark(f->writer, (uint32_t)r->kind, r->entry, err);
    if (status != DM_OK)
        return status;
    return r->kind == DM_SPOOL_BATCH
               ? dm_batch_file_append(f->writer, r->batch, err)
               : dm_batch_file_append_mark(f->writer, MARK_AT, (uint64_t)r->txn << 32 | r->subxid, err);
}

enum dm_status dm_spool_file_rewind(struct dm_spool_file *f, struct dm_error *err)
{
    struct dm_batch_writer *w = f->writer;
    f->writer = NULL;
    if (dm_batch_file_finish(w, err) != DM_OK)
        return DM_FAIL;
    return dm_batch_file_open_read(f->path, &f->reader, err);
}

static enum dm_status damaged(const struct dm_spool_file *f, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_FATAL, NULL, "%s: the records are out of order", f->path);
}

enum dm_status dm_spool_file_next(struct dm_spool_file *f, struct dm_spool_record *r, struct dm_error *err)
{
    *r = (struct dm_spool_record){0};
    struct dm_batch_file_item item;
    enum dm_status status = dm_batch_file_next(f->reader, &item, err);
    if (status != DM_OK)
        return status;
    if (item.batch != NULL)
        return damaged(f, err);
    r->kind = (enum dm_spool_record_kind)item.mark_kind;
    r->entry = (uint32_t)item.mark_value;
    status = dm_batch_file_next(f->reader, &item, err);
    if (status != DM_OK)
        return status == DM_END ? damaged(f, err) : status;
    if (r->kind == DM_SPOOL_BATCH) {
        r->batch = dm_batch_file_take(f->reader);
        return r->batch != NULL ? DM_OK : damaged(f, err);
    }
    r->txn = (uint32_t)(item.mark_value >> 32);
    r->subxid = (uint32_t)item.mark_value;
    return item.batch == NULL && item.mark_kind == MARK_AT ? DM_OK : damaged(f, err);
}
