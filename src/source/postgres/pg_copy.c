/* The initial copy: a snapshot pinned by a temporary logical slot, tables cut by ctid, rows by COPY in binary.
 *
 * CREATE_REPLICATION_SLOT … TEMPORARY … EXPORT_SNAPSHOT answers with the log position X at which decoding
 * becomes consistent and a snapshot that holds exactly the transactions whose commit record begins before X.
 * The walsender keeps both alive until its connection ends, so it stays open as long as the copy. Readers
 * import the snapshot into their own read-only transactions; they are few and reused, since tables may be
 * many.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/memory.h"
#include "source/postgres/pg_charset.h"
#include "source/postgres/pg_copy_binary.h"
#include "source/postgres/pg_copy_select.h"
#include "source/postgres/pg_source.h"
#include "source/postgres/pg_wait.h"

#define MIN_PART_PAGES 2048 /* 16 MiB: below that a part costs more than it brings */

/* A relation that holds rows, and where its pages stand in the concatenation of all of the table's relations.
 * */
struct copy_leaf {
    char *from; /* quoted, with ONLY */
    uint64_t first_page;
    uint64_t pages;
    bool by_ctid; /* heap: may be cut */
    char *same;   /* the query that says whether the name still stands for what the snapshot saw */
};

struct copy_plan {
    uint64_t oid;
    size_t n_leaves;
    struct copy_leaf *leaves;
    uint64_t pages;
    uint64_t toast_bytes; /* of values stored out of line */
};

struct dm_copy {
    const struct dm_source_config *config;
    PGconn *walsender;
    char snapshot[128];
    struct pg_table_list tables; /* what copy_tables found: codecs by oid */
    struct pg_type_cache types;
    pthread_mutex_t lock; /* over idle and plans */
    size_t n_idle;
    PGconn **idle;
    size_t n_plans;
    struct copy_plan *plans;
};

/* One COPY of a part: a stretch of one leaf. */
struct copy_stretch {
    char *same; /* asked first */
    char *sql;
};

struct dm_copy_reader {
    struct dm_copy *copy;
    PGconn *conn;
    struct pg_row_shape shape;
    struct pg_codec *codecs;
    struct pg_copy_parser parser;
    size_t n_stretches, next_stretch;
    struct copy_stretch *stretches;
    bool copying;
    const char *name; /* of the table, for messages */
};

/* ---- the snapshot ---- */

static enum dm_status export_snapshot(struct dm_copy *c, const struct dm_source_waiter *waiter,
                                      dm_position *at, struct dm_error *err)
{
    char sql[256];
    /* a temporary slot is seen by all sessions, so its name must be ours alone */
    (void)snprintf(sql, sizeof sql,
                   "CREATE_REPLICATION_SLOT \"dm_copy_%x_%llx\" TEMPORARY LOGICAL pgoutput %s",
                   (unsigned)getpid(), (unsigned long long)dm_clock_monotonic_us(),
                   pg_version(c->walsender) >= 150000 ? "(SNAPSHOT 'export')" : "EXPORT_SNAPSHOT");
    PGresult *rows = NULL;
    if (pg_wait_query(c->config, waiter, c->walsender, sql,
                      "creating a temporary replication slot for the copy", &rows, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status =
        PQntuples(rows) == 1 && PQnfields(rows) >= 3
            ? pg_lsn_parse(PQgetvalue(rows, 0, 1), at, err)
            : dm_fail(err, DM_ERROR_FATAL, NULL, "a new slot was answered with %d rows", PQntuples(rows));
    if (status == DM_OK)
        (void)snprintf(c->snapshot, sizeof c->snapshot, "%s", PQgetvalue(rows, 0, 2));
    PQclear(rows);
    return status;
}

enum dm_status pg_copy_open(struct dm_source *s, struct dm_copy **out, dm_position *at, struct dm_error *err)
{
    struct dm_copy *c = dm_xzalloc(1, sizeof *c);
    c->config = s->config;
    (void)pthread_mutex_init(&c->lock, NULL);
    *out = NULL;
    if (pg_connect(s->config, PG_REPLICATION, s->waiter, &c->walsender, err) != DM_OK ||
        export_snapshot(c, s->waiter, at, err) != DM_OK) {
        pg_copy_close(c);
        return DM_FAIL;
    }
    *out = c;
    dm_crash_point("copy-snapshot");
    return DM_OK;
}

static void plan_release(struct copy_plan *plan)
{
    for (size_t i = 0; i < plan->n_leaves; i++) {
        free(plan->leaves[i].from);
        free(plan->leaves[i].same);
    }
    free(plan->leaves);
}

void pg_copy_close(struct dm_copy *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_idle; i++)
        PQfinish(c->idle[i]);
    free(c->idle);
    for (size_t i = 0; i < c->n_plans; i++)
        plan_release(&c->plans[i]);
    free(c->plans);
    pg_table_list_release(&c->tables);
    pg_type_cache_release(&c->types);
    PQfinish(c->walsender);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- connections that see the snapshot ---- */

static enum dm_status take_connection(struct dm_copy *c, PGconn **out, struct dm_error *err)
{
    *out = NULL;
    (void)pthread_mutex_lock(&c->lock);
    if (c->n_idle > 0)
        *out = c->idle[--c->n_idle];
    (void)pthread_mutex_unlock(&c->lock);
    if (*out != NULL)
        return DM_OK;
    PGconn *conn;
    if (pg_connect(c->config, PG_NORMAL, NULL, &conn, err) != DM_OK)
        return DM_FAIL;
    if (pg_execute(conn, err, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") != DM_OK ||
        pg_execute(conn, err, "SET TRANSACTION SNAPSHOT '%s'", c->snapshot) != DM_OK) {
        if (strstr(err->message, "invalid snapshot identifier") != NULL)
            err->class = DM_ERROR_TRANSIENT;
        PQfinish(conn);
        return DM_FAIL;
    }
    *out = conn;
    return DM_OK;
}

/* Only a connection whose transaction is still good goes back. */
static void give_connection(struct dm_copy *c, PGconn *conn)
{
    if (conn == NULL)
        return;
    if (PQstatus(conn) != CONNECTION_OK || PQtransactionStatus(conn) != PQTRANS_INTRANS) {
        PQfinish(conn);
        return;
    }
    (void)pthread_mutex_lock(&c->lock);
    c->idle = dm_xrealloc(c->idle, c->n_idle + 1, sizeof *c->idle);
    c->idle[c->n_idle++] = conn;
    (void)pthread_mutex_unlock(&c->lock);
}

enum dm_status pg_copy_tables(struct dm_copy *c, struct dm_table_list *out, struct dm_error *err)
{
    PGconn *conn;
    *out = (struct dm_table_list){0};
    if (take_connection(c, &conn, err) != DM_OK)
        return DM_FAIL;
    pg_table_list_release(&c->tables);
    struct pg_catalog catalog;
    enum dm_status status = pg_source_catalog(c->config, conn, &c->types, &catalog, err);
    if (status == DM_OK)
        status = pg_discover(&catalog, 0, &c->tables, err);
    for (size_t i = 0; status == DM_OK && i < c->tables.n; i++)
        dm_table_list_add(out, dm_table_copy(c->tables.tables[i]->table));
    give_connection(c, conn);
    return status;
}

/* ---- parts ---- */

static enum dm_status known_table(const struct dm_copy *c, const struct dm_table *t,
                                  const struct pg_table **out, struct dm_error *err)
{
    *out = pg_table_find(&c->tables, t->id);
    if (*out == NULL || (*out)->table->columns->n_fields != t->columns->n_fields)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "%s.%s is not a table of this copy", t->schema, t->name);
    return DM_OK;
}

/* The catalog is that of the snapshot, but names are looked up as of now: the table's owner may have put a view there meanwhile, whose functions
 * would run with the rights of the mirror's role, or given a column another type. The lock (which whoever may read the whole table may take)
 * keeps things as they are; a relation that has no file is a view, and one that has another file was emptied or rewritten. */
static char *same_query(PGconn *conn, const char *from, const char *whole, const PGresult *rows, int i)
{
    char *literal = pg_quote_literal(conn, whole);
    char *sql = dm_xasprintf(
        "%s%s%sSELECT r = %s AND pg_relation_filenode(r) = %s FROM (SELECT to_regclass(%s)::oid AS r) x",
        pg_cell_bool(rows, i, 5) ? "LOCK TABLE " : "", pg_cell_bool(rows, i, 5) ? from : "",
        pg_cell_bool(rows, i, 5) ? " IN ACCESS SHARE MODE; " : "", pg_cell(rows, i, 6), pg_cell(rows, i, 7),
        literal);
    free(literal);
    return sql;
}

static void add_leaf(PGconn *conn, struct copy_plan *plan, const PGresult *rows, int i)
{
    plan->leaves = dm_xrealloc(plan->leaves, plan->n_leaves + 1, sizeof *plan->leaves);
    char *schema = pg_quote(pg_cell(rows, i, 0)), *name = pg_quote(pg_cell(rows, i, 1));
    char *whole = dm_xasprintf("%s.%s", schema, name), *from = dm_xasprintf("ONLY %s", whole);
    struct copy_leaf *leaf = &plan->leaves[plan->n_leaves++];
    *leaf = (struct copy_leaf){.from = from,
                               .same = same_query(conn, from, whole, rows, i),
                               .first_page = plan->pages,
                               .pages = (uint64_t)pg_cell_int(rows, i, 2),
                               .by_ctid = pg_cell_bool(rows, i, 3)};
    if (!leaf->by_ctid || leaf->pages == 0)
        leaf->pages = 1; /* something to hang it on */
    plan->pages += leaf->pages;
    plan->toast_bytes += (uint64_t)pg_cell_int(rows, i, 4);
    free(whole);
    free(schema);
    free(name);
}

/* Partitions that the mirror's user may not read are read through their root, all at once. */
static void read_through_root(PGconn *conn, struct copy_plan *plan, const struct pg_table *t, bool lock)
{
    for (size_t i = 0; i < plan->n_leaves; i++) {
        free(plan->leaves[i].from);
        free(plan->leaves[i].same);
    }
    char *schema = pg_quote(t->table->schema), *name = pg_quote(t->table->name);
    char *whole = dm_xasprintf("%s.%s", schema, name), *literal = pg_quote_literal(conn, whole);
    char *same =
        dm_xasprintf("%s%s%sSELECT r = %u AND EXISTS (SELECT FROM pg_class WHERE oid = r AND relkind = 'p')"
                     " FROM (SELECT to_regclass(%s)::oid AS r) x",
                     lock ? "LOCK TABLE ONLY " : "", lock ? whole : "", lock ? " IN ACCESS SHARE MODE; " : "",
                     t->oid, literal);
    plan->leaves[0] = (struct copy_leaf){.from = whole, .same = same, .pages = 1};
    plan->n_leaves = 1;
    plan->pages = 1;
    free(literal);
    free(schema);
    free(name);
}

/* Sizes are asked once, so that all parts of a table are cut by the same numbers. Where the user may read some columns only, ctid is none of them. */
static enum dm_status make_plan(struct dm_copy *c, const struct pg_table *t, struct copy_plan *plan,
                                struct dm_error *err)
{
    PGconn *conn;
    if (take_connection(c, &conn, err) != DM_OK)
        return DM_FAIL;
    PGresult *rows;
    char from[300], where[64];
    if (t->kind == 'p') {
        (void)snprintf(from, sizeof from, PG_PARTITION_TREE("%u") " p JOIN pg_class c ON c.oid = p.relid",
                       t->oid);
        (void)snprintf(where, sizeof where, "c.relkind <> 'p'");
    } else {
        (void)snprintf(from, sizeof from, "pg_class c");
        (void)snprintf(where, sizeof where, "c.oid = %u", t->oid);
    }
    enum dm_status status = pg_query(
        conn, &rows, err,
        "SELECT n.nspname, c.relname, pg_relation_size(c.oid) / current_setting('block_size')::int8,"
        " a.amname = 'heap' AND has_table_privilege(c.oid, 'SELECT'), CASE WHEN c.reltoastrelid <> 0 THEN"
        " pg_relation_size(c.reltoastrelid) ELSE 0 END,"
        " has_table_privilege(c.oid, 'SELECT'), c.oid, c.relfilenode, has_table_privilege(%u, 'SELECT')"
        " FROM %s JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_am a ON a.oid = c.relam WHERE %s ORDER BY c.oid",
        t->oid, from, where);
    plan->oid = t->oid;
    bool readable = true;
    for (int i = 0; status == DM_OK && i < PQntuples(rows); i++) {
        add_leaf(conn, plan, rows, i);
        readable = readable && pg_cell_bool(rows, i, 5);
    }
    if (t->kind == 'p' && !readable)
        read_through_root(conn, plan, t, pg_cell_bool(rows, 0, 8));
    PQclear(rows);
    give_connection(c, conn);
    return status;
}

static struct copy_plan *find_plan(struct dm_copy *c, uint64_t oid)
{
    for (size_t i = 0; i < c->n_plans; i++)
        if (c->plans[i].oid == oid)
            return &c->plans[i];
    return NULL;
}

/* A copy of the plan's fields; its leaves stay owned by the copy and never change. */
static enum dm_status plan_of(struct dm_copy *c, const struct pg_table *t, struct copy_plan *out,
                              struct dm_error *err)
{
    (void)pthread_mutex_lock(&c->lock);
    struct copy_plan *known = find_plan(c, t->oid);
    if (known != NULL)
        *out = *known;
    (void)pthread_mutex_unlock(&c->lock);
    if (known != NULL)
        return DM_OK;
    struct copy_plan made = {0};
    if (make_plan(c, t, &made, err) != DM_OK) {
        plan_release(&made);
        return DM_FAIL;
    }
    (void)pthread_mutex_lock(&c->lock);
    known = find_plan(c, t->oid); /* another thread may have been faster */
    if (known == NULL) {
        c->plans = dm_xrealloc(c->plans, c->n_plans + 1, sizeof *c->plans);
        c->plans[c->n_plans++] = made;
        *out = made;
    } else {
        *out = *known;
        plan_release(&made);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return DM_OK;
}

enum dm_status pg_copy_parts(struct dm_copy *c, const struct dm_table *t, size_t workers, size_t *parts,
                             struct dm_error *err)
{
    const struct pg_table *table;
    struct copy_plan plan;
    if (known_table(c, t, &table, err) != DM_OK || plan_of(c, table, &plan, err) != DM_OK)
        return DM_FAIL;
    uint64_t most = plan.pages / MIN_PART_PAGES, wish = workers <= 1 ? 1 : workers * 4;
    *parts = (size_t)(most < 1 ? 1 : most < wish ? most : wish);
    return DM_OK;
}

/* ---- reading ---- */

/* Pages [from, to) of the leaf; the last stretch of a leaf is open: the table may have grown since it was
 * measured. */
static enum dm_status add_stretch(struct dm_copy_reader *r, const struct copy_leaf *leaf, uint64_t from,
                                  uint64_t to, const struct pg_table *t, const struct pg_copy_sql *select,
                                  struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, 16u << 20);
    const char *word = "WHERE";
    enum dm_status status = dm_buffer_printf(&sql, err, "COPY (%s FROM %s", select->head, leaf->from);
    if (status == DM_OK && t->filtered) {
        status = dm_buffer_printf(&sql, err, " WHERE (%s)", t->config->filter);
        word = "AND";
    }
    if (status == DM_OK && from > 0) {
        status = dm_buffer_printf(&sql, err, " %s ctid >= '(%llu,0)'::tid", word, (unsigned long long)from);
        word = "AND";
    }
    if (status == DM_OK && to < leaf->pages)
        status = dm_buffer_printf(&sql, err, " %s ctid < '(%llu,0)'::tid", word, (unsigned long long)to);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, "%s) TO STDOUT (FORMAT binary)", select->tail);
    const struct pg_charset *charset = r->copy->types.charset;
    struct copy_stretch stretch = {0};
    if (status == DM_OK)
        status = pg_charset_encode(charset, dm_buffer_text(&sql), &stretch.sql, err);
    if (status == DM_OK)
        status = pg_charset_encode(charset, leaf->same, &stretch.same, err);
    r->stretches = dm_xrealloc(r->stretches, r->n_stretches + 1, sizeof *r->stretches);
    r->stretches[r->n_stretches++] = stretch;
    dm_buffer_release(&sql);
    return status;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static enum dm_status plan_part(struct dm_copy_reader *r, const struct pg_table *t,
                                const struct copy_plan *plan, size_t part, size_t parts, struct dm_error *err)
{
    struct pg_copy_sql select;
    uint64_t most = r->copy->config->max_row_bytes;
    r->parser.guarded = pg_copy_guard_wanted(t, most, plan->toast_bytes);
    enum dm_status status;
    if (r->parser.guarded)
        status = pg_copy_guard(t, most, &select, err);
    else
        status = pg_copy_select(t, &select, err);
    unsigned __int128 pages = plan->pages;
    uint64_t first = (uint64_t)(pages * part / parts), end = (uint64_t)(pages * (part + 1) / parts);
    for (size_t i = 0; i < plan->n_leaves && status == DM_OK; i++) {
        const struct copy_leaf *leaf = &plan->leaves[i];
        uint64_t from = larger(first, leaf->first_page), to = smaller(end, leaf->first_page + leaf->pages);
        if (from < to)
            status = add_stretch(r, leaf, from - leaf->first_page, to - leaf->first_page, t, &select, err);
    }
    free(select.head);
    return status;
}

enum dm_status pg_copy_read(struct dm_copy *c, const struct dm_table *t, size_t part, size_t parts,
                            struct dm_copy_reader **out, struct dm_error *err)
{
    const struct pg_table *table;
    struct copy_plan plan;
    *out = NULL;
    if (known_table(c, t, &table, err) != DM_OK || plan_of(c, table, &plan, err) != DM_OK)
        return DM_FAIL;
    struct dm_copy_reader *r = dm_xzalloc(1, sizeof *r);
    r->copy = c;
    r->name = table->table->name;
    r->codecs = pg_table_codecs(table);
    r->shape = (struct pg_row_shape){.schema = table->table->columns,
                                     .codecs = r->codecs,
                                     .binary = true,
                                     .max_bytes = c->config->max_row_bytes};
    pg_copy_parser_init(&r->parser, &r->shape);
    if (plan_part(r, table, &plan, part, parts, err) != DM_OK || take_connection(c, &r->conn, err) != DM_OK ||
        pg_charset_raw(r->conn, true, err) != DM_OK) {
        pg_copy_reader_close(r);
        return DM_FAIL;
    }
    *out = r;
    return DM_OK;
}

static bool state_is_one_of(const char *state, const char *const *states, size_t n)
{
    for (size_t i = 0; state != NULL && i < n; i++)
        if (strcmp(state, states[i]) == 0)
            return true;
    return false;
}

/* A table that changed its name, shape or privileges since the snapshot was taken: copy it again. What else the server cannot do for this
 * table (read a damaged page, compute a filter) is its own affair: the others go on. */
static enum dm_status fail_copy(struct dm_copy_reader *r, const PGresult *result, struct dm_error *err)
{
    char what[160];
    (void)snprintf(what, sizeof what, "copying %s", r->name);
    (void)pg_fail(err, r->conn, result, what);
    static const char *const changed[] = {"42P01", "42703", "42501", "42809", "55000"};
    static const char *const damaged[] = {"XX001", "XX002"};
    const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (state_is_one_of(state, changed, sizeof changed / sizeof *changed))
        err->class = DM_ERROR_CONFLICT;
    else if (state != NULL && (err->class == DM_ERROR_CONFIG || err->class == DM_ERROR_FATAL ||
                               state_is_one_of(state, damaged, sizeof damaged / sizeof *damaged)))
        err->class = DM_ERROR_DATA;
    return DM_FAIL;
}

static enum dm_status check_same(struct dm_copy_reader *r, const char *sql, struct dm_error *err)
{
    PGresult *result = PQexec(r->conn, sql);
    enum dm_status status = DM_OK;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        status = fail_copy(r, result, err);
    else if (PQgetisnull(result, 0, 0) || !pg_cell_bool(result, 0, 0))
        status = dm_fail(err, DM_ERROR_CONFLICT, NULL,
                         "copying %s: it is not the table any more that the snapshot saw", r->name);
    PQclear(result);
    return status;
}

static enum dm_status begin_stretch(struct dm_copy_reader *r, struct dm_error *err)
{
    if (check_same(r, r->stretches[r->next_stretch].same, err) != DM_OK)
        return DM_FAIL;
    PGresult *result = PQexec(r->conn, r->stretches[r->next_stretch].sql);
    enum dm_status status = PQresultStatus(result) == PGRES_COPY_OUT ? DM_OK : fail_copy(r, result, err);
    PQclear(result);
    if (status != DM_OK)
        return DM_FAIL;
    r->next_stretch++;
    r->copying = true;
    r->parser.header_seen = r->parser.ended = false;
    dm_buffer_clear(&r->parser.rest);
    return DM_OK;
}

static enum dm_status end_stretch(struct dm_copy_reader *r, struct dm_error *err)
{
    r->copying = false;
    enum dm_status status = DM_OK;
    PGresult *result;
    while ((result = PQgetResult(r->conn)) != NULL) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK && status == DM_OK)
            status = fail_copy(r, result, err);
        PQclear(result);
        if (PQstatus(r->conn) == CONNECTION_BAD)
            break;
    }
    if (status == DM_OK && (!r->parser.ended || r->parser.rest.len > 0))
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "copying %s: the server ended in the middle of a row",
                       r->name);
    /* Where only some columns may be read nothing was locked at first; now the COPY has a lock. */
    const char *same = r->stretches[r->next_stretch - 1].same;
    return status == DM_OK && strncmp(same, "LOCK", 4) != 0 ? check_same(r, same, err) : status;
}

enum dm_status pg_copy_next(struct dm_copy_reader *r, struct dm_batch *batch, size_t max_rows,
                            size_t max_bytes, dm_bad_row_fn bad_row, void *ctx, struct dm_error *err)
{
    if (batch->n_columns != r->shape.schema->n_fields)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "copying %s: the batch has other columns", r->name);
    size_t bytes = dm_batch_bytes(batch);
    while (batch->rows < max_rows && bytes < max_bytes) {
        if (!r->copying) {
            if (r->next_stretch == r->n_stretches)
                return DM_END;
            if (begin_stretch(r, err) != DM_OK)
                return DM_FAIL;
        }
        char *message = NULL;
        int n = PQgetCopyData(r->conn, &message, 0);
        if (n == -2)
            return pg_fail(err, r->conn, NULL, "reading the copy");
        if (n < 0) {
            if (end_stretch(r, err) != DM_OK)
                return DM_FAIL;
            continue;
        }
        bytes += (size_t)n;
        enum dm_status status =
            pg_copy_parser_feed(&r->parser, (const uint8_t *)message, (size_t)n, batch, bad_row, ctx, err);
        PQfreemem(message);
        if (status != DM_OK) {
            dm_error_prefix(err, "copying %s", r->name);
            return DM_FAIL;
        }
    }
    return DM_OK;
}

void pg_copy_reader_close(struct dm_copy_reader *r)
{
    if (r == NULL)
        return;
    if (r->copying && r->conn != NULL) { /* left in the middle: such a connection is of no further use */
        PQfinish(r->conn);
        r->conn = NULL;
    }
    struct dm_error ignored;
    if (r->conn != NULL && pg_charset_raw(r->conn, false, &ignored) != DM_OK) {
        PQfinish(r->conn);
        r->conn = NULL;
    }
    give_connection(r->copy, r->conn);
    for (size_t i = 0; i < r->n_stretches; i++) {
        free(r->stretches[i].same);
        free(r->stretches[i].sql);
    }
    free(r->stretches);
    pg_copy_parser_release(&r->parser);
    free(r->codecs);
    free(r);
}
