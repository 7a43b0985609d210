#include "mirror/commit/history_begin.h"

#include <stdlib.h>
#include <string.h>

#include "apply/key_sort.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/parquet_read.h"
#include "lake/dataset_scan.h"
#include "mirror/commit/history.h"
#include "mirror/commit/interval_history.h"
#include "mirror/commit/tombstones.h"

struct dm_schema *dm_history_wanted(enum dm_history_mode mode, const struct dm_schema *schema, int version)
{
    switch (mode) {
    case DM_HISTORY_NONE: break;
    case DM_HISTORY_CHANGES: return dm_history_applied_schema(schema, version);
    case DM_HISTORY_SCD2: return dm_interval_history_schema(schema, version);
    }
    return NULL;
}

/* ---- one that cannot go on ---- */

static bool same_column(const struct dm_schema *a, const struct dm_schema *b, int added)
{
    int in_a = dm_schema_find_id(a, DM_HISTORY_FIRST_ID + added),
        in_b = dm_schema_find_id(b, DM_HISTORY_FIRST_ID + added);
    if (in_a < 0 || in_b < 0)
        return in_a == in_b;
    return dm_type_widens(a->fields[in_a].type, b->fields[in_b].type);
}

bool dm_history_goes_on(const struct dm_schema *there, const struct dm_schema *wanted)
{
    bool same = there->n_keys == wanted->n_keys && same_column(there, wanted, DM_HISTORY_VERSION) &&
                same_column(there, wanted, DM_HISTORY_VALID_FROM);
    for (size_t k = 0; k < wanted->n_keys && same; k++)
        same = there->fields[there->keys[k]].id == wanted->fields[wanted->keys[k]].id;
    return same;
}

char *dm_history_archive_name(const struct dm_dataset *history)
{
    return history->snapshot_id == 0
               ? NULL
               : dm_xasprintf("%s_%llx", history->name, (unsigned long long)history->snapshot_id);
}

bool dm_history_is_archive(const char *tail)
{
    static const char before[] = "__history_";
    if (strncmp(tail, before, strlen(before)) != 0)
        return false;
    const char *number = tail + strlen(before);
    return *number != '\0' && number[strspn(number, "0123456789abcdef")] == '\0';
}

enum dm_status dm_history_archive(struct dm_commit *commit, const struct dm_dataset *history,
                                  struct dm_error *err)
{
    char *name = dm_history_archive_name(history);
    enum dm_status status = name == NULL ? dm_commit_drop(commit, history->namespace, history->name, err)
                                         : dm_commit_rename(commit, history->namespace, history->name,
                                                            history->namespace, name, err);
    if (status == DM_OK && name != NULL)
        dm_log(DM_LOG_INFO, "%s.%s: the history so far is kept as %s", history->namespace, history->name,
               name);
    free(name);
    return status;
}

/* ---- one that begins ---- */

struct beginning {
    struct dm_apply_context *a;
    const struct dm_target *t;
    const char *name;
    struct dm_batch *piece; /* rows of the next file */
    bool intervals;
    bool deletes; /* tombstones are read, not rows */
    int64_t now;
    uint64_t rows;                     /* written so far */
    struct dm_key_list keys, versions; /* of the tombstones */
    struct dm_key_list written;        /* of the piece */
    struct dm_buffer last_key;         /* of the deletion that was taken last */
};

static enum dm_status flush(struct beginning *b, struct dm_error *err)
{
    uint32_t file = 0;
    size_t n = b->piece->rows;
    if (n == 0)
        return DM_OK;
    enum dm_status status =
        dm_apply_write_file(b->a, b->t->state.namespace, b->name, b->piece, NULL, 0, &file, err);
    if (status == DM_OK && b->intervals) {
        uint32_t *files = dm_xalloc(n * sizeof *files), *positions = dm_xalloc(n * sizeof *positions);
        for (uint32_t i = 0; i < n; i++) {
            files[i] = file;
            positions[i] = i;
        }
        status = dm_interval_history_put(b->a->mirror, b->t->state.id | DM_INDEX_HISTORY, b->piece, 0, files,
                                         positions, &b->written, err);
        free(files);
        free(positions);
    }
    b->rows += n;
    dm_batch_clear(b->piece);
    return status;
}

static const struct dm_column *column_of(const struct dm_batch *batch, int32_t id)
{
    int at = dm_schema_find_id(batch->schema, id);
    return at < 0 ? NULL : &batch->columns[at];
}

/* The value of one of the history's fields. */
static enum dm_status put_value(const struct beginning *b, struct dm_column *out, int32_t id,
                                const struct dm_batch *from, size_t row, struct dm_error *err)
{
    static const char *const ops[2][2] = {{"copy", "delete"}, {"upsert", "delete"}};
    const char *op = ops[b->intervals][b->deletes];
    int32_t version = b->t->schema->fields[b->t->rules->version_field].id;
    const struct dm_column *values = NULL;
    switch (id - DM_HISTORY_FIRST_ID) {
    case DM_HISTORY_OP: return dm_column_append_bytes(out, op, strlen(op), err);
    case DM_HISTORY_POSITION:
    case DM_HISTORY_XID:
    case DM_HISTORY_VALID_TO: break;
    case DM_HISTORY_COMMITTED_AT: dm_column_append_fixed(out, &b->now); return DM_OK;
    case DM_HISTORY_VERSION:
    case DM_HISTORY_VALID_FROM: id = version; /* fall through */
    default:                                  /* a tombstone has the version under an id of its own */
        values = b->deletes && id == version ? &from->columns[b->t->schema->n_keys] : column_of(from, id);
    }
    if (values == NULL) {
        dm_column_append_null(out);
        return DM_OK;
    }
    return dm_column_append_value(out, values, row, err);
}

static enum dm_status put_row(struct beginning *b, const struct dm_batch *from, size_t row,
                              struct dm_error *err)
{
    struct dm_batch *piece = b->piece;
    for (size_t i = 0; i < piece->n_columns; i++)
        if (put_value(b, &piece->columns[i], piece->schema->fields[i].id, from, row, err) != DM_OK)
            return DM_FAIL;
    dm_batch_end_row(piece, DM_OP_INSERT);
    /* Looked at now and then only: adding up takes a while. */
    bool full = piece->rows % 1024 == 0 && dm_batch_bytes(piece) > dm_mirror_portion(b->a->mirror, 1);
    return full ? flush(b, err) : DM_OK;
}

static enum dm_status take_rows(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                                const uint32_t *positions, struct dm_error *err)
{
    (void)files;
    (void)positions;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++)
        status = put_row(ctx, batch, i, err);
    return status;
}

/* The deletion that the index holds for the key; repeated ones stand beside each other. */
static enum dm_status take_tombstone(struct beginning *b, const struct dm_batch *batch, size_t row,
                                     struct dm_error *err)
{
    struct dm_index_change c = {.key = b->keys.bytes.data + b->keys.offsets[row],
                                .key_len = (uint32_t)(b->keys.offsets[row + 1] - b->keys.offsets[row])};
    uint32_t len;
    const uint8_t *version = dm_version_at(&b->versions, row, &len);
    if (b->last_key.len == c.key_len && memcmp(b->last_key.data, c.key, c.key_len) == 0)
        return DM_OK;
    if (dm_keyindex_lookup(b->a->mirror->index, b->t->state.id, &c, 1, err) != DM_OK)
        return DM_FAIL;
    if (dm_place_known(c.old) || dm_key_compare(version, len, c.old_version, c.old_version_len) != 0)
        return DM_OK;
    dm_buffer_clear(&b->last_key);
    return dm_buffer_append(&b->last_key, c.key, c.key_len, err) == DM_OK ? put_row(b, batch, row, err)
                                                                          : DM_FAIL;
}

static enum dm_status take_tombstones(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                                      const uint32_t *positions, struct dm_error *err)
{
    struct beginning *b = ctx;
    (void)files;
    (void)positions;
    if (dm_key_list_encode(&b->keys, batch, err) != DM_OK ||
        dm_version_list_encode(&b->versions, batch, (int)batch->schema->n_keys, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < batch->rows && status == DM_OK; i++)
        status = take_tombstone(b, batch, i, err);
    return status;
}

static enum dm_status scan(struct beginning *b, const struct dm_dataset *d, const struct dm_schema *schema,
                           dm_scan_fn fn, struct dm_error *err)
{
    if (d == NULL || d->n_files == 0)
        return DM_OK;
    struct dm_scan_file *files = dm_dataset_scan(d);
    struct dm_scan_options options = {.order_by_key = true};
    enum dm_status status =
        dm_parquet_scan(b->a->mirror->engine, files, d->n_files, schema, &options, fn, b, err);
    free(files);
    return status;
}

/* The rows and the remembered deletions of the dataset as it stands before this commit. */
static enum dm_status write_rows(struct beginning *b, struct dm_error *err)
{
    struct dm_mirror *m = b->a->mirror;
    const struct dm_dataset *rows = NULL, *tombstones = NULL;
    if (dm_lake_dataset(m->lake, b->t->state.namespace, b->t->state.name, &rows, err) != DM_OK ||
        dm_tombstones_dataset(m, b->t, &tombstones, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = scan(b, rows, b->t->schema, take_rows, err);
    if (status == DM_OK && tombstones != NULL) {
        struct dm_schema *keyed = dm_tombstones_keyed(tombstones, b->t->schema->n_keys);
        status = flush(b, err);
        b->deletes = true;
        if (status == DM_OK)
            status = scan(b, tombstones, keyed, take_tombstones, err);
        dm_schema_unref(keyed);
    }
    return status == DM_OK ? flush(b, err) : status;
}

static enum dm_status begin(struct dm_apply_context *a, const struct dm_target *t, const char *name,
                            struct dm_schema *schema, struct dm_error *err)
{
    struct beginning b = {.a = a,
                          .t = t,
                          .name = name,
                          .now = dm_clock_wall_us(),
                          .intervals = dm_interval_history_has(schema)};
    const uint32_t number = t->state.id | DM_INDEX_HISTORY;
    b.piece = dm_batch_new(schema);
    dm_buffer_init(&b.last_key, DM_KEY_MAX_BYTES);
    enum dm_status status = dm_keyindex_clear(a->mirror->index, number, err);
    if (status == DM_OK)
        status = dm_keyindex_tag_set(a->mirror->index, number, 0, err);
    if (status == DM_OK)
        status = write_rows(&b, err);
    if (status == DM_OK && b.rows > 0)
        dm_log(DM_LOG_INFO, "%s.%s: the history begins with %llu rows", t->state.namespace, t->state.name,
               (unsigned long long)b.rows);
    dm_batch_free(b.piece);
    dm_buffer_release(&b.last_key);
    dm_key_list_release(&b.keys);
    dm_key_list_release(&b.versions);
    dm_key_list_release(&b.written);
    return status;
}

/* *made: it is not there, neither in the lake nor in the commit, or what is there cannot go on and has been put aside. */
static enum dm_status ensure(struct dm_apply_context *a, const struct dm_target *t, const char *name,
                             const struct dm_schema *wanted, bool *made, struct dm_error *err)
{
    const char *namespace = t->state.namespace;
    const struct dm_dataset *there = NULL;
    const struct dm_schema *schema =
        NULL; /* in the commit: an earlier batch of it may have put aside what is there */
    if (dm_lake_dataset(a->mirror->lake, namespace, name, &there, err) != DM_OK ||
        dm_commit_schema(a->commit, namespace, name, &schema, err) != DM_OK)
        return DM_FAIL;
    if (there == NULL || schema == NULL || dm_history_goes_on(schema, wanted))
        return dm_apply_ensure_dataset(a, namespace, name, wanted, made, err);
    *made = true;
    return dm_history_archive(a->commit, there, err) == DM_OK
               ? dm_commit_create(a->commit, namespace, name, wanted, err)
               : DM_FAIL;
}

enum dm_status dm_history_begin(struct dm_apply_context *a, const struct dm_target *t, struct dm_error *err)
{
    struct dm_schema *wanted =
        dm_history_wanted(t->rules->schema->settings.history, t->schema, t->rules->version_field);
    if (wanted == NULL)
        return DM_OK;
    char *name = dm_history_name(t);
    bool made = false;
    enum dm_status status = ensure(a, t, name, wanted, &made, err);
    if (status == DM_OK && made)
        status = begin(a, t, name, wanted, err);
    dm_schema_unref(wanted);
    free(name);
    return status;
}

/* ---- in a commit of its own ---- */

/* Is it missing, or one that cannot go on, beside a dataset that has had rows? */
static enum dm_status is_due(struct dm_mirror *m, const struct dm_target *t, bool *out, struct dm_error *err)
{
    const struct dm_dataset *rows = NULL, *tombstones = NULL, *history = NULL;
    struct dm_schema *wanted =
        dm_history_wanted(t->rules->schema->settings.history, t->schema, t->rules->version_field);
    *out = false;
    if (wanted == NULL)
        return DM_OK;
    char *name = dm_history_name(t);
    enum dm_status status = dm_lake_dataset(m->lake, t->state.namespace, name, &history, err);
    if (status == DM_OK)
        status = dm_lake_dataset(m->lake, t->state.namespace, t->state.name, &rows, err);
    if (status == DM_OK)
        status = dm_tombstones_dataset(m, t, &tombstones, err);
    if (status == DM_OK)
        *out = history != NULL
                   ? !dm_history_goes_on(history->schema, wanted)
                   : rows->snapshot_id != 0 || (tombstones != NULL && tombstones->snapshot_id != 0);
    dm_schema_unref(wanted);
    free(name);
    return status;
}

static enum dm_status commit(struct dm_apply_context *a, const struct dm_target *t, struct dm_error *err)
{
    const struct dm_commit_summary summary = {.source = "schema", .position = "history begins"};
    if (dm_history_begin(a, t, err) != DM_OK || dm_commit_write(a->commit, &summary, err) != DM_OK)
        return DM_FAIL;
    dm_crash_point("history-before-publish");
    if (dm_commit_publish(a->commit, NULL, NULL, err) != DM_OK)
        return DM_FAIL;
    dm_crash_point("history-after-publish");
    return dm_index_tag_commit(a->mirror, a->commit, t, err) == DM_OK
               ? dm_keyindex_commit(a->mirror->index, err)
               : DM_FAIL;
}

enum dm_status dm_history_catch_up(struct dm_mirror *m, const struct dm_target *t, struct dm_error *err)
{
    struct dm_apply_context a = {.mirror = m};
    bool due = false;
    enum dm_status status = is_due(m, t, &due, err);
    if (status != DM_OK || !due)
        return status;
    status = dm_commit_begin(m->lake, &a.commit, err);
    if (status == DM_OK)
        status = dm_keyindex_begin(m->index, err);
    if (status == DM_OK) {
        status = commit(&a, t, err);
        if (status != DM_OK)
            dm_keyindex_abort(m->index);
    }
    dm_commit_free(a.commit);
    if (status != DM_OK)
        dm_error_prefix(err, "%s.%s: the history begins", t->state.namespace, t->state.name);
    return status;
}
