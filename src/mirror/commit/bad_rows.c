#include "mirror/commit/bad_rows.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

enum { texts_of_row = 5 };
static const size_t memory_bytes = (size_t)4 << 20;
static const size_t latest_max = (size_t)2 << 30; /* one row may be large */

/* A record: this, and the texts that are not null, each with its NUL. Read by this very process only. */
struct head {
    struct dm_target *target;
    struct dm_txn txn;
    enum dm_op op;
    uint64_t raw_bytes;
    size_t bytes[texts_of_row]; /* with the NUL; 0: null */
    size_t all;                 /* of the texts */
};

static enum dm_status open_file(struct dm_bad_rows *b, struct dm_error *err)
{
    char *folder = dm_xasprintf("%s/.spool", b->folder);
    char *path = dm_xasprintf("%s/bad-rows-XXXXXX", folder);
    enum dm_status status = dm_file_make_folders(folder, err);
    int fd = status == DM_OK ? mkostemp(path, O_CLOEXEC) : -1;
    if (status == DM_OK && fd < 0)
        status = dm_fail_errno(err, "cannot create %s", path);
    if (fd >= 0) {
        (void)unlink(path);
        b->file = fdopen(fd, "w+");
        if (b->file == NULL) {
            status = dm_fail_errno(err, "cannot open %s", path);
            close(fd);
        }
    }
    free(path);
    free(folder);
    return status;
}

static enum dm_status spill(struct dm_bad_rows *b, struct dm_error *err)
{
    if (b->file == NULL && open_file(b, err) != DM_OK)
        return DM_FAIL;
    if (fseek(b->file, 0, SEEK_END) != 0 ||
        fwrite(b->latest.data, 1, b->latest.len, b->file) != b->latest.len || fflush(b->file) != 0)
        return dm_fail_errno(err, "cannot write bad rows to %s/.spool", b->folder);
    dm_buffer_clear(&b->latest);
    return DM_OK;
}

enum dm_status dm_bad_rows_add(struct dm_bad_rows *b, struct dm_target *target, const struct dm_txn *txn,
                               const struct dm_bad_row *row, struct dm_error *err)
{
    const char *const texts[texts_of_row] = {row->reason, row->message, row->key, row->raw, row->place};
    struct head head;
    memset(&head, 0, sizeof head); /* the gaps between the members, too: they are written */
    head.target = target;
    head.txn = *txn;
    head.op = row->op;
    head.raw_bytes = row->raw_bytes;
    for (size_t i = 0; i < texts_of_row; i++) {
        head.bytes[i] = texts[i] != NULL ? strlen(texts[i]) + 1 : 0;
        head.all += head.bytes[i];
    }
    if (b->latest.max == 0)
        dm_buffer_init(&b->latest, latest_max);
    if (b->latest.len > memory_bytes && spill(b, err) != DM_OK)
        return DM_FAIL;
    if (dm_buffer_reserve(&b->latest, sizeof head + head.all, err) != DM_OK ||
        dm_buffer_append(&b->latest, &head, sizeof head, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < texts_of_row; i++)
        if (head.bytes[i] > 0 && dm_buffer_append(&b->latest, texts[i], head.bytes[i], err) != DM_OK)
            return DM_FAIL;
    b->n++;
    return DM_OK;
}

static enum dm_status hand_over(const struct head *head, const char *text, dm_bad_rows_fn fn, void *ctx,
                                struct dm_error *err)
{
    const char *texts[texts_of_row] = {NULL};
    for (size_t i = 0; i < texts_of_row; i++) {
        if (head->bytes[i] > 0)
            texts[i] = text;
        text += head->bytes[i];
    }
    const struct dm_bad_row row = {.reason = texts[0],
                                   .message = texts[1],
                                   .key = texts[2],
                                   .raw = texts[3],
                                   .raw_bytes = head->raw_bytes,
                                   .place = texts[4],
                                   .op = head->op};
    return fn(ctx, head->target, &head->txn, &row, err);
}

static enum dm_status each_of_file(struct dm_bad_rows *b, dm_bad_rows_fn fn, void *ctx, struct dm_error *err)
{
    if (b->file == NULL)
        return DM_OK;
    rewind(b->file);
    enum dm_status status = DM_OK;
    struct dm_buffer texts;
    dm_buffer_init(&texts, latest_max);
    struct head head;
    while (status == DM_OK && fread(&head, sizeof head, 1, b->file) == 1) {
        dm_buffer_clear(&texts);
        status = dm_buffer_reserve(&texts, head.all + 1, err);
        if (status == DM_OK && fread(texts.data, 1, head.all, b->file) != head.all)
            break;
        if (status == DM_OK)
            status = hand_over(&head, (const char *)texts.data, fn, ctx, err);
    }
    if (status == DM_OK && ferror(b->file) != 0)
        status = dm_fail_errno(err, "cannot read bad rows back from %s/.spool", b->folder);
    dm_buffer_release(&texts);
    return status;
}

enum dm_status dm_bad_rows_each(struct dm_bad_rows *b, dm_bad_rows_fn fn, void *ctx, struct dm_error *err)
{
    enum dm_status status = each_of_file(b, fn, ctx, err);
    for (size_t at = 0; at < b->latest.len && status == DM_OK;) {
        struct head head;
        memcpy(&head, b->latest.data + at, sizeof head);
        status = hand_over(&head, (const char *)b->latest.data + at + sizeof head, fn, ctx, err);
        at += sizeof head + head.all;
    }
    return status;
}

void dm_bad_rows_clear(struct dm_bad_rows *b)
{
    if (b->file != NULL)
        (void)fclose(b->file);
    b->file = NULL;
    dm_buffer_release(&b->latest);
    b->n = 0;
}
