/* pg_value.h — PostgreSQL values into column vectors, from both wire forms.
 *
 * A struct pg_codec says how the values of one source column travel and what they become. COPY sends binary,
 * the stream sends text; both decoders give the very same value for the same datum (tests compare them type by
 * type). Types without an exact Iceberg counterpart travel as the server's text in both (`as_text`).
 *
 * A decoder appends exactly one value, or appends nothing and says why the value does not fit: then the caller
 * drops the row (dm_batch_undo_row also drops half-made lists) and sends it to quarantine. Never a crash on
 * wrong bytes: what cannot be understood is PG_VALUE_MALFORMED. No memory is kept. Thread safe.
 *
 *     enum pg_value_result r = pg_value_from_text(&codec, &batch->columns[i], bytes, n);
 *     if (r != PG_VALUE_OK) … pg_value_reason(r) …
 */
#ifndef DM_SOURCE_POSTGRES_PG_VALUE_H
#define DM_SOURCE_POSTGRES_PG_VALUE_H

#include "column/column.h"

enum pg_codec_id {
    PG_CODEC_BOOL = 1,
    PG_CODEC_INT2,
    PG_CODEC_INT4,
    PG_CODEC_INT8,
    PG_CODEC_OID, /* unsigned 32 bit → INT64 */
    PG_CODEC_FLOAT4,
    PG_CODEC_FLOAT8,
    PG_CODEC_DECIMAL,
    PG_CODEC_DATE,
    PG_CODEC_TIME,
    PG_CODEC_TIMESTAMP,
    PG_CODEC_TIMESTAMPTZ,
    PG_CODEC_UUID,
    PG_CODEC_BYTEA,
    PG_CODEC_TEXT,  /* both wire forms are the text itself */
    PG_CODEC_JSONB, /* binary form: version byte 1, then the text */
};

struct pg_charset;

struct pg_codec {
    uint8_t id;          /* enum pg_codec_id; for arrays: of the elements */
    bool array;          /* LIST of it */
    bool as_text;        /* COPY must ask for the server's text (and, for arrays, parse the array's text) */
    char delimiter;      /* array: between elements, usually ',' */
    struct dm_type type; /* of the column: a LIST for arrays */
    const struct pg_charset *charset; /* of texts; NULL: UTF-8. Borrowed */
};

enum pg_value_result {
    PG_VALUE_OK = 0,
    PG_VALUE_MALFORMED,       /* not a value of this type in this form */
    PG_VALUE_NAN,             /* NaN in a decimal column */
    PG_VALUE_INFINITE,        /* infinity in a decimal column */
    PG_VALUE_DECIMAL_RANGE,   /* more digits than the decimal column has */
    PG_VALUE_TIMESTAMP_RANGE, /* beyond what 64 bits of microseconds since 1970 hold */
    PG_VALUE_ARRAY_SHAPE,     /* more than one dimension, or a lower bound that is not 1 */
    PG_VALUE_UTF8,            /* a text that has no form in UTF-8 */
    PG_VALUE_NOT_SENT,  /* unchanged, so only the stored row has it; but there is none to be found by key */
    PG_VALUE_TOO_LARGE, /* the column has no room for it in this batch */
    PG_VALUE_ROW_TOO_LARGE, /* not the value alone: the row has more bytes than memory_limit allows */
};

/* Short code for quarantine ("array_shape") and the rule in words. */
const char *pg_value_reason(enum pg_value_result r);
const char *pg_value_rule(enum pg_value_result r);

enum pg_value_result pg_value_from_text(const struct pg_codec *codec, struct dm_column *c, const char *text,
                                        size_t n) DM_MUST_USE;
enum pg_value_result pg_value_from_binary(const struct pg_codec *codec, struct dm_column *c,
                                          const uint8_t *bytes, size_t n) DM_MUST_USE;

/* One scalar without a column, both forms: `out` has room for 16 bytes. Not for BYTEA, TEXT, JSONB. */
enum pg_value_result pg_scalar_from_text(const struct pg_codec *codec, const char *text, size_t n,
                                         void *out) DM_MUST_USE;
enum pg_value_result pg_scalar_from_binary(const struct pg_codec *codec, const uint8_t *bytes, size_t n,
                                           void *out) DM_MUST_USE;

/* Array text "{a,\"b c\",NULL}" cut into elements. The callback gets unescaped bytes (NULL: a null element).
 * */
typedef enum pg_value_result (*pg_element_fn)(void *ctx, const char *text, size_t n);
enum pg_value_result pg_array_text_each(const char *text, size_t n, char delimiter, pg_element_fn fn,
                                        void *ctx) DM_MUST_USE;

/* A binary value in (nearly) the server's spelling, appended to `out` as plain text, for quarantine's raw
 * rows. */
enum dm_status pg_value_spell_binary(const struct pg_codec *codec, const uint8_t *bytes, size_t n,
                                     struct dm_buffer *out, struct dm_error *err) DM_MUST_USE;

#endif
