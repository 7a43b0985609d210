#include "format/parquet_footer.h"

#include <string.h>

/* The types of the compact protocol. */
enum {
    T_STOP = 0,
    T_TRUE = 1,
    T_FALSE = 2,
    T_BYTE = 3,
    T_I16 = 4,
    T_I32 = 5,
    T_I64 = 6,
    T_DOUBLE = 7,
    T_BINARY = 8,
    T_LIST = 9,
    T_SET = 10,
    T_MAP = 11,
    T_STRUCT = 12,
    T_UUID = 13,
};

enum { DEPTH_MAX = 64, INT96 = 3, FIXED_LEN_BYTE_ARRAY = 7 };

/* What is left; `bad` stays set once something did not fit. */
struct thrift {
    const uint8_t *at, *end;
    bool bad;
};

static uint8_t take_byte(struct thrift *t)
{
    if (t->at == t->end) {
        t->bad = true;
        return 0;
    }
    return *t->at++;
}

static uint64_t take_varint(struct thrift *t)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = take_byte(t);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    t->bad = true;
    return 0;
}

static int64_t take_integer(struct thrift *t)
{
    uint64_t v = take_varint(t);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static void pass(struct thrift *t, uint64_t n)
{
    if (n > (uint64_t)(t->end - t->at))
        t->bad = true;
    else
        t->at += n;
}

/* The next field of a struct: its type, and its number in *id (that of the field before, or 0, when called). */
static unsigned take_field(struct thrift *t, int64_t *id)
{
    uint8_t b = take_byte(t);
    unsigned type = b & 0x0f;
    if (t->bad || type == T_STOP)
        return T_STOP;
    if (b >> 4 != 0)
        *id += b >> 4;
    else
        *id = take_integer(t);
    return t->bad ? (unsigned)T_STOP : type;
}

static uint64_t take_list(struct thrift *t, unsigned *element)
{
    uint8_t b = take_byte(t);
    *element = b & 0x0f;
    return b >> 4 == 15 ? take_varint(t) : b >> 4;
}

static void skip(struct thrift *t, unsigned type, unsigned depth);

static void skip_struct(struct thrift *t, unsigned depth)
{
    int64_t id = 0;
    for (unsigned type; (type = take_field(t, &id)) != T_STOP && !t->bad;)
        skip(t, type, depth);
}

/* An element of a collection: there a bool is a byte. */
static void skip_element(struct thrift *t, unsigned type, unsigned depth)
{
    if (type == T_TRUE || type == T_FALSE)
        pass(t, 1);
    else
        skip(t, type, depth);
}

static void skip_map(struct thrift *t, unsigned depth)
{
    uint64_t n = take_varint(t);
    unsigned types = n > 0 ? take_byte(t) : 0;
    for (uint64_t i = 0; i < n && !t->bad; i++) {
        skip_element(t, types >> 4, depth);
        skip_element(t, types & 0x0f, depth);
    }
}

static void skip(struct thrift *t, unsigned type, unsigned depth)
{
    if (depth == DEPTH_MAX)
        t->bad = true;
    if (t->bad)
        return;
    unsigned element;
    switch (type) {
    case T_TRUE:
    case T_FALSE: return; /* the header was all */
    case T_BYTE: pass(t, 1); return;
    case T_I16:
    case T_I32:
    case T_I64: (void)take_varint(t); return;
    case T_DOUBLE: pass(t, 8); return;
    case T_UUID: pass(t, 16); return;
    case T_BINARY: pass(t, take_varint(t)); return;
    case T_LIST:
    case T_SET:
        for (uint64_t i = 0, n = take_list(t, &element); i < n && !t->bad; i++)
            skip_element(t, element, depth + 1);
        return;
    case T_MAP: skip_map(t, depth + 1); return;
    case T_STRUCT: skip_struct(t, depth + 1); return;
    default: t->bad = true;
    }
}

/* Behind the header of a union: is its member that of this number? */
static bool take_unit(struct thrift *t, int64_t member)
{
    int64_t id = 0;
    bool is = false;
    for (unsigned type; (type = take_field(t, &id)) != T_STOP;) {
        is |= id == member;
        skip(t, type, 0);
    }
    return is;
}

/* Where the flag of a TIMESTAMP(true, NANOS) is; NULL: it is another type. */
static const uint8_t *take_logical_type(struct thrift *t)
{
    enum { TIMESTAMP = 8, ADJUSTED = 1, UNIT = 2, NANOS = 3 };
    const uint8_t *found = NULL;
    int64_t id = 0;
    for (unsigned type; (type = take_field(t, &id)) != T_STOP;) {
        if (id != TIMESTAMP || type != T_STRUCT) {
            skip(t, type, 0);
            continue;
        }
        const uint8_t *flag = NULL;
        bool nanos = false;
        int64_t member = 0;
        const uint8_t *header = t->at;
        for (unsigned kind; (kind = take_field(t, &member)) != T_STOP; header = t->at) {
            if (member == ADJUSTED) /* of two the last is taken */
                flag = kind == T_TRUE ? header : NULL;
            if (member == UNIT && kind == T_STRUCT)
                nanos = take_unit(t, NANOS);
            else
                skip(t, kind, 0);
        }
        found = nanos ? flag : NULL;
    }
    return found;
}

struct element {
    const char *name;
    size_t name_n;
    int64_t type; /* physical; -1: a group */
    int64_t children;
    bool annotated;
    const uint8_t *type_at, *flag, *end;
};

static void take_element(struct thrift *t, struct element *e)
{
    enum { TYPE = 1, NAME = 4, CHILDREN = 5, CONVERTED_TYPE = 6, LOGICAL_TYPE = 10 };
    *e = (struct element){.type = -1};
    int64_t id = 0;
    for (unsigned type; (type = take_field(t, &id)) != T_STOP;) {
        e->annotated |= id == CONVERTED_TYPE || id == LOGICAL_TYPE;
        if (id == TYPE && type == T_I32) {
            e->type_at = t->at;
            e->type = take_integer(t);
        } else if (id == CHILDREN && type == T_I32) {
            e->children = take_integer(t);
        } else if (id == NAME && type == T_BINARY) {
            uint64_t n = take_varint(t);
            e->name = (const char *)t->at;
            pass(t, n);
            e->name_n = t->bad ? 0 : (size_t)n;
        } else if (id == LOGICAL_TYPE && type == T_STRUCT) {
            e->flag = take_logical_type(t);
        } else {
            skip(t, type, 0);
        }
    }
    e->end = t->bad ? NULL : t->at - 1;
    if (e->children < 0 || e->children > UINT32_MAX)
        t->bad = true;
}

static enum dm_status no_footer(struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_DATA,
                   "is the file cut off? write or fetch it again; nothing of it was taken",
                   "the Parquet footer is damaged");
}

/* The elements of the schema, of which n are said to be there. */
static enum dm_status walk(struct thrift *t, const uint8_t *footer, uint64_t n, dm_parquet_moment_fn fn,
                           void *ctx, struct dm_error *err)
{
    struct element e;
    struct dm_parquet_moment m = {0};
    uint64_t open = 0;   /* elements below the present column that are still to come */
    bool single = true;  /* the present column has one leaf, as far as is known */
    take_element(t, &e); /* the root */
    for (uint64_t i = 1; i < n && !t->bad; i++) {
        take_element(t, &e);
        if (t->bad)
            break;
        if (open == 0) {
            m.column += m.name != NULL;
            m.name = e.name != NULL ? e.name : "";
            m.name_n = e.name_n;
            single = true;
        } else {
            open--;
        }
        open += (uint64_t)e.children;
        single &= e.children <= 1;
        m.int96 = e.type == INT96 && e.children == 0;
        m.raw = m.int96 && single && !e.annotated;
        const uint8_t *at = m.int96 ? e.type_at : e.flag;
        m.at = at != NULL ? (size_t)(at - footer) : 0;
        m.end = m.int96 ? (size_t)(e.end - footer) : 0;
        if (at != NULL && fn(ctx, &m, err) != DM_OK)
            return DM_FAIL;
    }
    return t->bad ? no_footer(err) : DM_OK;
}

enum dm_status dm_parquet_footer_moments(const uint8_t *footer, size_t n, dm_parquet_moment_fn fn, void *ctx,
                                         struct dm_error *err)
{
    enum { SCHEMA = 2 };
    struct thrift t = {.at = footer, .end = footer + n};
    int64_t id = 0;
    for (unsigned type; (type = take_field(&t, &id)) != T_STOP;) {
        unsigned element;
        if (id == SCHEMA && type == T_LIST) {
            uint64_t count = take_list(&t, &element);
            return element == T_STRUCT && count > 0 ? walk(&t, footer, count, fn, ctx, err) : no_footer(err);
        }
        skip(&t, type, 0);
    }
    return no_footer(err);
}

size_t dm_parquet_footer_exact(const uint8_t *footer, size_t n, const struct dm_parquet_moment *moments,
                               size_t n_moments, uint8_t *out)
{
    /* type_length, field 2: 12. Fields may come in any order; behind the others, with its number written out, it leaves theirs as they are,
     * for they count from the field before. Of two the last is taken. */
    static const uint8_t length[DM_PARQUET_MOMENT_GROWTH] = {T_I32, 2 << 1, 12 << 1};
    size_t from = 0, to = 0;
    for (size_t i = 0; i < n_moments; i++) {
        const struct dm_parquet_moment *m = &moments[i];
        size_t end = m->int96 ? m->end : m->at + 1;
        memcpy(out + to, footer + from, end - from);
        uint8_t *changed = out + to + (m->at - from);
        to += end - from;
        from = end;
        if (m->int96) {
            *changed =
                (uint8_t)((*changed & 0x80) | FIXED_LEN_BYTE_ARRAY << 1); /* whatever the varint's length */
            memcpy(out + to, length, sizeof length);
            to += sizeof length;
        } else {
            *changed = (uint8_t)((*changed & 0xf0) | T_FALSE);
        }
    }
    memcpy(out + to, footer + from, n - from);
    return to + n - from;
}
