/* pgoutput messages from hostile bytes: the input is a row of frames, each with a length byte pair in front. The sink checks the
 * order of its calls; the catalog is a stand-in that gives every codec to somebody. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "source/postgres/pg_charset.h"
#include "source/postgres/pg_decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sink_state {
    struct dm_batch *batches[64];
    size_t n;
    bool in_transaction, in_block;
};

#define CHECK(condition) \
    do { \
        if (!(condition)) \
            abort(); \
    } while (0)

static enum dm_status on_begin(void *ctx, const struct dm_txn *txn, struct dm_error *err)
{
    struct sink_state *s = ctx;
    (void)txn, (void)err;
    CHECK(!s->in_transaction && !s->in_block);
    s->in_transaction = true;
    return DM_OK;
}

static enum dm_status on_commit(void *ctx, const struct dm_txn *txn, struct dm_error *err)
{
    struct sink_state *s = ctx;
    (void)txn, (void)err;
    CHECK(!s->in_block);
    s->in_transaction = false;
    return DM_OK;
}

static enum dm_status on_table(void *ctx, const struct dm_table *table, void **handle, struct dm_error *err)
{
    struct sink_state *s = ctx;
    if (s->n == 64)
        return dm_fail(err, DM_ERROR_DATA, NULL, "enough");
    *handle = table->id % 7 == 3 ? NULL : (s->batches[s->n++] = dm_batch_new(table->columns));
    return DM_OK;
}

static enum dm_status on_rows(void *ctx, void *handle, struct dm_batch **batch, struct dm_error *err)
{
    struct sink_state *s = ctx;
    (void)err;
    CHECK(handle != NULL && (s->in_transaction || s->in_block));
    *batch = handle;
    for (size_t i = 0; i < (*batch)->n_columns; i++)
        CHECK((*batch)->columns[i].length == (*batch)->rows);
    return DM_OK;
}

static enum dm_status on_truncate(void *ctx, void *handle, struct dm_error *err)
{
    struct sink_state *s = ctx;
    (void)err;
    CHECK(handle != NULL && (s->in_transaction || s->in_block));
    return DM_OK;
}

static enum dm_status on_bad_row(void *ctx, void *handle, const struct dm_bad_row *row, struct dm_error *err)
{
    (void)ctx, (void)err;
    CHECK(handle != NULL && row->reason[0] != '\0' && row->raw[0] == '{');
    return DM_OK;
}

static enum dm_status on_dropped(void *ctx, void *handle, struct dm_error *err)
{
    (void)ctx, (void)handle, (void)err;
    return DM_OK;
}

static enum dm_status on_idle(void *ctx, dm_position position, struct dm_error *err)
{
    struct sink_state *s = ctx;
    (void)position, (void)err;
    CHECK(!s->in_transaction && !s->in_block);
    return DM_OK;
}

static enum dm_status on_start(void *ctx, uint64_t xid, uint32_t subxid, struct dm_error *err)
{
    struct sink_state *s = ctx;
    (void)xid, (void)subxid, (void)err;
    CHECK(!s->in_transaction && !s->in_block);
    s->in_block = true;
    return DM_OK;
}

static enum dm_status on_stop(void *ctx, struct dm_error *err)
{
    struct sink_state *s = ctx;
    (void)err;
    CHECK(s->in_block);
    s->in_block = false;
    return DM_OK;
}

static enum dm_status on_abort(void *ctx, uint64_t xid, uint32_t subxid, struct dm_error *err)
{
    struct sink_state *s = ctx;
    (void)xid, (void)subxid, (void)err;
    CHECK(!s->in_transaction && !s->in_block);
    return DM_OK;
}

static enum dm_status on_subtransaction(void *ctx, uint32_t subxid, struct dm_error *err)
{
    struct sink_state *s = ctx;
    (void)subxid, (void)err;
    CHECK(s->in_block);
    return DM_OK;
}

static const uint8_t types[] = {[PG_CODEC_BOOL] = DM_BOOL,           [PG_CODEC_INT2] = DM_INT32,
                                [PG_CODEC_INT4] = DM_INT32,          [PG_CODEC_INT8] = DM_INT64,
                                [PG_CODEC_OID] = DM_INT64,           [PG_CODEC_FLOAT4] = DM_FLOAT32,
                                [PG_CODEC_FLOAT8] = DM_FLOAT64,      [PG_CODEC_DECIMAL] = DM_DECIMAL,
                                [PG_CODEC_DATE] = DM_DATE,           [PG_CODEC_TIME] = DM_TIME,
                                [PG_CODEC_TIMESTAMP] = DM_TIMESTAMP, [PG_CODEC_TIMESTAMPTZ] = DM_TIMESTAMPTZ,
                                [PG_CODEC_UUID] = DM_UUID,           [PG_CODEC_BYTEA] = DM_BINARY,
                                [PG_CODEC_TEXT] = DM_STRING,         [PG_CODEC_JSONB] = DM_STRING};

/* The stand-in: the type oid chooses codec and array, the flag the key; every third column is left out. */
static enum dm_status resolve(void *ctx, const struct pg_relation_message *m,
                              const struct pg_relation *previous, struct pg_relation *out,
                              struct dm_error *err)
{
    (void)ctx, (void)previous, (void)err;
    out->table = dm_table_new(m->schema, m->name);
    out->table->id = m->oid;
    out->codecs = dm_xzalloc(m->n + 1, sizeof *out->codecs);
    out->source = dm_xzalloc(m->n + 1, sizeof *out->source);
    for (size_t i = 0; i < m->n; i++) {
        if (m->columns[i].modifier == 3)
            continue;
        struct pg_codec codec = {.id = (uint8_t)(1 + m->columns[i].type % PG_CODEC_JSONB),
                                 .delimiter = ',',
                                 .charset = &pg_charset_ascii};
        struct dm_type type = codec.id == PG_CODEC_DECIMAL ? dm_type_decimal(20, 5)
                                                           : dm_type_of((enum dm_type_id)types[codec.id]);
        codec.array = m->columns[i].type % 5 == 0 && !m->columns[i].identity;
        codec.type = codec.array ? dm_type_list(type) : type;
        struct dm_field *f = dm_schema_add(out->table->columns, m->columns[i].name, codec.type);
        size_t field = out->table->columns->n_fields - 1;
        f->source_ref = (int32_t)i + 1;
        f->required = m->columns[i].identity;
        out->codecs[field] = codec;
        out->source[field] = (uint32_t)i;
        if (f->required)
            dm_schema_add_key(out->table->columns, (uint32_t)field);
    }
    return DM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sink_state state = {0};
    const struct dm_sink sink = {.ctx = &state,
                                 .begin = on_begin,
                                 .commit = on_commit,
                                 .table = on_table,
                                 .rows = on_rows,
                                 .truncate = on_truncate,
                                 .bad_row = on_bad_row,
                                 .dropped = on_dropped,
                                 .idle = on_idle,
                                 .stream_start = on_start,
                                 .stream_stop = on_stop,
                                 .stream_abort = on_abort,
                                 .subtransaction = on_subtransaction};
    struct pg_decoder decoder;
    struct dm_error err;
    pg_decoder_init(&decoder, resolve, NULL, 100);
    enum dm_status status = DM_OK;
    for (size_t at = 0; size - at >= 2 && status == DM_OK;) {
        size_t n = dm_get_be16(data + at);
        at += 2;
        n = n < size - at ? n : size - at;
        uint8_t *frame =
            malloc(n > 0 ? n : 1); /* exactly as long as it is, so that one byte too many is found */
        memcpy(frame, data + at, n);
        if (n == 9 && frame[0] == 'k')
            status = pg_decoder_keepalive(&decoder, &sink, dm_get_be64(frame + 1), &err);
        else
            status = pg_decoder_feed(&decoder, &sink, frame, n, &err);
        free(frame);
        at += n;
    }
    pg_decoder_release(&decoder);
    for (size_t i = 0; i < state.n; i++)
        dm_batch_free(state.batches[i]);
    return 0;
}
