/* Rows of the quarantine on their way through the intake again.
 *
 * Those of a dataset go into a file, line i of which is row ids[i - 1]; what the commit finds bad comes back in its catalog transaction as new rows of dm_quarantine with
 * the place "<origin>:<line>", origin being of this replay only. There the old rows are judged: those with a new one keep their id, content and place and
 * get the new reason; the others have been applied, and go. */
#include <inttypes.h>
#include <stdatomic.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"
#include "mirror/intake/intake.h"
#include "mirror/quarantine/quarantine.h"
#include "mirror/quarantine/quarantine_line.h"

struct replay {
    uint32_t dataset;
    FILE *out;
    struct dm_buffer line;
    size_t n, capacity;
    int64_t *ids; /* by line */
    uint64_t cut;
    uint64_t unreadable; /* what could not be split into a row: it stays as it is, with its reason */
    const char *origin;
    char *path;
    uint64_t stayed;
    uint64_t
        overtaken; /* rows that a replayed one of their key has removed: counted by the rule, and by that */
};

static enum dm_status write_row(void *ctx, const struct dm_quarantine_row *row, struct dm_error *err)
{
    struct replay *r = ctx;
    if (row->raw_bytes != 0) {
        r->cut++;
        return DM_OK;
    }
    if (!dm_quarantine_line_is_row(row)) {
        r->unreadable++;
        return DM_OK;
    }
    dm_buffer_clear(&r->line);
    if (dm_quarantine_line_json(&r->line, row, false, err) != DM_OK)
        return DM_FAIL;
    if (fwrite(r->line.data, 1, r->line.len, r->out) != r->line.len)
        return dm_fail_errno(err, "writing rows to be replayed");
    if (r->n == r->capacity) {
        r->capacity = r->capacity == 0 ? 1024 : r->capacity * 2;
        r->ids = dm_xrealloc(r->ids, r->capacity, sizeof *r->ids);
    }
    r->ids[r->n++] = row->id;
    return DM_OK;
}

static enum dm_status write_file(struct replay *r, struct dm_mirror *m,
                                 const struct dm_quarantine_choice *choice, struct dm_error *err)
{
    r->out = fopen(r->path, "wb");
    if (r->out == NULL)
        return dm_fail_errno(err, "cannot make %s", r->path);
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_quarantine_each(dm_lake_sqlite(m->lake), choice, write_row, r, err);
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (fclose(r->out) != 0 && status == DM_OK)
        status = dm_fail_errno(err, "writing %s", r->path);
    return status;
}

/* Runs `st` with two ids bound, and makes it ready for the next. */
static enum dm_status run(sqlite3 *db, sqlite3_stmt *st, int64_t a, int64_t b, struct dm_error *err)
{
    sqlite3_bind_int64(st, 1, a);
    if (sqlite3_bind_parameter_count(st) > 1)
        sqlite3_bind_int64(st, 2, b);
    int code = sqlite3_step(st);
    sqlite3_reset(st);
    return code == SQLITE_DONE || code == SQLITE_ROW ? DM_OK : dm_sql_fail(db, "replaying", err);
}

/* The row's new reason stands in the row `now`. */
static enum dm_status keep_rows(struct replay *r, sqlite3 *db, bool *stays, struct dm_error *err)
{
    static const char new_sql[] =
        "SELECT id, position FROM dm_quarantine WHERE dataset = ?1 AND id > ?2 AND source = 'replay'";
    static const char take_sql[] =
        "UPDATE dm_quarantine SET (reason, message, waits_for, parent_key, row_key, version, relationship) ="
        " (SELECT reason, message, waits_for, parent_key, row_key, version, relationship FROM dm_quarantine n"
        " WHERE n.id = ?2) WHERE id = ?1";
    static const char forget_sql[] = "DELETE FROM dm_waits_also WHERE row = ?1";
    static const char move_sql[] = "UPDATE dm_waits_also SET row = ?1 WHERE row = ?2";
    sqlite3_stmt *found = NULL, *take = NULL, *forget = NULL, *move = NULL;
    enum dm_status status = DM_OK;
    if (sqlite3_prepare_v2(db, new_sql, -1, &found, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, take_sql, -1, &take, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, forget_sql, -1, &forget, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, move_sql, -1, &move, NULL) != SQLITE_OK)
        status = dm_sql_fail(db, "replaying", err);
    if (status == DM_OK) {
        sqlite3_bind_int64(found, 1, (sqlite3_int64)r->dataset);
        sqlite3_bind_int64(found, 2, r->n > 0 ? r->ids[r->n - 1] : 0);
    }
    size_t length = strlen(r->origin);
    int code = SQLITE_DONE;
    while (status == DM_OK && (code = sqlite3_step(found)) == SQLITE_ROW) {
        const char *place = (const char *)sqlite3_column_text(found, 1);
        if (place == NULL || strncmp(place, r->origin, length) != 0 || place[length] != ':')
            continue;
        uint64_t line = strtoull(place + length + 1, NULL, 10);
        if (line == 0 || line > r->n)
            status = dm_fail(err, DM_ERROR_FATAL, NULL, "a replayed row says that it is line %" PRIu64, line);
        else
            status = run(db, take, r->ids[line - 1], sqlite3_column_int64(found, 0), err);
        if (status == DM_OK)
            status = run(db, forget, r->ids[line - 1], 0, err);
        if (status == DM_OK)
            status = run(db, move, r->ids[line - 1], sqlite3_column_int64(found, 0), err);
        if (status == DM_OK)
            stays[line - 1] = true;
    }
    if (status == DM_OK && code != SQLITE_DONE) /* or rows would go as if they had been applied */
        status = dm_sql_fail(db, "replaying", err);
    sqlite3_finalize(found);
    sqlite3_finalize(take);
    sqlite3_finalize(forget);
    sqlite3_finalize(move);
    return status;
}

static enum dm_status remove_rows(struct replay *r, sqlite3 *db, const bool *stays, struct dm_error *err)
{
    sqlite3_stmt *gone = NULL, *copies = NULL;
    enum dm_status status = DM_OK;
    if (sqlite3_prepare_v2(db, "DELETE FROM dm_quarantine WHERE id = ?1", -1, &gone, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db,
                           "DELETE FROM dm_quarantine WHERE dataset = ?1 AND id > ?2 AND source = 'replay'"
                           " AND substr(position, 1, length(?3)) = ?3",
                           -1, &copies, NULL) != SQLITE_OK)
        status = dm_sql_fail(db, "replaying", err);
    if (status == DM_OK) {
        sqlite3_bind_text(copies, 3, r->origin, -1, SQLITE_STATIC);
        status = run(db, copies, (int64_t)r->dataset, r->ids[r->n - 1], err);
    }
    for (size_t i = 0; i < r->n && status == DM_OK; i++) {
        if (stays[i])
            continue;
        status = run(db, gone, r->ids[i], 0, err);
        r->overtaken += sqlite3_changes64(db) == 0;
    }
    sqlite3_finalize(gone);
    sqlite3_finalize(copies);
    return status;
}

/* All were counted when they came; those that stay were quarantined a second time. */
static enum dm_status mend_counters(struct replay *r, sqlite3 *db, struct dm_error *err)
{
    return dm_sql_run(
        db, "replaying",
        "UPDATE dm_dataset SET received = max(received - ?2, 0), quarantined = max(quarantined -"
        " ?3, 0), stale = max(stale - ?4, 0) WHERE id = ?1",
        err, "uuuu", (uint64_t)r->dataset, (uint64_t)r->n, r->stayed, r->overtaken);
}

static enum dm_status judge(void *ctx, sqlite3 *db, struct dm_error *err)
{
    struct replay *r = ctx;
    bool *stays = dm_xzalloc(r->n + 1, sizeof *stays);
    enum dm_status status = keep_rows(r, db, stays, err);
    r->stayed = r->overtaken = 0;
    for (size_t i = 0; i < r->n; i++)
        r->stayed += stays[i];
    if (status == DM_OK)
        status = remove_rows(r, db, stays, err);
    if (status == DM_OK)
        status = mend_counters(r, db, err);
    free(stays);
    return status;
}

/* ---- the replay ---- */

static void count(const struct replay *r, const struct dm_intake_job *job, struct dm_replay_result *result)
{
    uint64_t left = r->n - r->stayed;
    result->applied = job->counts.upserted + job->counts.deleted + job->counts.noop_deletes;
    result->stale = left - (result->applied < left ? result->applied : left);
}

static enum dm_status take_in(struct dm_mirror *m, struct dm_replay_part *parts, struct replay *r, size_t n,
                              const struct dm_order_hooks *hooks, struct dm_error *err)
{
    struct dm_intake_job *jobs = dm_xzalloc(n + 1, sizeof *jobs);
    char **names = dm_xzalloc(n + 1, sizeof *names);
    size_t n_jobs = 0, *part_of = dm_xzalloc(n + 1, sizeof *part_of);
    for (size_t i = 0; i < n; i++) {
        if (r[i].n == 0)
            continue;
        names[n_jobs] = dm_xasprintf("%s.%s", parts[i].dataset->namespace, parts[i].dataset->name);
        part_of[n_jobs] = i;
        jobs[n_jobs] = (struct dm_intake_job){.dataset = names[n_jobs],
                                              .source = "replay",
                                              .origin = r[i].origin,
                                              .path = r[i].path,
                                              .options = {.format = DM_CHANGES_JSON,
                                                          .version_field = -1,
                                                          .max_row_bytes = 2 * DM_QUARANTINE_RAW_MAX},
                                              .no_limits = true,
                                              .extra = judge,
                                              .extra_ctx = &r[i],
                                              .stop = hooks != NULL ? hooks->stop : NULL};
        n_jobs++;
    }
    enum dm_status status = n_jobs == 0 ? DM_OK
                                        : dm_intake(m, jobs, n_jobs, hooks != NULL ? hooks->progress : NULL,
                                                    hooks != NULL ? hooks->ctx : NULL, err);
    for (size_t i = 0; i < n_jobs; i++) {
        parts[part_of[i]].error = jobs[i].error;
        if (jobs[i].error.class != DM_ERROR_NONE)
            r[part_of[i]].stayed = r[part_of[i]].n;
        count(&r[part_of[i]], &jobs[i], &parts[part_of[i]].result);
        dm_intake_job_release(&jobs[i]);
        free(names[i]);
    }
    free(part_of);
    free(names);
    free(jobs);
    return status;
}

static enum dm_status check_declared(const struct dm_dataset_state *d, struct dm_error *err)
{
    if (d->source[0] == '\0')
        return DM_OK;
    (void)dm_fail(err, DM_ERROR_CONFIG, NULL,
                  "rows of %s.%s cannot be replayed: they have their place in the log of source %s",
                  d->namespace, d->name, d->source);
    dm_error_hint(err,
                  "mend them in the source, or let the mirror copy the table anew: datamirror resync %s.%s",
                  d->namespace, d->name);
    return DM_FAIL;
}

char *dm_quarantine_origin(void)
{
    static atomic_uint replays;
    return dm_xasprintf("replay-%lld-%ld-%u", (long long)dm_clock_wall_us(), (long)getpid(),
                        atomic_fetch_add(&replays, 1));
}

enum dm_status dm_quarantine_replay(struct dm_mirror *m, struct dm_replay_part *parts, size_t n,
                                    const char *origin, const struct dm_order_hooks *hooks,
                                    struct dm_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (check_declared(parts[i].dataset, err) != DM_OK)
            return DM_FAIL;
    struct replay *r = dm_xzalloc(n + 1, sizeof *r);
    char *folder = dm_xasprintf("%s/.orders", m->config->lake);
    enum dm_status status = dm_file_make_folders(folder, err);
    for (size_t i = 0; i < n; i++) {
        r[i].dataset = parts[i].dataset->id;
        r[i].origin = origin;
        r[i].path = dm_xasprintf("%s/%s-%zu.ndjson", folder, origin, i);
        dm_buffer_init(&r[i].line, 4 * DM_QUARANTINE_RAW_MAX);
        parts[i].result = (struct dm_replay_result){0};
        if (status == DM_OK)
            status = write_file(&r[i], m, &parts[i].choice, err);
    }
    if (status == DM_OK)
        status = take_in(m, parts, r, n, hooks, err);
    for (size_t i = 0; i < n; i++) {
        parts[i].result.cut = r[i].cut;
        parts[i].result.replayed = r[i].n + r[i].unreadable;
        parts[i].result.stayed = r[i].stayed + r[i].unreadable;
        (void)unlink(r[i].path);
        dm_buffer_release(&r[i].line);
        free(r[i].path);
        free(r[i].ids);
    }
    free(folder);
    free(r);
    return status;
}
