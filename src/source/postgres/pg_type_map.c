#include "source/postgres/pg_type_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/postgres/pg_charset.h"

/* Oids of built-in types are part of the wire protocol and never change (catalog/pg_type.dat). */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_TIME = PG_TIME_OID,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802,
};

struct plain_type {
    uint32_t oid;
    enum pg_codec_id codec;
    enum dm_type_id type;
};

static const struct plain_type plain_types[] = {
    {OID_BOOL, PG_CODEC_BOOL, DM_BOOL},
    {OID_INT2, PG_CODEC_INT2, DM_INT32},
    {OID_INT4, PG_CODEC_INT4, DM_INT32},
    {OID_INT8, PG_CODEC_INT8, DM_INT64},
    {OID_OID, PG_CODEC_OID, DM_INT64},
    {OID_FLOAT4, PG_CODEC_FLOAT4, DM_FLOAT32},
    {OID_FLOAT8, PG_CODEC_FLOAT8, DM_FLOAT64},
    {OID_TEXT, PG_CODEC_TEXT, DM_STRING},
    {OID_VARCHAR, PG_CODEC_TEXT, DM_STRING},
    {OID_BPCHAR, PG_CODEC_TEXT, DM_STRING}, /* with its padding, as the server sends it */
    {OID_NAME, PG_CODEC_TEXT, DM_STRING},
    {OID_JSON, PG_CODEC_TEXT, DM_STRING},
    {OID_JSONB, PG_CODEC_JSONB, DM_STRING},
    {OID_BYTEA, PG_CODEC_BYTEA, DM_BINARY},
    {OID_DATE, PG_CODEC_DATE, DM_DATE},
    {OID_TIME, PG_CODEC_TIME, DM_TIME},
    {OID_TIMESTAMP, PG_CODEC_TIMESTAMP, DM_TIMESTAMP},
    {OID_TIMESTAMPTZ, PG_CODEC_TIMESTAMPTZ, DM_TIMESTAMPTZ},
    {OID_UUID, PG_CODEC_UUID, DM_UUID},
};

void pg_type_cache_release(struct pg_type_cache *cache)
{
    free(cache->types);
    pg_charset_close(cache->charset);
    *cache = (struct pg_type_cache){0};
}

static struct pg_type_info *find(const struct pg_type_cache *cache, uint32_t oid)
{
    for (size_t i = 0; i < cache->n; i++)
        if (cache->types[i].oid == oid)
            return &cache->types[i];
    return NULL;
}

static struct pg_type_info *add(struct pg_type_cache *cache, uint32_t oid)
{
    cache->types = dm_xrealloc(cache->types, cache->n + 1, sizeof *cache->types);
    struct pg_type_info *info = &cache->types[cache->n++];
    *info = (struct pg_type_info){.oid = oid, .delimiter = ',', .base_modifier = -1};
    return info;
}

static enum dm_status load_batch(struct pg_type_cache *cache, PGconn *conn, struct dm_buffer *wanted,
                                 struct dm_error *err)
{
    PGresult *rows;
    if (pg_query(conn, &rows, err,
                 "SELECT t.oid, t.typbasetype, t.typtypmod,"
                 " CASE WHEN t.typoutput = 'pg_catalog.array_out'::regproc THEN t.typelem ELSE 0 END,"
                 " coalesce(e.typdelim, t.typdelim)"
                 " FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem WHERE t.oid = ANY ('{%s}'::oid[])",
                 dm_buffer_text(wanted)) != DM_OK)
        return DM_FAIL;
    for (int i = 0; i < PQntuples(rows); i++) {
        struct pg_type_info *info = find(cache, (uint32_t)pg_cell_int(rows, i, 0));
        if (info == NULL)
            continue;
        info->base = (uint32_t)pg_cell_int(rows, i, 1);
        info->base_modifier = (int32_t)pg_cell_int(rows, i, 2);
        info->element = (uint32_t)pg_cell_int(rows, i, 3);
        info->delimiter = PQgetvalue(rows, i, 4)[0];
        info->known = true;
    }
    PQclear(rows);
    return DM_OK;
}

static enum dm_status want(struct pg_type_cache *cache, uint32_t oid, struct dm_buffer *wanted,
                           struct dm_error *err)
{
    if (oid == 0 || find(cache, oid) != NULL)
        return DM_OK;
    (void)add(cache, oid);
    return dm_buffer_printf(wanted, err, wanted->len > 0 ? ",%u" : "%u", oid);
}

enum dm_status pg_type_cache_load(struct pg_type_cache *cache, PGconn *conn, const uint32_t *oids, size_t n,
                                  struct dm_error *err)
{
    size_t before = cache->n, seen = cache->n;
    struct dm_buffer wanted;
    dm_buffer_init(&wanted, 16u << 20);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < n && status == DM_OK; i++)
        status = want(cache, oids[i], &wanted, err);
    while (status == DM_OK && wanted.len > 0) { /* bases and elements of what came last */
        status = load_batch(cache, conn, &wanted, err);
        dm_buffer_clear(&wanted);
        size_t end = cache->n;
        for (; seen < end && status == DM_OK; seen++) {
            uint32_t base = cache->types[seen].base, element = cache->types[seen].element;
            status = want(cache, base, &wanted, err);
            if (status == DM_OK)
                status = want(cache, element, &wanted, err);
        }
    }
    dm_buffer_release(&wanted);
    if (status != DM_OK)
        cache->n = before; /* half-known types would be taken for unknown ones */
    return status;
}

/* numeric(p,s): PostgreSQL 15 allows a negative scale and a scale beyond the precision; both become an equal
 * set of values with 0 <= scale <= precision. */
static bool numeric_type(int32_t modifier, const struct dm_type *decimal, struct dm_type *out)
{
    if (modifier >= 4) {
        int precision = (modifier - 4) >> 16 & 0xFFFF;
        int scale = (((modifier - 4) & 0x7FF) ^ 1024) - 1024;
        if (scale < 0) {
            precision -= scale;
            scale = 0;
        }
        if (scale > precision)
            precision = scale;
        if (precision <= 38) {
            *out = dm_type_decimal(precision, scale);
            return true;
        }
    }
    if (decimal == NULL)
        return false;
    *out = *decimal;
    return true;
}

static void map_scalar(const struct pg_type_cache *cache, uint32_t oid, int32_t modifier,
                       const struct dm_type *decimal, struct pg_codec *out)
{
    bool plain = oid != OID_TIME || !cache->time_as_text;
    for (size_t i = 0; plain && i < sizeof plain_types / sizeof *plain_types; i++) {
        if (plain_types[i].oid == oid) {
            out->id = (uint8_t)plain_types[i].codec;
            out->type = dm_type_of(plain_types[i].type);
            return;
        }
    }
    struct dm_type type;
    if (oid == OID_NUMERIC && numeric_type(modifier, decimal, &type)) {
        out->id = PG_CODEC_DECIMAL;
        out->type = type;
        return;
    }
    out->id = PG_CODEC_TEXT;
    out->type = dm_type_of(DM_STRING);
    out->as_text = true;
}

/* Follows domains down to what they are over; the innermost modifier counts. */
static const struct pg_type_info *resolve(const struct pg_type_cache *cache, uint32_t *oid, int32_t *modifier)
{
    const struct pg_type_info *info = find(cache, *oid);
    for (int depth = 0; info != NULL && info->base != 0 && depth < 32; depth++) {
        *modifier = info->base_modifier;
        *oid = info->base;
        info = find(cache, *oid);
    }
    return info;
}

enum dm_status pg_type_map(struct pg_type_cache *cache, PGconn *conn, uint32_t oid, int32_t modifier,
                           const struct dm_type *decimal, struct pg_codec *out, struct dm_error *err)
{
    if (pg_type_cache_load(cache, conn, &oid, 1, err) != DM_OK)
        return DM_FAIL;
    *out = (struct pg_codec){.charset = cache->charset, .delimiter = ','};
    const struct pg_type_info *info = resolve(cache, &oid, &modifier);
    if (info == NULL || info->element == 0) {
        map_scalar(cache, oid, modifier, decimal, out);
        return DM_OK;
    }
    uint32_t element_oid = info->element;
    const struct pg_type_info *element = resolve(cache, &element_oid, &modifier);
    if (element != NULL &&
        element->element != 0) /* array of a domain over an array: the server's text, element-wise */
        element_oid = 0;
    map_scalar(cache, element_oid, modifier, decimal, out);
    out->array = true;
    out->type = dm_type_list(out->type);
    out->delimiter = info->delimiter;
    return DM_OK;
}
