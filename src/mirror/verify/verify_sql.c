#include "mirror/verify/verify_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { max_sql = 16 << 20 };

struct dm_schema *dm_verify_plain_schema(const struct dm_schema *schema)
{
    struct dm_schema *plain = dm_schema_copy(schema);
    for (size_t i = 0; i < plain->n_fields; i++) {
        free(plain->fields[i].name);
        plain->fields[i].name = dm_xasprintf("c%zu", i);
    }
    return plain;
}

/* A literal of SQL or JSON text: quotes doubled. */
static enum dm_status append_literal(struct dm_buffer *sql, const char *text, struct dm_error *err)
{
    enum dm_status status = dm_buffer_append_byte(sql, '\'', err);
    for (const char *c = text; *c != '\0' && status == DM_OK; c++) {
        if (*c == '\'')
            status = dm_buffer_append_byte(sql, '\'', err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(sql, (uint8_t)*c, err);
    }
    return status == DM_OK ? dm_buffer_append_byte(sql, '\'', err) : status;
}

/* One side's columns. Long values take part as their MD5, so that the join needs memory for keys and digests only. */
static enum dm_status append_side(struct dm_buffer *sql, const struct dm_schema *s, const char *relation,
                                  struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(sql, err, "(SELECT true AS here");
    for (size_t i = 0; i < s->n_fields && status == DM_OK; i++) {
        enum dm_type_id id = (enum dm_type_id)s->fields[i].type.id;
        if (dm_schema_is_key(s, (uint32_t)i) || (id != DM_STRING && id != DM_BINARY && id != DM_LIST))
            status = dm_buffer_printf(sql, err, ", c%zu", i);
        else if (id == DM_STRING)
            status = dm_buffer_printf(
                sql, err, ", CASE WHEN strlen(c%zu) > 64 THEN 'md5 ' || md5(c%zu) ELSE c%zu END AS c%zu", i,
                i, i, i);
        else if (id == DM_BINARY)
            status = dm_buffer_printf(
                sql, err,
                ", CASE WHEN octet_length(c%zu) > 64 THEN 'md5 ' || md5(c%zu) ELSE hex(c%zu) END AS c%zu", i,
                i, i, i);
        else
            status = dm_buffer_printf(sql, err,
                                      ", CASE WHEN len(c%zu) > 8 THEN 'md5 ' || md5(CAST(c%zu AS VARCHAR))"
                                      " ELSE CAST(c%zu AS VARCHAR) END AS c%zu",
                                      i, i, i, i);
    }
    return status == DM_OK ? dm_buffer_printf(sql, err, " FROM verify.%s)", relation) : status;
}

/* The row of side s is among those that the stream put aside, and the lake does not have it. */
static enum dm_status append_is_aside(struct dm_buffer *sql, const struct dm_schema *s, struct dm_error *err)
{
    enum dm_status status =
        dm_buffer_printf(sql, err, "l.here IS NULL AND EXISTS (SELECT 1 FROM verify.put_aside a WHERE ");
    for (size_t i = 0; i < s->n_keys && status == DM_OK; i++)
        status = dm_buffer_printf(sql, err, "%sa.c%u = s.c%u", i > 0 ? " AND " : "", s->keys[i], s->keys[i]);
    return status == DM_OK ? dm_buffer_printf(sql, err, ")") : status;
}

static enum dm_status append_join(struct dm_buffer *sql, const struct dm_verify_compare *c,
                                  struct dm_error *err)
{
    const struct dm_schema *s = c->schema;
    enum dm_status status = dm_buffer_printf(sql, err, " FROM ");
    if (status == DM_OK)
        status = append_side(sql, s, "source", err);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " s FULL OUTER JOIN ");
    if (status == DM_OK)
        status = append_side(sql, s, "lake", err);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " l ON (");
    for (size_t i = 0; i < s->n_keys && status == DM_OK; i++)
        status = dm_buffer_printf(sql, err, "%ss.c%u = l.c%u", i > 0 ? " AND " : "", s->keys[i], s->keys[i]);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, ") WHERE (s.here IS NULL OR l.here IS NULL");
    for (size_t i = 0; i < s->n_fields && status == DM_OK; i++)
        if (!dm_schema_is_key(s, (uint32_t)i))
            status = dm_buffer_printf(sql, err, " OR s.c%zu IS DISTINCT FROM l.c%zu", i, i);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, ")%s", c->put_aside ? " AND NOT (" : "");
    if (status == DM_OK && c->put_aside)
        status = append_is_aside(sql, s, err);
    return status == DM_OK && c->put_aside ? dm_buffer_append_byte(sql, ')', err) : status;
}

/* {"id": 1, …} of the side that has the row. */
static enum dm_status append_key(struct dm_buffer *sql, const struct dm_schema *s, struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(sql, err, "CAST(json_object(");
    for (size_t i = 0; i < s->n_keys && status == DM_OK; i++) {
        if (i > 0)
            status = dm_buffer_printf(sql, err, ", ");
        if (status == DM_OK)
            status = append_literal(sql, s->fields[s->keys[i]].name, err);
        if (status == DM_OK)
            status = dm_buffer_printf(sql, err, ", coalesce(s.c%u, l.c%u)", s->keys[i], s->keys[i]);
    }
    return status == DM_OK ? dm_buffer_printf(sql, err, ") AS VARCHAR)") : status;
}

/* 'a=1, b=NULL' of the columns that differ; side NULL: only their names. */
static enum dm_status append_differing(struct dm_buffer *sql, const struct dm_schema *s, const char *side,
                                       struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(sql, err, "CASE WHEN s.here AND l.here THEN concat_ws(', '");
    for (size_t i = 0; i < s->n_fields && status == DM_OK; i++) {
        if (dm_schema_is_key(s, (uint32_t)i))
            continue;
        status = dm_buffer_printf(sql, err, ", CASE WHEN s.c%zu IS DISTINCT FROM l.c%zu THEN ", i, i);
        if (status == DM_OK)
            status = append_literal(sql, s->fields[i].name, err);
        if (status == DM_OK && side != NULL)
            status = dm_buffer_printf(
                sql, err, " || '=' || coalesce(left(CAST(%s.c%zu AS VARCHAR), 200), 'NULL')", side, i);
        if (status == DM_OK)
            status = dm_buffer_printf(sql, err, " END");
    }
    return status == DM_OK ? dm_buffer_printf(sql, err, ") END") : status;
}

struct found {
    const struct dm_verify_compare *compare;
    uint64_t count;
};

static enum dm_status on_difference(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    struct found *f = ctx;
    (void)n;
    (void)err;
    char *what = values[1] != NULL && strcmp(values[1], "differs") == 0
                     ? dm_xasprintf("differs: %s", values[2] != NULL ? values[2] : "")
                     : dm_xstrdup(values[1]);
    struct dm_verify_difference d = {.dataset = f->compare->dataset,
                                     .key = values[0],
                                     .what = what,
                                     .source_values = values[3],
                                     .lake_values = values[4]};
    if (f->compare->callbacks->difference != NULL)
        f->compare->callbacks->difference(f->compare->callbacks->ctx, &d);
    free(what);
    return DM_OK;
}

static enum dm_status on_count(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    struct found *f = ctx;
    (void)n;
    (void)err;
    f->count = values[0] != NULL ? strtoull(values[0], NULL, 10) : 0;
    return DM_OK;
}

static enum dm_status count_differences(const struct dm_verify_compare *c, struct found *f,
                                        struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, max_sql);
    enum dm_status status = dm_buffer_printf(&sql, err, "SELECT count(*)");
    if (status == DM_OK)
        status = append_join(&sql, c, err);
    if (status == DM_OK)
        status = dm_sql_each(c->sql, dm_buffer_text(&sql), on_count, f, err);
    dm_buffer_release(&sql);
    return status;
}

static enum dm_status list_differences(const struct dm_verify_compare *c, struct found *f,
                                       struct dm_error *err)
{
    struct dm_buffer sql;
    dm_buffer_init(&sql, max_sql);
    enum dm_status status = dm_buffer_printf(&sql, err, "SELECT ");
    if (status == DM_OK)
        status = append_key(&sql, c->schema, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err,
                                  ", CASE WHEN l.here IS NULL THEN 'missing in the lake' WHEN s.here IS NULL"
                                  " THEN 'not in the source' ELSE 'differs' END, ");
    if (status == DM_OK)
        status = append_differing(&sql, c->schema, NULL, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, ", ");
    if (status == DM_OK)
        status = append_differing(&sql, c->schema, "s", err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, ", ");
    if (status == DM_OK)
        status = append_differing(&sql, c->schema, "l", err);
    if (status == DM_OK)
        status = append_join(&sql, c, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, " ORDER BY 1 LIMIT %zu", c->max_differences);
    if (status == DM_OK)
        status = dm_sql_each(c->sql, dm_buffer_text(&sql), on_difference, f, err);
    dm_buffer_release(&sql);
    return status;
}

static enum dm_status count_aside(const struct dm_verify_compare *c, uint64_t *n, struct dm_error *err)
{
    struct dm_buffer sql;
    struct found f = {.compare = c};
    dm_buffer_init(&sql, max_sql);
    enum dm_status status = dm_buffer_printf(
        &sql, err,
        "SELECT count(*) FROM verify.source s LEFT JOIN (SELECT true AS here, * FROM verify.lake) l ON (");
    for (size_t i = 0; i < c->schema->n_keys && status == DM_OK; i++)
        status = dm_buffer_printf(&sql, err, "%ss.c%u = l.c%u", i > 0 ? " AND " : "", c->schema->keys[i],
                                  c->schema->keys[i]);
    if (status == DM_OK)
        status = dm_buffer_printf(&sql, err, ") WHERE ");
    if (status == DM_OK)
        status = append_is_aside(&sql, c->schema, err);
    if (status == DM_OK)
        status = dm_sql_each(c->sql, dm_buffer_text(&sql), on_count, &f, err);
    dm_buffer_release(&sql);
    *n += f.count;
    return status;
}

/* Without a key rows can only be compared as a multiset. */
static enum dm_status compare_multisets(const struct dm_verify_compare *c, struct dm_verify_dataset *result,
                                        struct dm_error *err)
{
    struct found f = {.compare = c};
    enum dm_status status = dm_sql_each(
        c->sql,
        "SELECT (SELECT count(*) FROM (SELECT * FROM verify.source EXCEPT ALL SELECT * FROM verify.lake)) +"
        " (SELECT count(*) FROM (SELECT * FROM verify.lake EXCEPT ALL SELECT * FROM verify.source))",
        on_count, &f, err);
    if (status != DM_OK)
        return status;
    result->differences = f.count;
    result->result = f.count == 0 ? DM_VERIFY_EQUAL : DM_VERIFY_UNKNOWN;
    result->reason =
        f.count == 0
            ? NULL
            : "append-only: updates and deletes of the source are kept as rows, so it cannot be compared";
    return DM_OK;
}

enum dm_status dm_verify_compare(const struct dm_verify_compare *c, struct dm_verify_dataset *result,
                                 struct dm_error *err)
{
    if (c->append_only || c->schema->n_keys == 0)
        return compare_multisets(c, result, err);
    struct found f = {.compare = c};
    if (count_differences(c, &f, err) != DM_OK)
        return DM_FAIL;
    result->differences = f.count;
    result->result = f.count == 0 ? DM_VERIFY_EQUAL : DM_VERIFY_DIFFERENT;
    if (f.count > 0 && list_differences(c, &f, err) != DM_OK)
        return DM_FAIL;
    return c->put_aside ? count_aside(c, &result->quarantined, err) : DM_OK;
}
