/* Which rows of a batch wait.
 *
 * A row misses a parent when the key index does not have it and it does not come with the batch. What comes with the batch is found from above: at first all that could come is taken
 * to come, then rows that miss something fall out, and with them what relied on them, until nothing changes. So chains, rows that are their own parent, and circles pass. Where rows take values from
 * those before them (null_updates.h) it matters which of those wait, and a row may refer to another parent then: that is looked at again until it stays the same. */
#include "mirror/relationship/orphan.h"

#include <stdlib.h>
#include <string.h>

#include "apply/version_rule.h"
#include "base/memory.h"
#include "column/row_json.h"
#include "mirror/commit/equal_rows.h"
#include "mirror/commit/interval_history.h"
#include "mirror/commit/null_updates.h"
#include "mirror/commit/index_tag.h"
#include "mirror/quarantine/quarantine_table.h"
#include "mirror/relationship/orphan_list.h"

static struct dm_version_state stored_state(const struct dm_version_pass *p, size_t k)
{
    const struct dm_index_change *stored = &p->stored[k];
    return (struct dm_version_state){.version = stored->old_version_len > 0 ? stored->old_version : NULL,
                                     .len = stored->old_version_len,
                                     .live = dm_place_known(stored->old)};
}

static enum dm_verdict verdict_of(const struct dm_version_pass *p, size_t k, uint32_t row)
{
    struct dm_version_state state = stored_state(p, k);
    uint32_t len;
    const uint8_t *version = dm_version_at(&p->versions, row, &len);
    return dm_version_decide(&state, version, len);
}

void dm_orphan_groups(const struct dm_version_pass *p, uint32_t *group)
{
    memset(group, 0xff, (p->batch->rows + 1) * sizeof *group);
    for (size_t k = 0; k < p->n_keys; k++) {
        size_t first, end;
        dm_version_pass_group(p, k, &first, &end);
        for (size_t i = first; i < end; i++)
            group[p->rows[i].row] = (uint32_t)k;
    }
}

struct dm_batch dm_orphan_view(const struct dm_version_pass *p, const struct dm_orphan_parent *parent,
                               struct dm_column *columns)
{
    for (size_t i = 0; i < parent->view->n_fields; i++)
        columns[i] = p->batch->columns[parent->columns[i]];
    return (struct dm_batch){.schema = parent->view,
                             .n_columns = parent->view->n_fields,
                             .columns = columns,
                             .rows = p->batch->rows};
}

/* ---- candidates: upserts that would change something ---- */

/* A history by version takes stale upserts, too, but those that it has are nothing new. */
static enum dm_status find_late(struct dm_orphan_search *s, struct dm_error *err)
{
    struct dm_version_pass *p = s->p;
    struct dm_key_list keys = {0};
    const struct dm_column *version = &p->batch->columns[p->t->rules->version_field];
    enum dm_status status = dm_interval_history_keys(p, &keys, err);
    for (uint32_t i = 0; i < p->batch->rows && status == DM_OK; i++) {
        if (s->group[i] == DM_NO_ROW || s->candidate[i] || dm_version_pass_deletes(p, i) ||
            verdict_of(p, s->group[i], i) != DM_VERDICT_STALE)
            continue;
        struct dm_index_entry before, same, after;
        uint32_t len;
        const uint8_t *key = dm_version_at(&keys, i, &len);
        status = dm_keyindex_near(p->a->mirror->index, p->t->state.id | DM_INDEX_HISTORY, key, len,
                                  len - (uint32_t)dm_version_bytes(version, i), &before, &same, &after, err);
        s->candidate[i] = same.key == NULL;
    }
    dm_key_list_release(&keys);
    return status;
}

static enum dm_status find_candidates(struct dm_orphan_search *s, struct dm_error *err)
{
    const struct dm_version_pass *p = s->p;
    for (uint32_t i = 0; i < p->batch->rows; i++)
        s->candidate[i] = s->group[i] != DM_NO_ROW && !dm_version_pass_deletes(p, i) &&
                          dm_verdict_applies(verdict_of(p, s->group[i], i));
    return dm_interval_history_kept(p->t) ? find_late(s, err) : DM_OK;
}

/* ---- what is missing ---- */

static bool is_out(const struct dm_orphan_search *s, uint32_t row)
{
    bool out = s->no_reference[row];
    for (size_t i = 0; i < s->child->n_parents && !out; i++)
        out = s->missing[i][row];
    return out;
}

static void look_for_nulls(struct dm_orphan_search *s, size_t which)
{
    const struct dm_relationship *r = s->child->parents[which].relationship;
    const struct dm_key_list *keys = &s->references[which];
    bool mandatory = (r->cardinality == DM_MANY_TO_ONE || r->cardinality == DM_ONE_TO_ONE) &&
                     !s->p->t->rules->schema->settings.ignore_null_updates;
    for (uint32_t i = 0; mandatory && i < s->p->batch->rows; i++)
        if (keys->offsets[i + 1] == keys->offsets[i] && s->candidate[i])
            s->no_reference[i] = true;
}

static bool is_promised(const struct dm_orphan_search *s, size_t which, const struct dm_index_change *key)
{
    const struct dm_orphan_promises *promises = s->p->a->mirror->orphan_promises;
    const char *origin = dm_version_pass_txn(s->p, key->row)->origin;
    return promises != NULL && origin != NULL && strcmp(origin, promises->origin) == 0 &&
           dm_orphan_promises_has(promises, s->child->parents[which].dataset, key->key, key->key_len);
}

/* Looks up the distinct parents that candidates refer to, and marks rows that miss theirs. */
static enum dm_status look_up_parents(struct dm_orphan_search *s, size_t which, struct dm_error *err)
{
    const struct dm_orphan_parent *parent = &s->child->parents[which];
    const struct dm_key_list *keys = &s->references[which];
    size_t rows = s->p->batch->rows, n = 0, distinct = 0;
    struct dm_index_change *wanted = dm_xalloc((rows + 1) * sizeof *wanted);
    struct dm_index_change *asked = dm_xalloc((rows + 1) * sizeof *asked);
    size_t *of = dm_xalloc((rows + 1) * sizeof *of);
    for (uint32_t i = 0; i < rows; i++) {
        size_t len = keys->offsets[i + 1] - keys->offsets[i];
        if (len > 0 && s->candidate[i])
            wanted[n++] = (struct dm_index_change){
                .key = keys->bytes.data + keys->offsets[i], .key_len = (uint32_t)len, .row = i};
    }
    dm_key_sort(wanted, n, sizeof *wanted);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 ||
            dm_key_compare(wanted[i].key, wanted[i].key_len, wanted[i - 1].key, wanted[i - 1].key_len) != 0)
            asked[distinct++] = wanted[i];
        of[i] = distinct - 1;
    }
    enum dm_status status = DM_OK;
    if (parent->current && distinct > 0)
        status = dm_keyindex_lookup(s->p->a->mirror->index, parent->dataset, asked, distinct, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        if ((!parent->current || !dm_place_known(asked[of[i]].old)) && !is_promised(s, which, &wanted[i]))
            s->missing[which][wanted[i].row] = true;
    free(wanted);
    free(asked);
    free(of);
    return status;
}

/* ---- a dataset that is its own parent ---- */

/* Will the key be there when the batch is applied? Rows that wait take no part. */
static bool comes_with_batch(const struct dm_orphan_search *s, size_t k)
{
    const struct dm_version_pass *p = s->p;
    struct dm_version_state state = stored_state(p, k);
    size_t first, end;
    dm_version_pass_group(p, k, &first, &end);
    for (size_t i = first; i < end; i++) {
        uint32_t row = p->rows[i].row, len;
        const uint8_t *version = dm_version_at(&p->versions, row, &len);
        if (!is_out(s, row) && dm_verdict_applies(dm_version_decide(&state, version, len)))
            state = (struct dm_version_state){
                .version = version, .len = len, .live = !dm_version_pass_deletes(p, row)};
    }
    return state.live;
}

/* The distinct key of the batch that the row refers to; DM_NO_ROW: none. */
static uint32_t referred_group(const struct dm_orphan_search *s, size_t which, uint32_t row)
{
    const struct dm_version_pass *p = s->p;
    uint32_t len;
    const uint8_t *key = dm_version_at(&s->references[which], row, &len);
    size_t low = 0, high = p->n_keys;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = dm_key_compare(p->stored[middle].key, p->stored[middle].key_len, key, len);
        if (order == 0)
            return (uint32_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return DM_NO_ROW;
}

static void find_in_batch(struct dm_orphan_search *s)
{
    size_t rows = s->p->batch->rows, n = 0;
    struct relying {
        uint32_t row, group;
        size_t which;
    } *list = NULL;
    for (size_t which = 0; which < s->child->n_parents; which++) {
        if (s->child->parents[which].dataset != s->p->t->state.id)
            continue;
        list = dm_xrealloc(list, n + rows + 1, sizeof *list);
        for (uint32_t i = 0; i < rows; i++) {
            uint32_t group = s->missing[which][i] ? referred_group(s, which, i) : DM_NO_ROW;
            if (group == DM_NO_ROW)
                continue;
            list[n++] = (struct relying){i, group, which};
            s->missing[which][i] = false;
        }
    }
    for (bool changed = n > 0; changed;) {
        changed = false;
        for (size_t i = 0; i < n; i++) {
            if (s->missing[list[i].which][list[i].row] || comes_with_batch(s, list[i].group))
                continue;
            s->missing[list[i].which][list[i].row] = true;
            changed = true;
        }
    }
    free(list);
}

/* ---- what says only what is stored ---- */

/* Another row of the batch changes the key before or beside it: then it may change it back. */
static bool is_alone(const struct dm_orphan_search *s, uint32_t row)
{
    const struct dm_version_pass *p = s->p;
    size_t first, end, n = 0;
    dm_version_pass_group(p, s->group[row], &first, &end);
    for (size_t i = first; i < end; i++)
        n += dm_verdict_applies(verdict_of(p, s->group[row], p->rows[i].row)) && p->rows[i].row < row &&
             !is_out(s, p->rows[i].row);
    return n == 0;
}

static enum dm_status pass_equal(struct dm_orphan_search *s, struct dm_error *err)
{
    struct dm_version_pass *p = s->p;
    struct dm_tie *ties = NULL;
    size_t n = 0;
    for (uint32_t i = 0; i < p->batch->rows; i++) {
        if (!s->candidate[i] || !is_out(s, i) || verdict_of(p, s->group[i], i) != DM_VERDICT_TIE_APPLY ||
            !is_alone(s, i))
            continue;
        ties = dm_xrealloc(ties, n + 1, sizeof *ties);
        ties[n++] = (struct dm_tie){.place = p->stored[s->group[i]].old, .row = i};
    }
    if (n == 0)
        return DM_OK;
    bool *equal = dm_xzalloc(p->batch->rows + 1, sizeof *equal);
    enum dm_status status = dm_equal_rows_find(p->a, p->batch, p->t->state.namespace, p->t->state.name,
                                               p->batch->schema, ties, n, equal, err);
    for (uint32_t i = 0; i < p->batch->rows && status == DM_OK; i++) {
        s->candidate[i] &= !equal[i];
        s->no_reference[i] &= !equal[i];
        for (size_t which = 0; which < s->child->n_parents; which++)
            s->missing[which][i] &= !equal[i];
    }
    free(equal);
    free(ties);
    return status;
}

/* ---- all of it ---- */

static enum dm_status read_references(struct dm_orphan_search *s, size_t which, struct dm_error *err)
{
    const struct dm_orphan_parent *parent = &s->child->parents[which];
    size_t n = parent->view->n_fields;
    struct dm_column *columns = dm_xzalloc(n, sizeof *columns), *merged = dm_xzalloc(n, sizeof *merged);
    bool *filled = dm_xzalloc(n, sizeof *filled);
    struct dm_batch view = dm_orphan_view(s->p, parent, columns);
    enum dm_status status = dm_null_updates_peek(s->p, parent->columns, n, merged, filled, err);
    for (size_t i = 0; i < n; i++) {
        s->merges |= filled[i];
        if (filled[i])
            columns[i] = merged[i];
    }
    if (status == DM_OK)
        status = dm_key_list_encode(&s->references[which], &view, err);
    for (size_t i = 0; i < n; i++)
        if (filled[i])
            dm_column_release(&merged[i]);
    free(columns);
    free(merged);
    free(filled);
    return status;
}

/* *same: those that wait are the same as before. */
static enum dm_status look(struct dm_orphan_search *s, bool *same, struct dm_error *err)
{
    size_t rows = s->p->batch->rows;
    enum dm_status status = DM_OK;
    memset(s->no_reference, 0, rows * sizeof *s->no_reference);
    for (size_t i = 0; i < s->child->n_parents && status == DM_OK; i++) {
        memset(s->missing[i], 0, rows * sizeof **s->missing);
        status = read_references(s, i, err);
        if (status == DM_OK)
            look_for_nulls(s, i);
        if (status == DM_OK)
            status = look_up_parents(s, i, err);
    }
    if (status == DM_OK)
        find_in_batch(s);
    if (status == DM_OK)
        status = pass_equal(s, err);
    *same = true;
    for (uint32_t i = 0; i < rows && status == DM_OK; i++) {
        bool out = is_out(s, i);
        *same &= s->p->waits[i] == out;
        s->p->waits[i] = out;
    }
    return status;
}

/* Rows as they came: what they leave to the stored row is still left out. */
static void keep_raw(struct dm_orphan_search *s)
{
    struct dm_buffer raw;
    struct dm_error ignored;
    char key[512];
    dm_buffer_init(&raw, DM_QUARANTINE_RAW_MAX * 4);
    for (uint32_t i = 0; i < s->p->batch->rows; i++) {
        if (!s->p->waits[i])
            continue;
        dm_buffer_clear(&raw);
        bool whole = dm_row_json(s->p->batch, i, &raw, &ignored) == DM_OK && dm_buffer_text(&raw) != NULL;
        s->raw[i] = dm_xstrdup(whole ? (const char *)raw.data : dm_key_text(s->p->batch, i, key, sizeof key));
    }
    dm_buffer_release(&raw);
}

enum dm_status dm_orphans_find(struct dm_version_pass *p, struct dm_error *err)
{
    struct dm_orphan_child *child = NULL;
    if (dm_orphan_child_of(p, &child, err) != DM_OK)
        return DM_FAIL;
    if (child == NULL)
        return DM_OK;
    size_t rows = p->batch->rows;
    struct dm_orphan_search *s = dm_xzalloc(1, sizeof *s);
    p->search = s;
    p->waits = dm_xzalloc(rows + 1, sizeof *p->waits);
    *s = (struct dm_orphan_search){.p = p, .child = child};
    s->references = dm_xzalloc(child->n_parents, sizeof *s->references);
    s->group = dm_xalloc((rows + 1) * sizeof *s->group);
    s->candidate = dm_xzalloc(rows + 1, sizeof *s->candidate);
    s->no_reference = dm_xzalloc(rows + 1, sizeof *s->no_reference);
    s->raw = dm_xzalloc(rows + 1, sizeof(char *));
    s->missing = dm_xzalloc(child->n_parents, sizeof(bool *));
    for (size_t i = 0; i < child->n_parents; i++)
        s->missing[i] = dm_xzalloc(rows + 1, sizeof **s->missing);
    dm_orphan_groups(p, s->group);
    enum dm_status status = find_candidates(s, err);
    /* Each round settles at least the first row of each key that is not settled yet. */
    bool same = false;
    for (size_t round = 0; (round == 0 || (s->merges && !same && round <= rows)) && status == DM_OK; round++)
        status = look(s, &same, err);
    if (status == DM_OK)
        keep_raw(s);
    return status;
}

void dm_orphans_end(struct dm_version_pass *p)
{
    struct dm_orphan_search *s = p->search;
    free(p->waits);
    p->waits = NULL;
    p->search = NULL;
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->child->n_parents; i++) {
        dm_key_list_release(&s->references[i]);
        free(s->missing[i]);
    }
    for (size_t i = 0; i < p->batch->rows; i++)
        free(s->raw[i]);
    free(s->raw);
    free(s->references);
    free(s->missing);
    free(s->group);
    free(s->candidate);
    free(s->no_reference);
    free(s);
}
