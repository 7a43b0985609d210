/* Two passes over the key index: one that asks for the stored versions, so that stale rows are known before the data file is written, and one that
 * puts the new places and versions while the files are written. Both go in key order. */
#include "mirror/commit/versioned_rows.h"

#include <stdlib.h>
#include <string.h>

#include "apply/key_sort.h"
#include "apply/version_rule.h"
#include "base/memory.h"
#include "column/row_json.h"
#include "mirror/commit/equal_rows.h"
#include "mirror/commit/file_writes.h"
#include "mirror/commit/history.h"
#include "mirror/commit/history_begin.h"
#include "mirror/relationship/orphan.h"
#include "mirror/commit/interval_history.h"
#include "mirror/commit/null_updates.h"
#include "mirror/commit/tombstones.h"
#include "mirror/commit/version_pass.h"

_Static_assert(offsetof(struct dm_row_key, key) == offsetof(struct dm_keyed, key) &&
                   offsetof(struct dm_row_key, key_len) == offsetof(struct dm_keyed, key_len),
               "dm_key_sort sorts row keys");

/* ---- rows that cannot be placed ---- */

void dm_version_pass_bad(struct dm_version_pass *p, uint32_t row, const char *reason, const char *message)
{
    enum { most_raw_bytes = 64 << 20 };
    struct dm_buffer raw;
    struct dm_error ignored;
    dm_buffer_init(&raw, most_raw_bytes);
    char key[512];
    (void)dm_key_text(p->batch, row, key, sizeof key);
    bool whole = dm_row_json(p->batch, row, &raw, &ignored) == DM_OK &&
                 dm_buffer_append_byte(&raw, 0, &ignored) == DM_OK;
    char *place = dm_version_pass_place(p, row);
    const struct dm_bad_row bad = {.reason = reason,
                                   .message = message,
                                   .key = key,
                                   .raw = whole ? (const char *)raw.data : key,
                                   .place = place,
                                   .op = (enum dm_op)p->batch->ops[row]};
    dm_kept_rows_add(&p->a->bad, &p->a->n_bad, p->t, p->batch->txns[row], &bad);
    free(place);
    dm_buffer_release(&raw);
}

/* False: the row is bad and was put aside. */
static bool check_row(struct dm_version_pass *p, uint32_t row, size_t key_len)
{
    uint32_t version_len;
    (void)dm_version_at(&p->versions, row, &version_len);
    const char *version = p->batch->schema->fields[p->t->rules->version_field].name;
    char message[512];
    if (key_len == 0) {
        dm_version_pass_bad(p, row, "null_key", "a column of the primary key is null");
        return false;
    }
    if (version_len == 0) {
        (void)snprintf(message, sizeof message, "the version column \"%.200s\" is null", version);
        dm_version_pass_bad(p, row, "missing_version", message);
        return false;
    }
    if (version_len > DM_INDEX_VERSION_MAX) {
        (void)snprintf(message, sizeof message, "the version in \"%.200s\" has %u bytes; %d are allowed",
                       version, version_len, DM_INDEX_VERSION_MAX);
        dm_version_pass_bad(p, row, "version_too_long", message);
        return false;
    }
    if (dm_interval_history_kept(p->t) && !dm_interval_history_fits(p, row, key_len)) {
        (void)snprintf(message, sizeof message,
                       "key and version have more than %d bytes, and the dataset keeps its history by "
                       "version (history: scd2)",
                       DM_INDEX_KEY_WHOLE);
        dm_version_pass_bad(p, row, "history_key_too_long", message);
        return false;
    }
    return true;
}

/* ---- what there is: keys, versions, stored state ---- */

static enum dm_status collect_rows(struct dm_version_pass *p, struct dm_error *err)
{
    const struct dm_batch *b = p->batch;
    p->rows = dm_xalloc((b->rows + 1) * sizeof *p->rows);
    p->outcome = dm_xzalloc(b->rows + 1, sizeof *p->outcome);
    for (uint32_t i = 0; i < b->rows; i++) {
        if (b->ops[i] == DM_OP_REKEY)
            return dm_fail(err, DM_ERROR_FATAL, NULL, "row %u of the batch is a REKEY of a declared dataset",
                           i);
        size_t len = p->keys->offsets[i + 1] - p->keys->offsets[i];
        if (check_row(p, i, len))
            p->rows[p->n_rows++] = (struct dm_row_key){
                .key = p->keys->bytes.data + p->keys->offsets[i], .key_len = (uint32_t)len, .row = i};
    }
    dm_key_sort(p->rows, p->n_rows, sizeof *p->rows);
    return DM_OK;
}

static enum dm_status look_up(struct dm_version_pass *p, struct dm_error *err)
{
    p->stored = dm_xalloc((p->n_rows + 1) * sizeof *p->stored);
    p->winner = dm_xalloc((p->n_rows + 1) * sizeof *p->winner);
    for (size_t i = 0; i < p->n_rows; i++) {
        const struct dm_row_key *r = &p->rows[i];
        if (i == 0 || dm_key_compare(r->key, r->key_len, r[-1].key, r[-1].key_len) != 0)
            p->stored[p->n_keys++] =
                (struct dm_index_change){.key = r->key, .key_len = r->key_len, .row = (uint32_t)i};
    }
    enum dm_status status =
        dm_keyindex_lookup(p->a->mirror->index, p->t->state.id, p->stored, p->n_keys, err);
    for (size_t k = 0; k < p->n_keys && status == DM_OK; k++)
        if (dm_place_known(p->stored[k].old) && p->stored[k].old_version_len == 0)
            status =
                dm_fail(err, DM_ERROR_FATAL,
                        "stop the mirror, remove <lake>/.index and start again: it is rebuilt from the lake",
                        "%s.%s: the key index holds a key without its version", p->t->state.namespace,
                        p->t->state.name);
    return status;
}

/* ---- upserts that say what is stored ---- */

static bool ties(const struct dm_version_pass *p, size_t k, uint32_t row)
{
    uint32_t len;
    const uint8_t *version = dm_version_at(&p->versions, row, &len);
    return !dm_version_pass_deletes(p, row) && (p->waits == NULL || !p->waits[row]) &&
           dm_key_compare(version, len, p->stored[k].old_version, p->stored[k].old_version_len) == 0;
}

static enum dm_status find_equal(struct dm_version_pass *p, struct dm_error *err)
{
    struct dm_tie *list = NULL;
    size_t n = 0, room = 0;
    for (size_t k = 0; k < p->n_keys; k++) {
        size_t first, end;
        dm_version_pass_group(p, k, &first, &end);
        for (size_t i = first; dm_place_known(p->stored[k].old) && i < end; i++) {
            if (!ties(p, k, p->rows[i].row))
                continue;
            if (n == room) {
                room = room * 2 + 64;
                list = dm_xrealloc(list, room, sizeof *list);
            }
            list[n++] = (struct dm_tie){.place = p->stored[k].old, .row = p->rows[i].row};
        }
    }
    enum dm_status status = DM_OK;
    if (n > 0) {
        p->equal = dm_xzalloc(p->batch->rows, sizeof *p->equal);
        status = dm_equal_rows_find(p->a, p->batch, p->t->state.namespace, p->t->state.name, p->batch->schema,
                                    list, n, p->equal, err);
    }
    free(list);
    return status;
}

/* ---- the rule ---- */

/* An upsert of the state's own version: does it say the same? `now` is the row that made the state; DM_NO_ROW: it is the stored one. */
static bool says_the_same(const struct dm_version_pass *p, uint32_t now, uint32_t row)
{
    return now == DM_NO_ROW ? p->equal != NULL && p->equal[row] : dm_equal_rows(p->batch, now, row);
}

static void count_outcome(const struct dm_version_pass *p, uint32_t row, bool tie)
{
    enum dm_row_outcome o = (enum dm_row_outcome)p->outcome[row];
    const struct dm_txn *txn = dm_version_pass_txn(p, row);
    struct dm_dataset_state *all = &p->t->state;
    all->ties += tie;
    all->stale += o == DM_ROW_STALE;
    all->inserted += o == DM_ROW_INSERTED;
    all->updated += o == DM_ROW_UPDATED;
    all->deleted += o == DM_ROW_DELETED;
    all->noop_deletes += o == DM_ROW_NOOP_DELETE;
    DM_ROW_COUNT(txn, ties, tie);
    DM_ROW_COUNT(txn, stale, o == DM_ROW_STALE);
    DM_ROW_COUNT(txn, inserted, o == DM_ROW_INSERTED);
    DM_ROW_COUNT(txn, upserted, o == DM_ROW_INSERTED || o == DM_ROW_UPDATED);
    DM_ROW_COUNT(txn, deleted, o == DM_ROW_DELETED);
    DM_ROW_COUNT(txn, noop_deletes, o == DM_ROW_NOOP_DELETE);
}

static void judge_key(struct dm_version_pass *p, size_t k)
{
    const struct dm_index_change *stored = &p->stored[k];
    struct dm_version_state state = {
        .version = stored->old_version, .len = stored->old_version_len, .live = dm_place_known(stored->old)};
    size_t first, end;
    dm_version_pass_group(p, k, &first, &end);
    p->winner[k] = DM_NO_ROW;
    for (size_t i = first; i < end; i++) {
        uint32_t row = p->rows[i].row, len;
        if (p->waits != NULL && p->waits[row])
            continue;
        const uint8_t *version = dm_version_at(&p->versions, row, &len);
        bool gone = dm_version_pass_deletes(p, row);
        enum dm_verdict verdict = dm_version_decide(&state, version, len);
        bool tie = verdict == DM_VERDICT_TIE_APPLY || verdict == DM_VERDICT_TIE_DROP;
        if (verdict == DM_VERDICT_TIE_APPLY && !gone && says_the_same(p, p->winner[k], row))
            verdict = DM_VERDICT_TIE_DROP;
        if (!dm_verdict_applies(verdict))
            p->outcome[row] = verdict == DM_VERDICT_STALE ? DM_ROW_STALE : DM_ROW_TIE_DROPPED;
        else if (gone)
            p->outcome[row] = state.live ? DM_ROW_DELETED : DM_ROW_NOOP_DELETE;
        else
            p->outcome[row] = state.live ? DM_ROW_UPDATED : DM_ROW_INSERTED;
        count_outcome(p, row, tie);
        if (!dm_verdict_applies(verdict))
            continue;
        state = (struct dm_version_state){.version = version, .len = len, .live = !gone};
        p->winner[k] = row;
    }
}

/* ---- writing ---- */

/* The winning upserts and the winning deletes, both in the order they arrived. */
static size_t select_winners(const struct dm_version_pass *p, uint32_t *selection, uint32_t *deletes,
                             size_t *n_deletes)
{
    enum { none, upsert, delete };
    uint8_t *won = dm_xzalloc(p->batch->rows + 1, sizeof *won);
    for (size_t k = 0; k < p->n_keys; k++)
        if (p->winner[k] != DM_NO_ROW)
            won[p->winner[k]] = dm_version_pass_deletes(p, p->winner[k]) ? delete : upsert;
    size_t n = 0;
    *n_deletes = 0;
    for (uint32_t i = 0; i < p->batch->rows; i++) {
        if (won[i] == upsert)
            selection[n++] = i;
        else if (won[i] == delete)
            deletes[(*n_deletes)++] = i;
    }
    free(won);
    return n;
}

/* written[row of the batch]: where it stands. */
static enum dm_status index_winners(const struct dm_version_pass *p, const struct dm_place *written,
                                    struct dm_error *err)
{
    struct dm_index_change *changes = dm_xalloc((p->n_keys + 1) * sizeof *changes);
    struct dm_place *places = dm_xalloc((p->n_keys + 1) * sizeof *places);
    size_t n = 0, n_places = 0;
    for (size_t k = 0; k < p->n_keys; k++) {
        uint32_t row = p->winner[k];
        if (row == DM_NO_ROW)
            continue;
        struct dm_index_change *c = &changes[n++];
        *c = (struct dm_index_change){.key = p->stored[k].key, .key_len = p->stored[k].key_len, .row = row};
        c->version = dm_version_at(&p->versions, row, &c->version_len);
        if (!dm_version_pass_deletes(p, row))
            c->place = written[row];
        if (dm_place_known(p->stored[k].old))
            places[n_places++] = p->stored[k].old;
    }
    enum dm_status status = dm_keyindex_apply(p->a->mirror->index, p->t->state.id, changes, n, err);
    if (status == DM_OK)
        status =
            dm_apply_deletions(p->a->commit, p->t->state.namespace, p->t->state.name, places, n_places, err);
    free(places);
    free(changes);
    return status;
}

static enum dm_status write_winners(struct dm_version_pass *p, struct dm_file_writes **files,
                                    struct dm_error *err)
{
    size_t rows = p->batch->rows, n_deletes = 0;
    uint32_t *selection = dm_xalloc((rows + 1) * 2 * sizeof *selection);
    uint32_t *deletes = selection + rows + 1;
    struct dm_place *written = dm_xalloc((rows + 1) * sizeof *written);
    size_t live = select_winners(p, selection, deletes, &n_deletes);
    enum dm_status status = dm_file_writes_begin(p->a, p->t->state.namespace, p->t->state.name, p->batch,
                                                 selection, live, written, files, err);
    if (status == DM_OK && n_deletes > 0)
        status = dm_tombstones_append(p->a, p->t, p->batch, deletes, n_deletes, err);
    if (status == DM_OK)
        status = index_winners(p, written, err);
    free(written);
    free(selection);
    return status;
}

static enum dm_status pass(struct dm_version_pass *p, struct dm_file_writes **files, struct dm_error *err)
{
    struct dm_key_list *keys = &p->a->net.keys;
    p->keys = keys;
    const struct dm_dataset_settings *settings = &p->t->rules->schema->settings;
    if (p->batch->rows >= DM_NO_ROW / 2)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a batch of %zu rows is too large", p->batch->rows);
    if (dm_history_begin(p->a, p->t, err) != DM_OK || dm_key_list_encode(keys, p->batch, err) != DM_OK ||
        dm_version_list_encode(&p->versions, p->batch, p->t->rules->version_field, err) != DM_OK ||
        collect_rows(p, err) != DM_OK || look_up(p, err) != DM_OK || dm_orphans_find(p, err) != DM_OK ||
        dm_null_updates_resolve(p, err) != DM_OK || find_equal(p, err) != DM_OK)
        return DM_FAIL;
    for (size_t k = 0; k < p->n_keys; k++)
        judge_key(p, k);
    if (dm_orphans_note(p, err) != DM_OK)
        return DM_FAIL;
    if (write_winners(p, files, err) != DM_OK)
        return DM_FAIL;
    switch (settings->history) {
    case DM_HISTORY_NONE: return DM_OK;
    case DM_HISTORY_CHANGES: return dm_history_append_applied(p, err);
    case DM_HISTORY_SCD2: return dm_interval_history_append(p, err);
    }
    return DM_OK;
}

enum dm_status dm_apply_versioned(struct dm_apply_context *a, struct dm_target *t, struct dm_batch *batch,
                                  struct dm_file_writes **files, struct dm_error *err)
{
    struct dm_version_pass p = {.a = a, .t = t, .batch = batch};
    enum dm_status status = pass(&p, files, err);
    t->state.received += status == DM_OK ? batch->rows : 0;
    for (uint32_t i = 0; i < batch->rows && status == DM_OK; i++)
        DM_ROW_COUNT(dm_version_pass_txn(&p, i), received, 1);
    dm_key_list_release(&p.versions);
    free(p.outcome);
    dm_orphans_end(&p);
    free(p.equal);
    free(p.rows);
    free(p.stored);
    free(p.winner);
    return status;
}

enum dm_status dm_versioned_forget(struct dm_keyindex *ix, const struct dm_target *t, struct dm_error *err)
{
    uint32_t id = t->state.id;
    if (dm_keyindex_clear(ix, id, err) != DM_OK ||
        dm_keyindex_clear(ix, id | DM_INDEX_HISTORY, err) != DM_OK ||
        dm_keyindex_tag_set(ix, id, 0, err) != DM_OK ||
        dm_keyindex_tag_set(ix, id | DM_INDEX_TOMBSTONES, 0, err) != DM_OK)
        return DM_FAIL;
    return dm_keyindex_tag_set(ix, id | DM_INDEX_HISTORY, 0, err);
}
