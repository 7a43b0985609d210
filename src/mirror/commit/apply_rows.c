#include "mirror/commit/apply_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/parquet_read.h"
#include "base/crash_point.h"
#include "mirror/commit/file_writes.h"
#include "mirror/commit/history.h"
#include "mirror/hygiene/suppression.h"
#include "mirror/commit/versioned_rows.h"

struct dm_parquet_options dm_apply_parquet_options(const struct dm_apply_context *a)
{
    return (struct dm_parquet_options){.compression = a->mirror->config->compression, .zstd_level = 1};
}

enum dm_status dm_apply_write_file(struct dm_apply_context *a, const char *namespace, const char *name,
                                   const struct dm_batch *batch, const uint32_t *rows, size_t n,
                                   uint32_t *number, struct dm_error *err)
{
    *number = 0;
    if ((rows != NULL ? n : batch->rows) == 0)
        return DM_OK;
    char *path = NULL;
    if (dm_commit_new_file(a->commit, namespace, name, number, &path, err) != DM_OK)
        return DM_FAIL;
    struct dm_parquet_options options = dm_apply_parquet_options(a);
    struct dm_parquet_result result = {0};
    enum dm_status status = dm_parquet_write_batch(a->mirror->engine, path, batch->schema, &options, batch,
                                                   rows, n, &result, err);
    if (status == DM_OK)
        status = dm_commit_add_file(a->commit, namespace, name, *number, path, &result, err);
    dm_parquet_result_release(&result);
    free(path);
    return status;
}

enum dm_status dm_apply_ensure_dataset(struct dm_apply_context *a, const char *namespace, const char *name,
                                       const struct dm_schema *schema, bool *made, struct dm_error *err)
{
    const struct dm_dataset *there = NULL;
    if (made != NULL)
        *made = false;
    if (dm_lake_dataset(a->mirror->lake, namespace, name, &there, err) != DM_OK)
        return DM_FAIL;
    if (there != NULL && dm_schema_equal(there->schema, schema))
        return DM_OK;
    struct dm_error missing = {0};
    if (dm_commit_set_schema(a->commit, namespace, name, schema, &missing) == DM_OK)
        return DM_OK; /* it is there, or this commit made it before */
    if (there != NULL) {
        *err = missing;
        return DM_FAIL;
    }
    if (made != NULL)
        *made = true;
    return dm_commit_create(a->commit, namespace, name, schema, err);
}

static int compare_places(const void *a, const void *b)
{
    const struct dm_place *x = a;
    const struct dm_place *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

enum dm_status dm_apply_deletions(struct dm_commit *commit, const char *namespace, const char *name,
                                  struct dm_place *places, size_t n, struct dm_error *err)
{
    qsort(places, n, sizeof *places, compare_places);
    uint32_t *positions = dm_xalloc(n * sizeof *positions);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK;) {
        size_t k = 0;
        uint32_t file = places[i].file;
        for (; i < n && places[i].file == file; i++)
            positions[k++] = places[i].position;
        status = dm_commit_delete_rows(commit, namespace, name, file, positions, k, err);
    }
    free(positions);
    return status;
}

/* ---- stored rows ---- */

enum dm_status dm_apply_indexed_file(struct dm_apply_context *a, const char *namespace, const char *name,
                                     uint32_t file, const char **path, struct dm_error *err)
{
    if (dm_file_writes_settle(a, err) != DM_OK)
        return DM_FAIL;
    *path = dm_commit_file_path(a->commit, namespace, name, file);
    if (*path != NULL)
        return DM_OK;
    return dm_fail(err, DM_ERROR_FATAL,
                   "stop the mirror, remove <lake>/.index and start again: it is rebuilt from the lake",
                   "%s.%s: the key index names data file %u, which the dataset does not have", namespace,
                   name, file);
}

enum dm_status dm_apply_rows_that_fit(struct dm_apply_context *a, const char *namespace, const char *name,
                                      size_t *rows, struct dm_error *err)
{
    enum { compression_guess = 4, fewest_rows = 64 };
    const struct dm_dataset *d = NULL;
    if (dm_lake_dataset(a->mirror->lake, namespace, name, &d, err) != DM_OK)
        return DM_FAIL;
    uint64_t bytes = 0, stored = 0;
    for (size_t i = 0; d != NULL && i < d->n_files; i++) {
        bytes += d->files[i].bytes;
        stored += d->files[i].rows;
    }
    uint64_t row_bytes = stored > 0 ? bytes / stored * compression_guess + 1 : 1024;
    uint64_t fit = dm_mirror_portion(a->mirror, 2) / row_bytes;
    *rows = (size_t)(fit > fewest_rows ? fit : fewest_rows);
    return DM_OK;
}

/* ---- unchanged values that only the stored row has ---- */

static int compare_changes_by_place(const void *a, const void *b)
{
    const struct dm_index_change *x = a;
    const struct dm_index_change *y = b;
    return compare_places(&x->old, &y->old);
}

enum { fewest_at_once = 2 }; /* a REKEY and its UPDATE */

/* DM_TIMEOUT: too much came back to be applied at once. Nothing was done yet, so the caller may try with fewer rows.
 * Fetches the stored rows of one file and fills them in. `changes` are all of that file, by position; `row` is the index in net->missing. */
static enum dm_status fill_from_file(struct dm_apply_context *a, struct dm_target *t, struct dm_batch *batch,
                                     const struct dm_index_change *changes, size_t n, struct dm_error *err)
{
    const char *path;
    if (dm_apply_indexed_file(a, t->state.namespace, t->state.name, changes[0].old.file, &path, err) != DM_OK)
        return DM_FAIL;
    uint32_t *positions = dm_xalloc(n * sizeof *positions);
    uint32_t *place_of = dm_xalloc(n * sizeof *place_of); /* change → fetched row */
    size_t distinct = 0;
    for (size_t i = 0; i < n; i++) {
        if (distinct == 0 || positions[distinct - 1] != changes[i].old.position)
            positions[distinct++] = changes[i].old.position;
        place_of[i] = (uint32_t)distinct - 1;
    }
    struct dm_batch *stored = dm_batch_new(batch->schema);
    const size_t most = (size_t)dm_mirror_portion(a->mirror, 1);
    enum dm_status status = DM_OK;
    for (size_t from = 0, k = 0, i = 0; from < distinct && status == DM_OK; from += k) {
        dm_batch_clear(stored);
        status = dm_parquet_fetch_some(a->mirror->engine, path, positions + from, distinct - from,
                                       batch->schema, most, stored, &k, err);
        for (; i < n && status == DM_OK && place_of[i] < from + k; i++)
            status = dm_net_effect_fill(&a->net, batch, a->net.missing[changes[i].row].row, stored,
                                        place_of[i] - from, err);
        if (status == DM_OK && batch->rows > fewest_at_once && dm_net_effect_filled_bytes(&a->net) > most)
            status = DM_TIMEOUT;
    }
    dm_batch_free(stored);
    free(positions);
    free(place_of);
    return status;
}

static enum dm_status lookup_missing(struct dm_apply_context *a, struct dm_target *t,
                                     struct dm_index_change *changes, size_t n, struct dm_error *err)
{
    dm_index_changes_sort(changes, n);
    /* The index wants distinct keys; two rows may ask for one key. */
    struct dm_index_change *distinct = dm_xalloc(n * sizeof *distinct);
    size_t *of = dm_xalloc(n * sizeof *of);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (k == 0 || distinct[k - 1].key_len != changes[i].key_len ||
            memcmp(distinct[k - 1].key, changes[i].key, changes[i].key_len) != 0)
            distinct[k++] = changes[i];
        of[i] = k - 1;
    }
    enum dm_status status = dm_keyindex_lookup(a->mirror->index, t->state.id, distinct, k, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        changes[i].old = distinct[of[i]].old;
    free(distinct);
    free(of);
    return status;
}

static enum dm_status fill_missing(struct dm_apply_context *a, struct dm_target *t, struct dm_batch *batch,
                                   struct dm_error *err)
{
    size_t n = a->net.n_missing;
    if (n == 0)
        return DM_OK;
    struct dm_index_change *changes = dm_xzalloc(n, sizeof *changes);
    for (size_t i = 0; i < n; i++)
        changes[i] = (struct dm_index_change){
            .key = a->net.missing[i].key, .key_len = a->net.missing[i].key_len, .row = (uint32_t)i};
    enum dm_status status = lookup_missing(a, t, changes, n, err);
    if (status == DM_OK)
        qsort(changes, n, sizeof *changes, compare_changes_by_place);
    for (size_t i = 0; i < n && status == DM_OK;) {
        if (!dm_place_known(changes[i].old)) { /* its row is in quarantine, most likely */
            status = dm_net_effect_give_up(&a->net, batch, a->net.missing[changes[i].row].row, err);
            i++;
            continue;
        }
        size_t end = i;
        while (end < n && changes[end].old.file == changes[i].old.file)
            end++;
        status = fill_from_file(a, t, batch, changes + i, end - i, err);
        i = end;
    }
    free(changes);
    return status;
}

/* ---- the keyed path ---- */

/* Live rows in the order they arrived. */
static size_t select_live(const struct dm_net_effect *net, size_t rows, uint32_t *selection)
{
    bool *live = dm_xzalloc(rows + 1, sizeof *live);
    for (size_t i = 0; i < net->n_changes; i++)
        live[net->changes[i].row] |= net->changes[i].live;
    size_t n = 0;
    for (size_t i = 0; i < rows; i++)
        if (live[i])
            selection[n++] = (uint32_t)i;
    free(live);
    return n;
}

/* A row whose unchanged values nobody has cannot be made: to quarantine, and the key is not in the lake (as it was not before). */
static void quarantine_lost(struct dm_apply_context *a, struct dm_target *t, const struct dm_batch *batch)
{
    for (size_t i = 0; i < a->net.n_changes && a->net.n_given_up > 0; i++) {
        struct dm_net_change *c = &a->net.changes[i];
        if (!c->live || !dm_net_effect_lost(&a->net, c->row))
            continue;
        c->live = false;
        char key[512];
        const struct dm_bad_row row = {.reason = "unchanged_value_unknown",
                                       .message =
                                           "the source left out unchanged values, and no stored row holds "
                                           "them (an earlier version of the row is in quarantine)",
                                       .key = dm_key_text(batch, c->row, key, sizeof key),
                                       .raw = key,
                                       .op = DM_OP_UPDATE};
        dm_kept_rows_add(&a->bad, &a->n_bad, t, batch->txns[c->row], &row);
    }
}

/* Two halves that were each not too large: a new value, and the stored ones that it left alone. */
static void quarantine_large(struct dm_apply_context *a, struct dm_target *t, const struct dm_batch *batch)
{
    const uint64_t most = a->mirror->config->max_row_bytes;
    for (size_t i = 0; i < a->net.n_changes && a->net.n_missing > 0 && most > 0; i++) {
        struct dm_net_change *c = &a->net.changes[i];
        size_t bytes = c->live ? dm_batch_row_bytes(batch, c->row) : 0;
        if (bytes <= most)
            continue;
        c->live = false;
        char key[512], message[200];
        (void)snprintf(
            message, sizeof message,
            "the row has %zu bytes with its unchanged values; with this memory_limit a row may have "
            "%llu (a sixteenth of it)",
            bytes, (unsigned long long)most);
        const struct dm_bad_row row = {.reason = "row_too_large",
                                       .message = message,
                                       .key = dm_key_text(batch, c->row, key, sizeof key),
                                       .raw = key,
                                       .raw_bytes = bytes,
                                       .op = DM_OP_UPDATE};
        dm_kept_rows_add(&a->bad, &a->n_bad, t, batch->txns[c->row], &row);
    }
}

/* written[row of the batch]: where it stands. */
static enum dm_status index_changes(struct dm_apply_context *a, struct dm_target *t,
                                    const struct dm_place *written, struct dm_error *err)
{
    const struct dm_net_effect *net = &a->net;
    struct dm_index_change *changes = dm_xalloc((net->n_changes + 1) * sizeof *changes);
    for (size_t i = 0; i < net->n_changes; i++) {
        const struct dm_net_change *c = &net->changes[i];
        changes[i] = (struct dm_index_change){.key = c->key, .key_len = c->key_len, .row = c->row};
        if (c->live)
            changes[i].place = written[c->row];
    }
    enum dm_status status = dm_keyindex_apply(a->mirror->index, t->state.id, changes, net->n_changes, err);
    if (status == DM_OK) {
        struct dm_place *places = dm_xalloc((net->n_changes + 1) * sizeof *places);
        size_t n = 0;
        for (size_t i = 0; i < net->n_changes; i++)
            if (dm_place_known(changes[i].old))
                places[n++] = changes[i].old;
        status = dm_apply_deletions(a->commit, t->state.namespace, t->state.name, places, n, err);
        free(places);
    }
    free(changes);
    return status;
}

static void count(struct dm_target *t, const struct dm_batch *batch)
{
    t->state.received += batch->rows;
    for (size_t i = 0; i < batch->rows; i++) {
        t->state.inserted += batch->ops[i] == DM_OP_INSERT || batch->ops[i] == DM_OP_COPY;
        t->state.updated += batch->ops[i] == DM_OP_UPDATE;
        t->state.deleted += batch->ops[i] == DM_OP_DELETE;
    }
}

static enum dm_status apply_keyed(struct dm_apply_context *a, struct dm_target *t, struct dm_batch *batch,
                                  struct dm_file_writes **files, struct dm_error *err)
{
    a->net.resolve_all = t->history;
    enum dm_status filled = DM_OK;
    if (dm_net_effect_compute(&a->net, batch, NULL, 0, err) != DM_OK ||
        (filled = fill_missing(a, t, batch, err)) != DM_OK)
        return filled == DM_TIMEOUT ? DM_TIMEOUT : DM_FAIL;
    if (a->net.needs_finish && dm_net_effect_finish(&a->net, batch, err) != DM_OK)
        return DM_FAIL;
    quarantine_lost(a, t, batch);
    quarantine_large(a, t, batch);
    uint32_t *selection = dm_xalloc((batch->rows + 1) * sizeof *selection);
    struct dm_place *written = dm_xalloc((batch->rows + 1) * sizeof *written);
    size_t live = select_live(&a->net, batch->rows, selection);
    enum dm_status status = dm_file_writes_begin(a, t->state.namespace, t->state.name, batch, selection, live,
                                                 written, files, err);
    if (status == DM_OK)
        status = index_changes(a, t, written, err);
    free(selection);
    free(written);
    return status;
}

/* Without a key there is nothing that an update or delete could be applied to: new row images are appended. */
static enum dm_status apply_append_only(struct dm_apply_context *a, struct dm_target *t,
                                        struct dm_batch *batch, struct dm_file_writes **files,
                                        struct dm_error *err)
{
    uint32_t *selection = dm_xalloc(batch->rows * sizeof *selection);
    size_t n = 0;
    for (size_t i = 0; i < batch->rows; i++)
        if (batch->ops[i] != DM_OP_DELETE && batch->ops[i] != DM_OP_REKEY)
            selection[n++] = (uint32_t)i;
    enum dm_status status =
        dm_file_writes_begin(a, t->state.namespace, t->state.name, batch, selection, n, NULL, files, err);
    free(selection);
    return status;
}

static enum dm_status apply_changes(struct dm_apply_context *a, struct dm_target *t, struct dm_batch *batch,
                                    struct dm_file_writes **files, struct dm_error *err)
{
    enum dm_status status = t->state.append_only ? apply_append_only(a, t, batch, files, err)
                                                 : apply_keyed(a, t, batch, files, err);
    if (status == DM_OK && t->history)
        status = dm_history_append(a, t, batch, err);
    if (status == DM_OK)
        count(t, batch);
    return status;
}

/* Takes the batch if threads still write it at the end. */
static enum dm_status apply_batch(struct dm_apply_context *a, struct dm_target *t, struct dm_batch **batch,
                                  struct dm_error *err)
{
    struct dm_file_writes *files = NULL;
    enum dm_status status = t->rules != NULL ? dm_apply_versioned(a, t, *batch, &files, err)
                                             : apply_changes(a, t, *batch, &files, err);
    return dm_file_writes_leave(files, status, batch, err);
}

/* How many rows may be applied at once: stored values that come back for UNCHANGED ones (or for nulls that keep them) must fit into memory. */
static enum dm_status rows_at_once(struct dm_apply_context *a, const struct dm_target *t,
                                   const struct dm_batch *batch, size_t *rows, struct dm_error *err)
{
    bool nulls_too = t->rules != NULL && t->rules->schema->settings.ignore_null_updates;
    bool unchanged = false;
    for (size_t i = 0; i < batch->n_columns; i++)
        unchanged |= batch->columns[i].unchanged > 0 || (nulls_too && batch->columns[i].nulls > 0);
    *rows = batch->rows;
    return unchanged ? dm_apply_rows_that_fit(a, t->state.namespace, t->state.name, rows, err) : DM_OK;
}

/* Rows from … of the batch, as many as fit: *n of them. */
static enum dm_status apply_slice(struct dm_apply_context *a, struct dm_target *t,
                                  const struct dm_batch *batch, size_t from, size_t *at_once, size_t *n,
                                  struct dm_error *err)
{
    enum dm_status status = DM_TIMEOUT;
    while (status == DM_TIMEOUT) {
        struct dm_batch *slice =
            dm_batch_new(batch->schema); /* its memory goes with it, clearing would keep it */
        status = DM_OK;
        for (*n = 0; from + *n < batch->rows && status == DM_OK; (*n)++) {
            if (slice->rows >= *at_once && !dm_batch_ends_in_rekey(slice))
                break;
            status = dm_batch_append_row(slice, batch, from + *n, err);
        }
        if (status == DM_OK)
            status = apply_batch(a, t, &slice, err);
        if (status == DM_OK)
            status = dm_file_writes_settle(a, err);
        dm_batch_free(slice);
        if (status == DM_TIMEOUT)
            *at_once = *at_once > 1 ? *at_once / 2 : 1;
    }
    return status;
}

static enum dm_status apply_rows(struct dm_apply_context *a, struct dm_target *t, struct dm_batch **whole,
                                 struct dm_error *err)
{
    const struct dm_batch *batch = *whole;
    size_t at_once = 0;
    if (batch->rows == 0)
        return DM_OK;
    if (rows_at_once(a, t, batch, &at_once, err) != DM_OK)
        return DM_FAIL;
    if (at_once >= batch->rows) {
        enum dm_status status = apply_batch(a, t, whole, err);
        if (status != DM_TIMEOUT)
            return status;
        at_once = batch->rows / 2;
    }
    enum dm_status status = DM_OK;
    for (size_t from = 0, n = 0; from < batch->rows && status == DM_OK; from += n)
        status = apply_slice(a, t, batch, from, &at_once, &n, err);
    return status;
}

enum dm_status dm_apply_rows(struct dm_apply_context *a, struct dm_target *t, struct dm_batch **batch,
                             struct dm_error *err)
{
    struct dm_batch *kept = NULL;
    enum dm_status status = dm_suppress_rows(a->mirror, t, a->txns, *batch, &kept, err);
    if (status == DM_OK)
        status = apply_rows(a, t, kept != NULL ? &kept : batch, err);
    dm_batch_free(kept);
    return status;
}
