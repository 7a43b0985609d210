#include "format/parquet_footer.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/thrift_read.h"

/* A leaf takes more memory than the three bytes that it may be in a footer made to harm. */
enum { LEAVES_MAX = 1 << 18 };

static enum dm_status no_footer(struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_DATA,
                   "is the file cut off? write or fetch it again; nothing of it was taken",
                   "the Parquet footer is damaged");
}

/* ---- annotations ---- */

/* What one of the two ways to annotate says. */
struct annotation {
    enum dm_parquet_logical logical;
    int64_t scale, precision, per_second, bits;
    bool utc, is_signed;
};

/* Behind the header of a struct or union: the number of the last member. */
static int64_t take_member(struct dm_thrift *t)
{
    int64_t id = 0, member = 0;
    for (unsigned type; (type = dm_thrift_field(t, &id)) != DM_THRIFT_STOP;) {
        member = id;
        dm_thrift_skip(t, type);
    }
    return member;
}

static int64_t per_second_of(int64_t unit)
{
    static const int64_t units[] = {0, 1000, 1000000, 1000000000};
    return unit >= 1 && unit <= 3 ? units[unit] : 0;
}

/* DecimalType {scale, precision}, TimeType and TimestampType {isAdjustedToUTC, unit}, IntType {bitWidth, isSigned} */
static void take_parameters(struct dm_thrift *t, struct annotation *a)
{
    bool decimal = a->logical == DM_PARQUET_DECIMAL, integer = a->logical == DM_PARQUET_INTEGER;
    int64_t id = 0;
    for (unsigned type; (type = dm_thrift_field(t, &id)) != DM_THRIFT_STOP;) {
        bool flag = type == DM_THRIFT_TRUE || type == DM_THRIFT_FALSE;
        if (decimal && id == 1 && type == DM_THRIFT_I32) {
            a->scale = dm_thrift_integer(t);
        } else if (decimal && id == 2 && type == DM_THRIFT_I32) {
            a->precision = dm_thrift_integer(t);
        } else if (integer && id == 1 && type == DM_THRIFT_BYTE && t->at < t->end) {
            a->bits = *t->at++;
        } else if (integer && id == 2 && flag) {
            a->is_signed = type == DM_THRIFT_TRUE;
        } else if (!decimal && !integer && id == 1 && flag) {
            a->utc = type == DM_THRIFT_TRUE;
        } else if (!decimal && !integer && id == 2 && type == DM_THRIFT_STRUCT) {
            a->per_second = per_second_of(take_member(t));
        } else {
            dm_thrift_skip(t, type);
        }
    }
}

static struct annotation take_logical(struct dm_thrift *t)
{
    static const uint8_t kinds[] = {
        [1] = DM_PARQUET_STRING,   [4] = DM_PARQUET_STRING, [5] = DM_PARQUET_DECIMAL,
        [6] = DM_PARQUET_DATE,     [7] = DM_PARQUET_TIME,   [8] = DM_PARQUET_TIMESTAMP,
        [10] = DM_PARQUET_INTEGER, [11] = DM_PARQUET_NULL,  [12] = DM_PARQUET_JSON,
        [13] = DM_PARQUET_BSON,    [14] = DM_PARQUET_UUID,  [15] = DM_PARQUET_HALF};
    struct annotation a = {0};
    int64_t id = 0;
    for (unsigned type; (type = dm_thrift_field(t, &id)) != DM_THRIFT_STOP;) {
        bool known = id >= 0 && id < (int64_t)sizeof kinds && kinds[id] != 0 && type == DM_THRIFT_STRUCT;
        a = (struct annotation){.logical = known ? (enum dm_parquet_logical)kinds[id] : DM_PARQUET_OTHER};
        if (a.logical >= DM_PARQUET_TIME && known)
            take_parameters(t, &a);
        else
            dm_thrift_skip(t, type);
    }
    return a;
}

/* By ConvertedType; scale and precision stand in the element. */
static struct annotation converted(int64_t type)
{
    switch (type) {
    case 0:
    case 4: return (struct annotation){.logical = DM_PARQUET_STRING};
    case 5: return (struct annotation){.logical = DM_PARQUET_DECIMAL};
    case 6: return (struct annotation){.logical = DM_PARQUET_DATE};
    case 7:
    case 8: return (struct annotation){.logical = DM_PARQUET_TIME, .per_second = type == 7 ? 1000 : 1000000};
    case 9:
    case 10:
        return (struct annotation){.logical = DM_PARQUET_TIMESTAMP, .per_second = type == 9 ? 1000 : 1000000};
    case 11:
    case 12:
    case 13:
    case 14: return (struct annotation){.logical = DM_PARQUET_INTEGER, .bits = 8 << (type - 11)};
    case 15:
    case 16:
    case 17:
    case 18:
        return (struct annotation){
            .logical = DM_PARQUET_INTEGER, .bits = 8 << (type - 15), .is_signed = true};
    case 19: return (struct annotation){.logical = DM_PARQUET_JSON};
    case 20: return (struct annotation){.logical = DM_PARQUET_BSON};
    case 21: return (struct annotation){.logical = DM_PARQUET_INTERVAL};
    default: return (struct annotation){.logical = DM_PARQUET_OTHER};
    }
}

static bool agree(const struct annotation *a, const struct annotation *b)
{
    return a->logical == b->logical && a->scale == b->scale && a->precision == b->precision &&
           a->per_second == b->per_second && a->bits == b->bits && a->is_signed == b->is_signed;
}

/* ---- the schema ---- */

/* Fields of SchemaElement. */
enum {
    TYPE = 1,
    TYPE_LENGTH = 2,
    REPETITION = 3,
    NAME = 4,
    CHILDREN = 5,
    CONVERTED_TYPE = 6,
    SCALE = 7,
    PRECISION = 8,
    FIELD_ID = 9,
    LOGICAL_TYPE = 10
};

/* One element; *children is how many are below it. A leaf has a physical type, -1 otherwise. */
static struct dm_parquet_leaf take_element(struct dm_thrift *t, const uint8_t *footer, int64_t *children)
{
    struct dm_parquet_leaf e = {.physical = -1, .begin = (size_t)(t->at - footer)};
    int64_t *const numbers[] = {[TYPE] = &e.physical,
                                [TYPE_LENGTH] = &e.length,
                                [REPETITION] = &e.repetition,
                                [CHILDREN] = children,
                                [FIELD_ID] = &e.field_id};
    int64_t older = -1, scale = 0, precision = 0, id = 0;
    struct annotation logical = {0};
    *children = 0;
    for (unsigned type; (type = dm_thrift_field(t, &id)) != DM_THRIFT_STOP;) {
        bool number = type == DM_THRIFT_I32;
        if (number && id >= TYPE && id <= FIELD_ID && numbers[id] != NULL) {
            *numbers[id] = dm_thrift_integer(t);
            e.has_repetition |= id == REPETITION;
            e.has_field_id |= id == FIELD_ID;
        } else if (number && id == CONVERTED_TYPE) {
            older = dm_thrift_integer(t);
        } else if (number && id == SCALE) {
            scale = dm_thrift_integer(t);
        } else if (number && id == PRECISION) {
            precision = dm_thrift_integer(t);
        } else if (id == NAME && type == DM_THRIFT_BINARY) {
            e.name = (const char *)dm_thrift_binary(t, &e.name_n);
        } else if (id == LOGICAL_TYPE && type == DM_THRIFT_STRUCT) {
            logical = take_logical(t);
        } else {
            dm_thrift_skip(t, type);
        }
    }
    struct annotation old = older >= 0 ? converted(older) : logical;
    if (old.logical == DM_PARQUET_DECIMAL && older >= 0) {
        old.scale = scale;
        old.precision = precision;
    }
    const struct annotation *a = logical.logical != DM_PARQUET_NONE ? &logical : &old;
    e.contradictory = !agree(&logical, &old) && logical.logical != DM_PARQUET_NONE;
    e.logical = a->logical;
    e.scale = a->scale;
    e.precision = a->precision;
    e.per_second = a->per_second;
    e.bits = a->bits;
    e.utc = a->utc;
    e.is_signed = a->is_signed;
    e.end = (size_t)(t->at - footer);
    if (*children < 0 || *children > UINT32_MAX)
        t->bad = true;
    return e;
}

static enum dm_status add_leaf(struct dm_parquet_schema *s, const struct dm_parquet_leaf *leaf,
                               struct dm_error *err)
{
    if (s->n == LEAVES_MAX)
        return dm_fail(err, DM_ERROR_DATA, "write fewer columns into one file", "more than %d columns",
                       LEAVES_MAX);
    if (s->n == s->capacity) {
        s->capacity = s->capacity < 16 ? 16 : s->capacity * 2;
        s->leaves = dm_xrealloc(s->leaves, s->capacity, sizeof *s->leaves);
    }
    s->leaves[s->n++] = *leaf;
    return DM_OK;
}

/* The elements of the schema, of which n are said to be there. */
static enum dm_status walk(struct dm_parquet_schema *s, struct dm_thrift *t, const uint8_t *footer,
                           uint64_t n, struct dm_error *err)
{
    int64_t children;
    uint64_t open = 0; /* elements below the present column that are still to come */
    const char *name = "";
    size_t name_n = 0;
    (void)take_element(t, footer, &children); /* the root */
    for (uint64_t i = 1; i < n && !t->bad; i++) {
        struct dm_parquet_leaf e = take_element(t, footer, &children);
        if (t->bad)
            break;
        if (open == 0) {
            s->n_columns++;
            name = e.name != NULL ? e.name : "";
            name_n = e.name_n;
        } else {
            open--;
        }
        open += (uint64_t)children;
        e.column = s->n_columns - 1;
        e.name = name;
        e.name_n = name_n;
        if (children == 0 && add_leaf(s, &e, err) != DM_OK)
            return DM_FAIL;
    }
    return t->bad ? no_footer(err) : DM_OK;
}

/* To the elements of a field of FileMetaData that is a list of structs; SIZE_MAX: it is not there. */
static uint64_t find_list(struct dm_thrift *t, int64_t field)
{
    int64_t id = 0;
    for (unsigned type; (type = dm_thrift_field(t, &id)) != DM_THRIFT_STOP;) {
        unsigned element;
        if (id != field || type != DM_THRIFT_LIST) {
            dm_thrift_skip(t, type);
            continue;
        }
        uint64_t n = dm_thrift_list(t, &element);
        return t->bad || element != DM_THRIFT_STRUCT ? UINT64_MAX : n;
    }
    return UINT64_MAX;
}

enum dm_status dm_parquet_schema_read(struct dm_parquet_schema *s, const uint8_t *footer, size_t n,
                                      struct dm_error *err)
{
    enum { SCHEMA = 2 };
    *s = (struct dm_parquet_schema){0};
    struct dm_thrift t = {.at = footer, .end = footer + n};
    uint64_t count = find_list(&t, SCHEMA);
    if (count == 0 || count == UINT64_MAX)
        return no_footer(err);
    enum dm_status status = walk(s, &t, footer, count, err);
    if (status != DM_OK)
        dm_parquet_schema_release(s);
    return status;
}

void dm_parquet_schema_release(struct dm_parquet_schema *s)
{
    free(s->leaves);
    *s = (struct dm_parquet_schema){0};
}

/* ---- the bare footer ---- */

static uint8_t *put_varint(uint8_t *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *out++ = (uint8_t)(v | 0x80);
    *out++ = (uint8_t)v;
    return out;
}

static uint8_t *put_i32(uint8_t *out, unsigned step, int64_t v)
{
    *out++ = (uint8_t)(step << 4 | DM_THRIFT_I32);
    return put_varint(out, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

/* The element without its annotation; not longer than it was, but for the length of INT96. */
static uint8_t *put_element(uint8_t *out, const struct dm_parquet_leaf *e, const char *name, size_t name_n)
{
    bool int96 = e->physical == DM_PARQUET_INT96;
    unsigned last = TYPE;
    out = put_i32(out, TYPE, int96 ? (int64_t)DM_PARQUET_FIXED : e->physical);
    if (int96 || e->length != 0) {
        out = put_i32(out, TYPE_LENGTH - last, int96 ? 12 : e->length);
        last = TYPE_LENGTH;
    }
    if (e->has_repetition) {
        out = put_i32(out, REPETITION - last, e->repetition);
        last = REPETITION;
    }
    if (name != NULL) {
        *out++ = (uint8_t)((NAME - last) << 4 | DM_THRIFT_BINARY);
        out = put_varint(out, name_n);
        memcpy(out, name, name_n);
        out += name_n;
        last = NAME;
    }
    if (e->has_field_id)
        out = put_i32(out, FIELD_ID - last, e->field_id);
    *out++ = DM_THRIFT_STOP;
    return out;
}

/* The name that stands in the element itself, which is not its column's when it is nested. */
static const char *own_name(const uint8_t *footer, const struct dm_parquet_leaf *e, size_t *n)
{
    struct dm_thrift t = {.at = footer + e->begin, .end = footer + e->end};
    const char *name = NULL;
    int64_t id = 0;
    for (unsigned type; (type = dm_thrift_field(&t, &id)) != DM_THRIFT_STOP;)
        if (id == NAME && type == DM_THRIFT_BINARY)
            name = (const char *)dm_thrift_binary(&t, n);
        else
            dm_thrift_skip(&t, type);
    return name;
}

size_t dm_parquet_footer_bare(const uint8_t *footer, size_t n, const struct dm_parquet_schema *schema,
                              uint8_t *out)
{
    size_t from = 0;
    uint8_t *to = out;
    for (size_t i = 0; i < schema->n; i++) {
        const struct dm_parquet_leaf *e = &schema->leaves[i];
        if (!e->bare)
            continue;
        memcpy(to, footer + from, e->begin - from);
        to += e->begin - from;
        size_t name_n = 0;
        const char *name = own_name(footer, e, &name_n);
        to = put_element(to, e, name, name_n);
        from = e->end;
    }
    memcpy(to, footer + from, n - from);
    return (size_t)(to - out) + n - from;
}

/* ---- where the pages are ---- */

/* ColumnMetaData */
static void take_metadata(struct dm_thrift *t, struct dm_parquet_chunk *chunk)
{
    enum { NUM_VALUES = 5, TOTAL_COMPRESSED_SIZE = 7, DATA_PAGE_OFFSET = 9, DICTIONARY_PAGE_OFFSET = 11 };
    int64_t id = 0, dictionary = 0;
    for (unsigned type; (type = dm_thrift_field(t, &id)) != DM_THRIFT_STOP;) {
        int64_t ignored = 0;
        int64_t *to = id == NUM_VALUES               ? &chunk->values
                      : id == TOTAL_COMPRESSED_SIZE  ? &chunk->bytes
                      : id == DATA_PAGE_OFFSET       ? &chunk->offset
                      : id == DICTIONARY_PAGE_OFFSET ? &dictionary
                                                     : &ignored;
        if (type == DM_THRIFT_I64)
            *to = dm_thrift_integer(t);
        else
            dm_thrift_skip(t, type);
    }
    if (dictionary > 0 && dictionary < chunk->offset)
        chunk->offset = dictionary;
}

static struct dm_parquet_chunk take_chunk(struct dm_thrift *t)
{
    enum { FILE_PATH = 1, META_DATA = 3 };
    struct dm_parquet_chunk chunk = {0};
    int64_t id = 0;
    for (unsigned type; (type = dm_thrift_field(t, &id)) != DM_THRIFT_STOP;) {
        chunk.elsewhere |= id == FILE_PATH;
        if (id == META_DATA && type == DM_THRIFT_STRUCT)
            take_metadata(t, &chunk);
        else
            dm_thrift_skip(t, type);
    }
    return chunk;
}

static enum dm_status row_group(struct dm_thrift *t, uint64_t group, dm_parquet_chunk_fn fn, void *ctx,
                                struct dm_error *err)
{
    enum { COLUMNS = 1 };
    int64_t id = 0;
    for (unsigned type; (type = dm_thrift_field(t, &id)) != DM_THRIFT_STOP;) {
        if (id != COLUMNS || type != DM_THRIFT_LIST) {
            dm_thrift_skip(t, type);
            continue;
        }
        unsigned element;
        uint64_t n = dm_thrift_list(t, &element);
        t->bad |= element != DM_THRIFT_STRUCT && n > 0;
        for (uint64_t i = 0; i < n && !t->bad; i++) {
            struct dm_parquet_chunk chunk = take_chunk(t);
            chunk.row_group = group;
            chunk.leaf = i;
            if (!t->bad && fn(ctx, &chunk, err) != DM_OK)
                return DM_FAIL;
        }
    }
    return DM_OK;
}

enum dm_status dm_parquet_footer_chunks(const uint8_t *footer, size_t n, dm_parquet_chunk_fn fn, void *ctx,
                                        struct dm_error *err)
{
    enum { ROW_GROUPS = 4 };
    struct dm_thrift t = {.at = footer, .end = footer + n};
    uint64_t groups = find_list(&t, ROW_GROUPS);
    if (groups == UINT64_MAX)
        return t.bad ? no_footer(err) : DM_OK;
    for (uint64_t i = 0; i < groups && !t.bad; i++)
        if (row_group(&t, i, fn, ctx, err) != DM_OK)
            return DM_FAIL;
    return t.bad ? no_footer(err) : DM_OK;
}
