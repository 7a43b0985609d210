#include "mirror/target_basis.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum { settles_us = 30 * 1000000 };

enum dm_status dm_target_basis_load(struct dm_mirror *m, struct dm_target *t, struct dm_error *err)
{
    if (dm_state_basis(dm_lake_sqlite(m->lake), t->state.source, t->state.id, &t->basis, err) != DM_OK)
        return DM_FAIL;
    if (t->basis.n == 0 && t->state.storage != 0) /* a lake of a version that knew of nothing else */
        dm_basis_add(&t->basis, DM_BASIS_STORAGE, NULL, "%llu", (unsigned long long)t->state.storage);
    return DM_OK;
}

static enum dm_status take_over(const struct dm_basis_moment *now, struct dm_target *t,
                                const struct dm_basis *basis, struct dm_error *err)
{
    dm_basis_release(&t->basis);
    t->basis = dm_basis_copy(basis);
    return dm_state_put_basis(dm_lake_sqlite(now->mirror->lake), t->state.source, t->state.id, &t->basis,
                              err);
}

/* What is new needs no copy: the stream tells of it, or has told. When it has stood long enough for that, and everything up to then is in the lake,
 * it is what the dataset rests on: else the next start would take a TRUNCATE of today for one that nobody saw. */
static enum dm_status settle(const struct dm_basis_moment *now, struct dm_target *t,
                             const struct dm_basis *basis, struct dm_error *err)
{
    int64_t time = dm_clock_monotonic_us();
    int64_t long_enough = 3 * now->config->heartbeat_interval_ms * 1000;
    if (long_enough < settles_us)
        long_enough = settles_us;
    if (dm_basis_equal(&t->basis, basis))
        return DM_OK;
    if (dm_basis_get(&t->basis, DM_BASIS_APPEND_ONLY, NULL) ==
        NULL) /* of an older version, which knew less */
        return take_over(now, t, basis, err);
    if (!dm_basis_equal(&t->basis_seen, basis)) {
        dm_basis_release(&t->basis_seen);
        t->basis_seen = dm_basis_copy(basis);
        t->basis_seen_us = time;
        t->basis_seen_at = now->source_end;
        return DM_OK;
    }
    if (time - t->basis_seen_us < long_enough || now->committed < t->basis_seen_at)
        return DM_OK;
    return take_over(now, t, basis, err);
}

enum dm_status dm_target_basis_compare(const struct dm_basis_moment *now, struct dm_target *t,
                                       const struct dm_table *table, bool *copy, struct dm_error *err)
{
    struct dm_basis_look look = {.when = now->running ? DM_BASIS_AT_LOOK : DM_BASIS_AT_START,
                                 .at = now->committed};
    struct dm_basis_verdict verdict;
    *copy = false;
    if (t->phase != DM_PHASE_STREAMING || t->copy_again)
        return DM_OK;
    dm_basis_compare(&t->basis, &table->basis, &look, &verdict);
    if (verdict.effect < DM_BASIS_COPY)
        return settle(now, t, &table->basis, err);
    *copy = t->copy_again = true;
    dm_log(DM_LOG_INFO, "%s.%s will be copied again: %s", t->state.namespace, t->state.name, verdict.text);
    /* From here on its rows are left out, so the catalog must know, whatever becomes of this process. */
    dm_target_set_text(t, &t->state.state, "copying");
    return dm_state_put_dataset(dm_lake_sqlite(now->mirror->lake), &t->state, err);
}

static const char *remedy(enum dm_basis_member member)
{
    switch (member) {
    case DM_BASIS_SLOT:
        return "somebody dropped it, or the server failed over to one that had none: changes since the last "
               "run may be "
               "lost. Run datamirror resync --all, which makes a new one";
    case DM_BASIS_TIMELINE:
        return "the lake holds changes that the promoted server never had: run datamirror resync --all";
    case DM_BASIS_LOG_END:
        return "it was restored from a backup, or it is another one: run datamirror resync --all, or let the "
               "source "
               "point to the one that the lake was made from";
    default:
        return "let the source point to the one that the lake was made from, or run datamirror resync --all, "
               "which "
               "copies every table from this one";
    }
}

enum dm_status dm_source_basis_judge(const struct dm_basis *stored, const struct dm_basis *present,
                                     dm_position at, struct dm_error *err)
{
    struct dm_basis_look look = {.at = at};
    struct dm_basis_verdict verdict = {0};
    dm_basis_compare(stored, present, &look, &verdict);
    if (verdict.effect != DM_BASIS_STOP)
        return DM_OK;
    return dm_fail(err, DM_ERROR_CONFLICT, remedy(verdict.member), "%s, which the lake does not fit",
                   verdict.text);
}

enum dm_status dm_source_basis_keep(struct dm_mirror *m, const struct dm_source_config *config,
                                    const struct dm_basis *stored, const struct dm_basis *present,
                                    struct dm_error *err)
{
    if (present->n == 0 || dm_basis_equal(stored, present))
        return DM_OK;
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_state_put_basis(dm_lake_sqlite(m->lake), config->name, 0, present, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    return status;
}
