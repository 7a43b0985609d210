/* The dataset and its side datasets, and what commits of deletion and erasing have in common. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/commit/history_begin.h"
#include "mirror/hygiene/erase.h"
#include "mirror/quarantine/quarantine_table.h"
#include "mirror/commit/index_tag.h"

/* "<name>__history", "<name>__history_<snapshot>", "<name>__tombstones", unless it is a dataset in its own right. */
static bool belongs(const struct dm_dataset_states *all, const struct dm_dataset_state *state,
                    const struct dm_dataset_name *candidate)
{
    size_t n = strlen(state->name);
    if (strcmp(candidate->namespace, state->namespace) != 0 || strncmp(candidate->name, state->name, n) != 0)
        return false;
    const char *rest = candidate->name + n;
    if (strcmp(rest, "__history") != 0 && !dm_history_is_archive(rest) && strcmp(rest, "__tombstones") != 0)
        return false;
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->items[i].namespace, candidate->namespace) == 0 &&
            strcmp(all->items[i].name, candidate->name) == 0)
            return false;
    return true;
}

static enum dm_status add_member(struct dm_mirror *m, const char *namespace, const char *name,
                                 struct dm_family *f, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    if (dm_lake_dataset(m->lake, namespace, name, &d, err) != DM_OK)
        return DM_FAIL;
    if (d == NULL)
        return DM_OK;
    f->members = dm_xrealloc(f->members, f->n + 1, sizeof(const struct dm_dataset *));
    f->members[f->n++] = d;
    return DM_OK;
}

enum dm_status dm_family_load(struct dm_mirror *m, const struct dm_dataset_state *state,
                              struct dm_family *out, struct dm_error *err)
{
    *out = (struct dm_family){0};
    struct dm_dataset_states all = {0};
    struct dm_dataset_name *names = NULL;
    size_t n = 0;
    enum dm_status status = dm_state_datasets(dm_lake_sqlite(m->lake), NULL, &all, err);
    if (status == DM_OK)
        status = dm_lake_list(m->lake, &names, &n, err);
    if (status == DM_OK)
        status = add_member(m, state->namespace, state->name, out, err);
    for (size_t i = 0; i < n && status == DM_OK; i++)
        if (belongs(&all, state, &names[i]))
            status = add_member(m, names[i].namespace, names[i].name, out, err);
    dm_dataset_names_free(names, n);
    dm_dataset_states_release(&all);
    if (status != DM_OK)
        dm_family_release(out);
    return status;
}

void dm_family_release(struct dm_family *f)
{
    free(f->members);
    *f = (struct dm_family){0};
}

enum dm_status dm_still_summary_make(struct dm_mirror *m, const char *source, int64_t order,
                                     struct dm_still_summary *s, struct dm_error *err)
{
    *s = (struct dm_still_summary){0};
    sqlite3_stmt *st;
    sqlite3 *db = dm_lake_sqlite(m->lake);
    s->summary.source = source != NULL && source[0] != '\0' ? source : "delete";
    if (source != NULL && source[0] != '\0') {
        if (sqlite3_prepare_v2(db, "SELECT position_text, commit_time_us FROM dm_source WHERE name = ?", -1,
                               &st, NULL) != SQLITE_OK)
            return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
        sqlite3_bind_text(st, 1, source, -1, SQLITE_STATIC);
        if (sqlite3_step(st) == SQLITE_ROW) {
            s->position = dm_xstrdup((const char *)sqlite3_column_text(st, 0));
            s->summary.commit_time_us = sqlite3_column_int64(st, 1);
        }
        sqlite3_finalize(st);
    }
    if (s->position == NULL)
        s->position = dm_xasprintf("order %lld", (long long)order);
    s->summary.position = s->position;
    return DM_OK;
}

void dm_still_summary_release(struct dm_still_summary *s)
{
    free(s->position);
    *s = (struct dm_still_summary){0};
}

enum dm_status dm_family_tag(struct dm_mirror *m, const struct dm_dataset_state *state,
                             struct dm_commit *commit, struct dm_error *err)
{
    int64_t rows = dm_commit_snapshot(commit, state->namespace, state->name);
    char *name = dm_xasprintf("%s__tombstones", state->name);
    int64_t tombstones = dm_commit_snapshot(commit, state->namespace, name);
    free(name);
    if (rows != 0 && dm_keyindex_tag_set(m->index, state->id, rows, err) != DM_OK)
        return DM_FAIL;
    return tombstones == 0 ? DM_OK
                           : dm_keyindex_tag_set(m->index, state->id | DM_INDEX_TOMBSTONES, tombstones, err);
}

/* ---- quarantine ---- */

struct found {
    const struct dm_schema *schema;
    const struct dm_suppressed *set;
    int64_t *ids;
    size_t n;
};

static enum dm_status look(void *ctx, const struct dm_quarantine_row *row, struct dm_error *err)
{
    struct found *f = ctx;
    (void)err;
    if (!dm_suppressed_bad_row(f->set, f->schema, row->raw, row->key))
        return DM_OK;
    f->ids = dm_xrealloc(f->ids, f->n + 1, sizeof *f->ids);
    f->ids[f->n++] = row->id;
    return DM_OK;
}

enum dm_status dm_quarantine_of_keys(struct dm_mirror *m, uint32_t dataset, const struct dm_schema *schema,
                                     const struct dm_suppressed *set, int64_t **ids, size_t *n,
                                     struct dm_error *err)
{
    struct found f = {.schema = schema, .set = set};
    struct dm_quarantine_choice choice = {.dataset = dataset};
    enum dm_status status = dm_quarantine_each(dm_lake_sqlite(m->lake), &choice, look, &f, err);
    *ids = f.ids;
    *n = f.n;
    return status;
}
