/* COPY's binary format from hostile bytes: two bytes choose how the input is cut into frames, the rest is the stream. Every codec
 * is a column. Whatever comes in, rows are whole, texts are asked for by nobody, and nothing is read out of bounds. */
#include <stdlib.h>
#include <string.h>

#include "source/postgres/pg_charset.h"
#include "source/postgres/pg_copy_binary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    enum pg_codec_id codec;
    enum dm_type_id type;
} scalars[] = {
    {PG_CODEC_INT4, DM_INT32},     {PG_CODEC_BOOL, DM_BOOL},           {PG_CODEC_INT2, DM_INT32},
    {PG_CODEC_INT8, DM_INT64},     {PG_CODEC_OID, DM_INT64},           {PG_CODEC_FLOAT4, DM_FLOAT32},
    {PG_CODEC_FLOAT8, DM_FLOAT64}, {PG_CODEC_DECIMAL, DM_DECIMAL},     {PG_CODEC_DATE, DM_DATE},
    {PG_CODEC_TIME, DM_TIME},      {PG_CODEC_TIMESTAMP, DM_TIMESTAMP}, {PG_CODEC_TIMESTAMPTZ, DM_TIMESTAMPTZ},
    {PG_CODEC_UUID, DM_UUID},      {PG_CODEC_BYTEA, DM_BINARY},        {PG_CODEC_TEXT, DM_STRING},
    {PG_CODEC_JSONB, DM_STRING},
};
enum { SCALARS = sizeof scalars / sizeof *scalars };

static enum dm_status on_bad_row(void *ctx, const struct dm_bad_row *row, struct dm_error *err)
{
    (void)err;
    /* the raw row is JSON of some length, the reason is never empty */
    if (row->reason[0] == '\0' || row->raw[0] != '{' || row->raw[strlen(row->raw) - 1] != '}')
        abort();
    *(size_t *)ctx += 1;
    return DM_OK;
}

/* All codecs as scalars, or all as arrays (half of them as the server's text). */
static struct dm_schema *make_schema(bool arrays, struct pg_codec *codecs)
{
    struct dm_schema *schema = dm_schema_new();
    for (size_t i = 0; i < SCALARS; i++) {
        bool array = arrays && i > 0;
        struct dm_type type =
            scalars[i].type == DM_DECIMAL ? dm_type_decimal(38, 10) : dm_type_of(scalars[i].type);
        codecs[i] = (struct pg_codec){.id = (uint8_t)scalars[i].codec,
                                      .array = array,
                                      .as_text = array && i % 2 == 0,
                                      .charset = &pg_charset_ascii,
                                      .delimiter = ',',
                                      .type = array ? dm_type_list(type) : type};
        struct dm_field *f = dm_schema_add(schema, "c", codecs[i].type);
        f->required = i == 0;
    }
    dm_schema_add_key(schema, 0);
    return schema;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct pg_codec codecs[SCALARS];
    struct dm_schema *schema = make_schema((data[0] & 1) != 0, codecs);
    struct pg_row_shape shape = {.schema = schema, .codecs = codecs, .binary = true};
    struct dm_batch *batch = dm_batch_new(schema);
    struct pg_copy_parser parser;
    pg_copy_parser_init(&parser, &shape);
    size_t step = data[1] == 0 ? size : data[1], bad = 0;
    for (size_t at = 2; at < size; at += step) {
        size_t n = size - at < step ? size - at : step;
        uint8_t *frame = malloc(n); /* exactly as long as it is, so that one byte too many is found */
        memcpy(frame, data + at, n);
        struct dm_error err;
        enum dm_status status = pg_copy_parser_feed(&parser, frame, n, batch, on_bad_row, &bad, &err);
        free(frame);
        if (status != DM_OK)
            break;
    }
    for (size_t i = 0; i < batch->n_columns; i++)
        if (batch->columns[i].length != batch->rows)
            abort();
    pg_copy_parser_release(&parser);
    dm_batch_free(batch);
    dm_schema_unref(schema);
    return 0;
}
