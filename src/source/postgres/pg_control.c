#include "source/postgres/pg_control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "source/postgres/pg_source.h"

#define END_INTERVAL_US INT64_C(1000000)
#define DEFAULT_WATCH_MS 10000

/* ---- what is known of tables ---- */

struct pg_known *pg_control_known(struct pg_control *c, uint32_t oid)
{
    for (size_t i = 0; i < c->n_known; i++)
        if (c->known[i].oid == oid)
            return &c->known[i];
    c->known = dm_xrealloc(c->known, c->n_known + 1, sizeof *c->known);
    c->known[c->n_known] = (struct pg_known){.oid = oid};
    return &c->known[c->n_known++];
}

static void known_release(struct pg_known *k)
{
    pg_table_free(k->catalog);
    free(k->signature);
    free(k->members);
}

bool pg_table_rewritten(const struct pg_table *before, const struct pg_table *now)
{
    struct dm_basis_look look = {.when = DM_BASIS_IN_STREAM};
    struct dm_basis_verdict verdict;
    dm_basis_compare(&before->table->basis, &now->table->basis, &look, &verdict);
    return verdict.effect == DM_BASIS_COPY;
}

struct member {
    unsigned oid, filenode;
    char attached;
    long long bytes;
};

static bool next_member(const char **at, struct member *m)
{
    int used = 0;
    if (*at == NULL ||
        sscanf(*at, "%u:%u:%c:%lld%n", &m->oid, &m->filenode, &m->attached, &m->bytes, &used) != 4)
        return false;
    *at += used;
    return true;
}

static bool find_member(const char *list, unsigned oid, struct member *m)
{
    while (next_member(&list, m))
        if (m->oid == oid)
            return true;
    return false;
}

bool pg_members_rewritten(const char *before, const char *now, bool *refilled)
{
    struct member m, other;
    *refilled = false;
    for (const char *at = before; next_member(&at, &m);)
        if (!find_member(now, m.oid, &other))
            return true; /* its rows are gone: empty when last seen, it may have been filled since */
    for (const char *at = now; next_member(&at, &m);) {
        bool known = find_member(before, m.oid, &other);
        if (!known && m.attached == 't' && m.bytes > 0)
            return true; /* it brought rows along */
        /* The storage that a table is made with bears its oid. */
        if (m.filenode != 0 && m.filenode != (known ? other.filenode : m.oid))
            *refilled = true;
    }
    return false;
}

uint64_t pg_control_told_version(const struct pg_control *c, uint32_t oid)
{
    const struct pg_told *told = c->decoder != NULL ? pg_decoder_told(c->decoder, oid) : NULL;
    return told != NULL ? told->version : 0;
}

enum dm_status pg_control_look(struct pg_control *c, uint32_t oid, struct pg_table **out,
                               struct dm_error *err)
{
    struct pg_catalog catalog;
    struct pg_table_list found;
    *out = NULL;
    if (pg_source_catalog(c->source->config, c->conn, &c->types, &catalog, err) != DM_OK ||
        pg_discover(&catalog, oid, &found, err) != DM_OK)
        return DM_FAIL;
    if (found.n > 0) {
        *out = found.tables[0];
        found.tables[0] = NULL;
    }
    pg_table_list_release(&found);
    return DM_OK;
}

enum dm_status pg_control_end(struct pg_control *c, dm_position *out, struct dm_error *err)
{
    PGresult *rows;
    if (pg_query(c->conn, &rows, err, "SELECT pg_current_wal_insert_lsn()") != DM_OK)
        return DM_FAIL;
    enum dm_status status = pg_lsn_parse(PQgetvalue(rows, 0, 0), out, err);
    PQclear(rows);
    return status;
}

/* ---- the connection ---- */

/* One row per table: the end of the log, and everything that would show as a change. A partition that was made as one has columns as old
 * as its system columns, to the command; when a table becomes one, ATTACH writes all its columns anew. */
static char *watch_query(const struct pg_control *c)
{
    struct dm_buffer oids;
    dm_buffer_init(&oids, 16u << 20);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < c->n_known && status == DM_OK; i++)
        if (!c->known[i].dropped)
            status = dm_buffer_printf(&oids, NULL, oids.len > 0 ? ",%u" : "%u", c->known[i].oid);
    char *sql = dm_xasprintf(
        "SELECT pg_current_wal_insert_lsn(), c.oid,"
        " concat_ws('|', n.nspname, c.relname, c.relreplident, c.relfilenode, c.relpersistence,"
        " (SELECT string_agg(concat_ws(' ', attnum, attname, atttypid, atttypmod, attisdropped, attnotnull), "
        "',' ORDER BY attnum)"
        " FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),"
        " (SELECT string_agg(concat_ws(' ', indexrelid, indkey, indisprimary, indisreplident), ',' ORDER BY "
        "indexrelid)"
        " FROM pg_index WHERE indrelid = c.oid AND indisunique)),"
        " CASE WHEN c.relkind = 'p' THEN (SELECT string_agg(concat_ws(':', l.oid, l.relfilenode,"
        " CASE WHEN EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = l.oid AND b.attnum > 0"
        " AND b.xmin = a.xmin AND b.cmin = a.cmin) THEN 'f' ELSE 't' END, CASE WHEN l.relkind = 'r' THEN "
        "pg_relation_size(l.oid) ELSE 1 "
        "END), ' '"
        " ORDER BY l.oid) FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid"
        " JOIN pg_attribute a ON a.attrelid = l.oid AND a.attnum = -1 WHERE l.oid <> c.oid) END"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ('{%s}'::oid[])"
        " OR c.oid IN (SELECT prrelid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid"
        " WHERE p.pubname IN ('%s', '%s'))"
        " UNION ALL SELECT pg_current_wal_insert_lsn(), 0, NULL, NULL",
        oids.len > 0 ? dm_buffer_text(&oids) : "", c->source->publication, c->source->inserts_publication);
    dm_buffer_release(&oids);
    return sql;
}

/* The first look at everything: the signatures before the tables, so that a change in between is seen again.
 * */
static enum dm_status first_look(struct pg_control *c, struct dm_error *err)
{
    struct pg_catalog catalog;
    struct pg_table_list tables;
    if (pg_source_catalog(c->source->config, c->conn, &c->types, &catalog, err) != DM_OK ||
        pg_discover(&catalog, 0, &tables, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < tables.n; i++)
        (void)pg_control_known(c, tables.tables[i]->oid);
    pg_table_list_release(&tables);
    char *sql = watch_query(c);
    PGresult *rows = NULL;
    enum dm_status status = pg_query(c->conn, &rows, err, "%s", sql);
    free(sql);
    if (status == DM_OK)
        status = pg_discover(&catalog, 0, &tables, err);
    if (status != DM_OK) {
        PQclear(rows);
        return DM_FAIL;
    }
    dm_position at = 0;
    for (int i = 0; i < PQntuples(rows) && status == DM_OK; i++) {
        status = pg_lsn_parse(PQgetvalue(rows, i, 0), &at, err);
        if (pg_cell_int(rows, i, 1) == 0)
            continue;
        struct pg_known *k = pg_control_known(c, (uint32_t)pg_cell_int(rows, i, 1));
        k->signature = dm_xstrdup(pg_cell(rows, i, 2));
        k->members = dm_xstrdup(pg_cell(rows, i, 3));
        k->members_at = at;
    }
    PQclear(rows);
    for (size_t i = 0; i < tables.n; i++) {
        struct pg_known *k = pg_control_known(c, tables.tables[i]->oid);
        k->catalog = tables.tables[i];
        tables.tables[i] = NULL;
        k->pending = c->any_pending = true; /* the sink hears of every table once, rows or not */
        k->at = at;
    }
    pg_table_list_release(&tables);
    atomic_store(&c->server_end, at);
    return status;
}

enum dm_status pg_control_open(struct pg_control *c, const struct dm_source *source, struct dm_error *err)
{
    const struct dm_source_config *config = source->config;
    *c = (struct pg_control){.source = source};
    if (pg_connect(config, PG_NORMAL, source->waiter, &c->conn, err) != DM_OK)
        return DM_FAIL;
    int64_t now = dm_clock_monotonic_us();
    int64_t interval = config->heartbeat_interval_ms > 0 ? config->heartbeat_interval_ms : DEFAULT_WATCH_MS;
    c->next_end_us = now + END_INTERVAL_US;
    c->next_watch_us = c->next_heartbeat_us = now + interval * 1000;
    return first_look(c, err);
}

void pg_control_close(struct pg_control *c)
{
    PQfinish(c->conn);
    for (size_t i = 0; i < c->n_known; i++)
        known_release(&c->known[i]);
    free(c->known);
    pg_type_cache_release(&c->types);
    *c = (struct pg_control){0};
}

/* ---- answers ---- */

/* A closer look at a table. The look may see even later changes, so its position is read after it. */
static enum dm_status look_closer(struct pg_control *c, struct pg_known *k, const char *members,
                                  struct dm_error *err)
{
    struct pg_table *now;
    if (pg_control_look(c, k->oid, &now, err) != DM_OK)
        return DM_FAIL;
    if (pg_control_end(c, &k->at, err) != DM_OK) {
        pg_table_free(now);
        return DM_FAIL;
    }
    k->pending = c->any_pending = true;
    k->told_version = pg_control_told_version(c, k->oid);
    k->dropped = now == NULL;
    if (now != NULL) {
        bool refilled = false;
        k->rewritten = k->rewritten || (k->catalog != NULL && pg_table_rewritten(k->catalog, now)) ||
                       pg_members_rewritten(k->members, members, &refilled);
        if (refilled && k->refilled_since == 0)
            k->refilled_since = k->members_at;
        pg_table_free(k->catalog);
        k->catalog = now;
    }
    return DM_OK;
}

static enum dm_status look_at_new_signature(struct pg_control *c, struct pg_known *k, const char *signature,
                                            const char *members, struct dm_error *err)
{
    enum dm_status status = look_closer(c, k, members, err);
    if (status == DM_OK) {
        free(k->signature);
        k->signature = dm_xstrdup(signature);
    }
    return status;
}

static enum dm_status on_watch(struct pg_control *c, const PGresult *rows, dm_position end,
                               struct dm_error *err)
{
    enum dm_status status = DM_OK;
    bool *seen = dm_xzalloc(c->n_known + (size_t)PQntuples(rows), sizeof *seen); /* some may be new */
    for (int i = 0; i < PQntuples(rows) && status == DM_OK; i++) {
        uint32_t oid = (uint32_t)pg_cell_int(rows, i, 1);
        if (oid == 0)
            continue;
        struct pg_known *k = pg_control_known(c, oid);
        seen[k - c->known] = true;
        const char *signature = pg_cell(rows, i, 2), *members = pg_cell(rows, i, 3);
        bool refilled = false;
        bool moved = pg_members_rewritten(k->members, members, &refilled);
        if (k->signature == NULL || strcmp(k->signature, signature) != 0 || moved || refilled)
            status = look_at_new_signature(c, k, signature, members, err);
        if (status == DM_OK) {
            free(k->members);
            k->members = dm_xstrdup(members);
            k->members_at = end;
        }
    }
    for (size_t i = 0; i < c->n_known && status == DM_OK; i++)
        if (!seen[i] && !c->known[i].dropped)
            status = look_at_new_signature(c, &c->known[i], NULL, NULL, err);
    free(seen);
    return status;
}

static enum dm_status on_answer(struct pg_control *c, const PGresult *rows, struct dm_error *err)
{
    enum pg_control_state state = c->state;
    c->state = PG_CONTROL_IDLE;
    if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
        if (PQstatus(c->conn) == CONNECTION_BAD)
            return pg_fail(err, c->conn, rows, "asking the server");
        if (state == PG_CONTROL_HEARTBEAT) { /* not allowed, or a standby: it can be lived without */
            c->next_heartbeat_us = INT64_MAX;
            return DM_OK;
        }
        return pg_fail(err, c->conn, rows, "asking the server");
    }
    dm_position end = 0;
    if (PQntuples(rows) > 0 && state != PG_CONTROL_HEARTBEAT) {
        if (pg_lsn_parse(PQgetvalue(rows, 0, 0), &end, err) != DM_OK)
            return DM_FAIL;
        atomic_store(&c->server_end, end);
    }
    return state == PG_CONTROL_WATCH ? on_watch(c, rows, end, err) : DM_OK;
}

/* Takes the result that is there (all of it), then acts on it: a closer look needs the connection. */
static enum dm_status read_answer(struct pg_control *c, struct dm_error *err)
{
    PGresult *rows = PQgetResult(c->conn), *more;
    while ((more = PQgetResult(c->conn)) != NULL)
        PQclear(more);
    enum dm_status status = on_answer(c, rows, err);
    PQclear(rows);
    return status;
}

enum dm_status pg_control_settle(struct pg_control *c, struct dm_error *err)
{
    return c->state == PG_CONTROL_IDLE ? DM_OK : read_answer(c, err);
}

/* ---- questions ---- */

static enum dm_status send(struct pg_control *c, enum pg_control_state state, const char *sql,
                           struct dm_error *err)
{
    if (!PQsendQuery(c->conn, sql))
        return pg_fail(err, c->conn, NULL, "asking the server");
    c->state = state;
    return DM_OK;
}

static enum dm_status send_due(struct pg_control *c, const struct pg_decoder *d, int64_t now,
                               struct dm_error *err)
{
    int64_t interval = c->source->config->heartbeat_interval_ms;
    if (now >= c->next_watch_us) {
        c->next_watch_us = now + (interval > 0 ? interval : DEFAULT_WATCH_MS) * 1000;
        char *sql = watch_query(c);
        enum dm_status status = send(c, PG_CONTROL_WATCH, sql, err);
        free(sql);
        return status;
    }
    if (interval > 0 && now >= c->next_heartbeat_us) {
        c->next_heartbeat_us = now + interval * 1000;
        bool idle = d->changes == c->changes_seen;
        c->changes_seen = d->changes;
        return idle ? send(c, PG_CONTROL_HEARTBEAT,
                           "SELECT pg_logical_emit_message(true, 'datamirror', 'heartbeat')", err)
                    : DM_OK;
    }
    if (now >= c->next_end_us) {
        c->next_end_us = now + END_INTERVAL_US;
        return send(c, PG_CONTROL_END, "SELECT pg_current_wal_lsn()", err);
    }
    return DM_OK;
}

enum dm_status pg_control_step(struct pg_control *c, const struct pg_decoder *d, struct dm_error *err)
{
    if (c->state == PG_CONTROL_IDLE)
        return send_due(c, d, dm_clock_monotonic_us(), err);
    if (!PQconsumeInput(c->conn))
        return pg_fail(err, c->conn, NULL, "asking the server");
    return PQisBusy(c->conn) ? DM_OK : read_answer(c, err);
}

/* ---- telling ---- */

static enum dm_status tell(struct pg_known *k, struct pg_decoder *d, const struct dm_sink *sink,
                           struct dm_error *err)
{
    struct pg_told *told = pg_decoder_told(d, k->oid);
    if (k->dropped)
        return pg_decoder_drop(d, sink, k->oid, err);
    if (k->catalog == NULL || (told == NULL && k->catalog->table->problem != NULL))
        return DM_OK; /* one that never was mirrored is not published either */
    /* A root's partitions got new storage: by its own TRUNCATE, which was delivered, or by something that was
     * not. */
    bool rewritten =
        k->rewritten || (k->refilled_since != 0 && (told == NULL || told->truncated_at < k->refilled_since));
    /* Dropped and added again as it was, a column looks the same in the stream: which of the rows that came meanwhile have their value in
     * which of the two cannot be told. */
    rewritten = rewritten || (told != NULL && pg_made_again(told->table, k->catalog->table));
    if (told != NULL && !rewritten && pg_same_table(told->table, k->catalog->table))
        return DM_OK;
    k->catalog->table->rewritten = rewritten;
    enum dm_status status = pg_decoder_tell(d, sink, k->catalog->table, err);
    k->catalog->table->rewritten = false;
    return status;
}

/* By number: an answer that comes meanwhile may move the entries. */
static enum dm_status look_again(struct pg_control *c, size_t i, struct dm_error *err)
{
    enum dm_status status = pg_control_settle(c, err);
    return status == DM_OK ? look_closer(c, &c->known[i], c->known[i].members, err) : status;
}

enum dm_status pg_control_apply(struct pg_control *c, struct pg_decoder *d, const struct dm_sink *sink,
                                struct dm_error *err)
{
    if (!c->any_pending || d->in_transaction || d->in_block)
        return DM_OK;
    bool left = false;
    for (size_t i = 0; i < c->n_known; i++) {
        struct pg_known *k = &c->known[i];
        left = left || (k->pending && d->position < k->at);
        if (!k->pending || d->position < k->at)
            continue;
        /* The stream said more since the look (in a transaction that was streamed before it was committed, the look did not show it):
         * telling the look now would take columns away, and with them their values. */
        if (k->told_version != pg_control_told_version(c, k->oid)) {
            enum dm_status looked = look_again(c, i, err);
            if (looked != DM_OK)
                return looked;
            left = true;
            continue;
        }
        enum dm_status status = tell(k, d, sink, err);
        if (status != DM_OK)
            return status;
        k->pending = k->rewritten = false;
        k->refilled_since = 0;
    }
    c->any_pending = left;
    return DM_OK;
}
