#include "format/thrift_read.h"

enum { DEPTH_MAX = 64 };

static uint8_t take_byte(struct dm_thrift *t)
{
    if (t->bad || t->at == t->end) {
        t->bad = true;
        return 0;
    }
    return *t->at++;
}

uint64_t dm_thrift_varint(struct dm_thrift *t)
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

int64_t dm_thrift_integer(struct dm_thrift *t)
{
    uint64_t v = dm_thrift_varint(t);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static void pass(struct dm_thrift *t, uint64_t n)
{
    if (n > (uint64_t)(t->end - t->at))
        t->bad = true;
    else
        t->at += n;
}

const uint8_t *dm_thrift_binary(struct dm_thrift *t, size_t *n)
{
    uint64_t length = dm_thrift_varint(t);
    const uint8_t *bytes = t->at;
    pass(t, length);
    *n = t->bad ? 0 : (size_t)length;
    return bytes;
}

unsigned dm_thrift_field(struct dm_thrift *t, int64_t *id)
{
    uint8_t b = take_byte(t);
    unsigned type = b & 0x0f;
    if (t->bad || type == DM_THRIFT_STOP)
        return DM_THRIFT_STOP;
    if (b >> 4 != 0)
        *id = (int64_t)((uint64_t)*id + (b >> 4));
    else
        *id = dm_thrift_integer(t);
    return t->bad ? (unsigned)DM_THRIFT_STOP : type;
}

uint64_t dm_thrift_list(struct dm_thrift *t, unsigned *element)
{
    uint8_t b = take_byte(t);
    *element = b & 0x0f;
    return b >> 4 == 15 ? dm_thrift_varint(t) : b >> 4;
}

static void skip(struct dm_thrift *t, unsigned type, unsigned depth);

static void skip_struct(struct dm_thrift *t, unsigned depth)
{
    int64_t id = 0;
    for (unsigned type; (type = dm_thrift_field(t, &id)) != DM_THRIFT_STOP && !t->bad;)
        skip(t, type, depth);
}

/* An element of a collection: there a bool is a byte. */
static void skip_element(struct dm_thrift *t, unsigned type, unsigned depth)
{
    if (type == DM_THRIFT_TRUE || type == DM_THRIFT_FALSE)
        pass(t, 1);
    else
        skip(t, type, depth);
}

static void skip_map(struct dm_thrift *t, unsigned depth)
{
    uint64_t n = dm_thrift_varint(t);
    unsigned types = n > 0 ? take_byte(t) : 0;
    for (uint64_t i = 0; i < n && !t->bad; i++) {
        skip_element(t, types >> 4, depth);
        skip_element(t, types & 0x0f, depth);
    }
}

static void skip(struct dm_thrift *t, unsigned type, unsigned depth)
{
    if (depth == DEPTH_MAX)
        t->bad = true;
    if (t->bad)
        return;
    unsigned element;
    switch (type) {
    case DM_THRIFT_TRUE:
    case DM_THRIFT_FALSE: return; /* the header was all */
    case DM_THRIFT_BYTE: pass(t, 1); return;
    case DM_THRIFT_I16:
    case DM_THRIFT_I32:
    case DM_THRIFT_I64: (void)dm_thrift_varint(t); return;
    case DM_THRIFT_DOUBLE: pass(t, 8); return;
    case DM_THRIFT_UUID: pass(t, 16); return;
    case DM_THRIFT_BINARY: pass(t, dm_thrift_varint(t)); return;
    case DM_THRIFT_LIST:
    case DM_THRIFT_SET:
        for (uint64_t i = 0, n = dm_thrift_list(t, &element); i < n && !t->bad; i++)
            skip_element(t, element, depth + 1);
        return;
    case DM_THRIFT_MAP: skip_map(t, depth + 1); return;
    case DM_THRIFT_STRUCT: skip_struct(t, depth + 1); return;
    default: t->bad = true;
    }
}

void dm_thrift_skip(struct dm_thrift *t, unsigned type)
{
    skip(t, type, 0);
}
