#include "source/postgres/pg_copy_select.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum { SQL_MAX = 16 << 20, COMPRESSED_LEAST = 256, SHORT_VALUE = 2048 };

/* The server's text of a value comes from the type's output function, through format('%s'). Never through a cast to text: inet's
 * adds the mask, xml's takes the declaration away, and the owner of a type can define one, which would run his function with
 * the rights of the mirror's role. IS DISTINCT FROM NULL runs no operator. */
static enum dm_status append_column(struct dm_buffer *sql, const struct pg_codec *codec, const char *name,
                                    struct dm_error *err)
{
    if (!codec->as_text)
        return dm_buffer_printf(sql, err, "%s", name);
    return dm_buffer_printf(sql, err, "CASE WHEN %s IS DISTINCT FROM NULL THEN format('%%s', %s) END", name,
                            name);
}

/* Hands the text over, or drops it. */
static enum dm_status finish(struct dm_buffer *sql, enum dm_status status, struct pg_copy_sql *out)
{
    if (status == DM_OK)
        out->head = dm_xstrdup(dm_buffer_text(sql));
    dm_buffer_release(sql);
    return status;
}

enum dm_status pg_copy_select(const struct pg_table *t, struct pg_copy_sql *out, struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    *out = (struct pg_copy_sql){.tail = ""};
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < t->n_columns && status == DM_OK; i++) {
        if (!t->columns[i].mirrored)
            continue;
        status = dm_buffer_printf(&sql, err, "%s", sql.len == 0 ? "SELECT " : ", ");
        char *name = pg_quote(t->columns[i].name);
        if (status == DM_OK)
            status = append_column(&sql, &t->columns[i].codec, name, err);
        free(name);
    }
    return finish(&sql, status, out);
}

/* ---- the guard ---- */

static bool may_be_long(const struct pg_codec *codec)
{
    return codec->array || codec->as_text || codec->id == PG_CODEC_TEXT || codec->id == PG_CODEC_JSONB ||
           codec->id == PG_CODEC_BYTEA;
}

bool pg_copy_guard_wanted(const struct pg_table *t, uint64_t max_row_bytes, uint64_t toast_bytes)
{
    bool some = false;
    for (size_t i = 0; i < t->n_columns; i++)
        some |= t->columns[i].mirrored && may_be_long(&t->columns[i].codec);
    return some && max_row_bytes != 0 && toast_bytes > max_row_bytes / COMPRESSED_LEAST;
}

/* What least_bytes of pg_row.c makes of the value when it is sent. */
static enum dm_status append_size(struct dm_buffer *sql, const struct pg_codec *codec, size_t i,
                                  struct dm_error *err)
{
    if (codec->array && !codec->as_text)
        return dm_buffer_printf(sql, err, "octet_length(array_send(c%zu))::int8 / 4", i);
    if (codec->as_text)
        return dm_buffer_printf(sql, err, "octet_length(format('%%s', c%zu))::int8%s", i,
                                codec->array             ? " / 4"
                                : codec->charset != NULL ? " / 4 * 3"
                                                         : "");
    if (codec->id == PG_CODEC_BYTEA)
        return dm_buffer_printf(sql, err, "octet_length(c%zu)::int8", i);
    return dm_buffer_printf(sql, err, "octet_length(c%zu::text)::int8%s", i,
                            codec->charset != NULL ? " / 4 * 3" : "");
}

typedef enum dm_status (*column_fn)(struct dm_buffer *sql, const struct pg_column *c, size_t i,
                                    struct dm_error *err);

/* Of each column that is mirrored (and may be long), with `between` between them. */
static enum dm_status each_column(struct dm_buffer *sql, const struct pg_table *t, bool long_only,
                                  const char *between, column_fn fn, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    bool first = true;
    for (size_t i = 0; i < t->n_columns && status == DM_OK; i++) {
        const struct pg_column *c = &t->columns[i];
        if (!c->mirrored || (long_only && !may_be_long(&c->codec)))
            continue;
        if (!first)
            status = dm_buffer_printf(sql, err, "%s", between);
        first = false;
        if (status == DM_OK)
            status = fn(sql, c, i, err);
    }
    return status;
}

static enum dm_status inner_column(struct dm_buffer *sql, const struct pg_column *c, size_t i,
                                   struct dm_error *err)
{
    char *name = pg_quote(c->name);
    enum dm_status status = dm_buffer_printf(sql, err, "%s AS c%zu", name, i);
    free(name);
    return status;
}

static enum dm_status stored_size(struct dm_buffer *sql, const struct pg_column *c, size_t i,
                                  struct dm_error *err)
{
    (void)c;
    return dm_buffer_printf(sql, err, "coalesce(pg_column_size(c%zu), 0)::int8", i);
}

static enum dm_status true_size(struct dm_buffer *sql, const struct pg_column *c, size_t i,
                                struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(sql, err, "coalesce(");
    if (status == DM_OK)
        status = append_size(sql, &c->codec, i, err);
    return status == DM_OK ? dm_buffer_printf(sql, err, ", 0)") : status;
}

static enum dm_status outer_column(struct dm_buffer *sql, const struct pg_column *c, size_t i,
                                   struct dm_error *err)
{
    char name[32];
    (void)snprintf(name, sizeof name, "c%zu", i);
    if (!may_be_long(&c->codec))
        return append_column(sql, &c->codec, name, err);
    if (dm_buffer_printf(sql, err, "CASE WHEN size IS NULL OR pg_column_size(%s) < %d THEN ", name,
                         SHORT_VALUE) != DM_OK ||
        append_column(sql, &c->codec, name, err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_printf(sql, err, " END");
}

/* OFFSET 0 keeps the levels apart, so that sizes are computed once and nothing is fetched for the sake of a condition. */
enum dm_status pg_copy_guard(const struct pg_table *t, uint64_t max_row_bytes, struct pg_copy_sql *out,
                             struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, SQL_MAX);
    *out = (struct pg_copy_sql){.tail = " OFFSET 0) a OFFSET 0) b OFFSET 0) c"};
    unsigned long long most = max_row_bytes;
    enum dm_status status = dm_buffer_printf(&sql, err, "SELECT ");
    if (status == DM_OK)
        status = each_column(&sql, t, false, ", ", outer_column, err);
    if (status == DM_OK)
        status =
            dm_buffer_printf(&sql, err,
                             ", size FROM (SELECT *, CASE WHEN all_bytes > %llu THEN all_bytes END AS size"
                             " FROM (SELECT *, CASE WHEN ",
                             most);
    if (status == DM_OK)
        status = each_column(&sql, t, true, " + ", stored_size, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " > %llu THEN ", most / COMPRESSED_LEAST);
    if (status == DM_OK)
        status = each_column(&sql, t, true, " + ", true_size, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " END AS all_bytes FROM (SELECT ");
    if (status == DM_OK)
        status = each_column(&sql, t, false, ", ", inner_column, err);
    return finish(&sql, status, out);
}
