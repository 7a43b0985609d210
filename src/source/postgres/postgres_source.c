/* The PostgreSQL source as the rest of the program sees it: open, discover, and the table of operations. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/postgres/pg_charset.h"
#include "source/postgres/pg_source.h"

/* Slot names allow small letters, digits and _; at most 63 bytes. */
static char *default_name(const char *source)
{
    char *name = dm_xasprintf("datamirror_%.50s", source);
    for (char *c = name; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_'))
            *c = '_';
    }
    return name;
}

static char *publication_name(const struct dm_source_config *config)
{
    return config->publication != NULL ? dm_xstrdup(config->publication) : default_name(config->name);
}

static enum dm_status postgres_open(const struct dm_source_config *config, struct dm_source **out,
                                    struct dm_error *err)
{
    *out = NULL;
    if (config->url == NULL || config->url[0] == '\0')
        return dm_fail(err, DM_ERROR_CONFIG, "url: postgresql://user@host/database",
                       "source \"%s\" has no url:", config->name);
    struct dm_source *s = dm_xzalloc(1, sizeof *s);
    s->config = config;
    s->slot = config->slot != NULL ? dm_xstrdup(config->slot) : default_name(config->name);
    s->publication = publication_name(config);
    s->inserts_publication = dm_xasprintf("%.55s_inserts", s->publication);
    *out = s;
    return DM_OK;
}

static void postgres_set_waiter(struct dm_source *s, const struct dm_source_waiter *borrow_waiter)
{
    s->waiter = borrow_waiter;
}

static void postgres_close(struct dm_source *s)
{
    if (s == NULL)
        return;
    PQfinish(s->conn);
    pg_type_cache_release(&s->types);
    free(s->slot);
    free(s->publication);
    free(s->inserts_publication);
    free(s);
}

enum dm_status pg_source_connection(struct dm_source *s, PGconn **out, struct dm_error *err)
{
    /* The server may have closed it meanwhile: the first read gets its last words, the second one the end. */
    for (int i = 0; i < 2 && s->conn != NULL; i++)
        (void)PQconsumeInput(s->conn);
    if (s->conn != NULL &&
        (PQstatus(s->conn) != CONNECTION_OK || PQtransactionStatus(s->conn) != PQTRANS_IDLE)) {
        PQfinish(s->conn);
        s->conn = NULL;
    }
    if (s->conn == NULL && pg_connect(s->config, PG_NORMAL, s->waiter, &s->conn, err) != DM_OK)
        return DM_FAIL;
    *out = s->conn;
    return DM_OK;
}

enum dm_status pg_source_catalog(const struct dm_source_config *config, PGconn *conn,
                                 struct pg_type_cache *types, struct pg_catalog *out, struct dm_error *err)
{
    if (types->charset == NULL && pg_charset_open(conn, &types->charset, err) != DM_OK)
        return DM_FAIL;
    types->time_as_text = config->time_as != NULL && strcmp(config->time_as, "string") == 0;
    *out = (struct pg_catalog){.conn = conn, .config = config, .types = types};
    char *publication = publication_name(config);
    (void)snprintf(out->publication, sizeof out->publication, "%s", publication);
    (void)snprintf(out->inserts_publication, sizeof out->inserts_publication, "%.55s_inserts", publication);
    free(publication);
    return DM_OK;
}

void pg_tables_take(struct pg_table_list *from, struct dm_table_list *to)
{
    for (size_t i = 0; i < from->n; i++) {
        dm_table_list_add(to, from->tables[i]->table);
        from->tables[i]->table = NULL;
    }
    pg_table_list_release(from);
}

static enum dm_status postgres_tables(struct dm_source *s, struct dm_table_list *out, struct dm_error *err)
{
    PGconn *conn;
    struct pg_catalog catalog;
    struct pg_table_list tables;
    *out = (struct dm_table_list){0};
    if (pg_source_connection(s, &conn, err) != DM_OK ||
        pg_source_catalog(s->config, conn, &s->types, &catalog, err) != DM_OK)
        return DM_FAIL;
    catalog.inserts_unread = s->inserts_unread;
    if (pg_discover(&catalog, 0, &tables, err) != DM_OK)
        return DM_FAIL;
    pg_tables_take(&tables, out);
    return DM_OK;
}

/* The position of a logical message of our own, not the end of the log: the message's commit makes sure that
 * everything before it is flushed and that the stream will soon stand behind it, even when nothing else
 * happens. */
static enum dm_status postgres_current(struct dm_source *s, dm_position *out, struct dm_error *err)
{
    PGconn *conn;
    PGresult *rows;
    if (pg_source_connection(s, &conn, err) != DM_OK ||
        pg_query(conn, &rows, err, "SELECT pg_logical_emit_message(true, 'datamirror', 'current')") != DM_OK)
        return DM_FAIL;
    enum dm_status status = pg_lsn_parse(PQgetvalue(rows, 0, 0), out, err);
    PQclear(rows);
    return status;
}

const struct dm_source_type dm_source_postgres = {
    .name = "postgres",
    .open = postgres_open,
    .close = postgres_close,
    .tables = postgres_tables,
    .set_waiter = postgres_set_waiter,
    .check = pg_check,
    .prepare = pg_prepare,
    .current = postgres_current,
    .basis = pg_basis,
    .forget = pg_forget,
    .copy_open = pg_copy_open,
    .copy_close = pg_copy_close,
    .copy_tables = pg_copy_tables,
    .copy_parts = pg_copy_parts,
    .copy_read = pg_copy_read,
    .copy_next = pg_copy_next,
    .copy_reader_close = pg_copy_reader_close,
    .stream_open = pg_stream_open,
    .stream_poll = pg_stream_poll,
    .stream_ack = pg_stream_ack,
    .stream_lag = pg_stream_lag,
    .stream_keepalive = pg_stream_keepalive,
    .stream_close = pg_stream_close,
    .position_format = pg_lsn_format,
    .position_parse = pg_lsn_parse,
};
