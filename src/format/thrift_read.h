/* thrift_read.h — bytes of Thrift's compact protocol, forwards only. Bytes only, no I/O, no allocation; thread safe.
 *
 * Whatever the bytes are, nothing behind `end` is read, and once something did not fit `bad` stays set: what is returned then is zero or STOP,
 * so that a loop over fields or elements ends by itself, and asking once at the end is enough.
 * Source: the Thrift compact protocol specification.
 *
 *     struct dm_thrift t = {.at = bytes, .end = bytes + n};
 *     int64_t id = 0;
 *     for (unsigned type; (type = dm_thrift_field(&t, &id)) != DM_THRIFT_STOP;)
 *         if (id == 4 && type == DM_THRIFT_I32) crc = dm_thrift_integer(&t);
 *         else dm_thrift_skip(&t, type);
 *     if (t.bad) …
 */
#ifndef DM_FORMAT_THRIFT_READ_H
#define DM_FORMAT_THRIFT_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DM_THRIFT_STOP = 0,
    DM_THRIFT_TRUE = 1,
    DM_THRIFT_FALSE = 2,
    DM_THRIFT_BYTE = 3,
    DM_THRIFT_I16 = 4,
    DM_THRIFT_I32 = 5,
    DM_THRIFT_I64 = 6,
    DM_THRIFT_DOUBLE = 7,
    DM_THRIFT_BINARY = 8,
    DM_THRIFT_LIST = 9,
    DM_THRIFT_SET = 10,
    DM_THRIFT_MAP = 11,
    DM_THRIFT_STRUCT = 12,
    DM_THRIFT_UUID = 13,
};

struct dm_thrift {
    const uint8_t *at, *end;
    bool bad;
};

uint64_t dm_thrift_varint(struct dm_thrift *t);
/* I16, I32, I64. */
int64_t dm_thrift_integer(struct dm_thrift *t);
/* BINARY: borrowed from the bytes. */
const uint8_t *dm_thrift_binary(struct dm_thrift *t, size_t *n);
/* The next field of a struct: its type, and its number in *id (that of the field before, or 0, when called). A bool's value is its type. */
unsigned dm_thrift_field(struct dm_thrift *t, int64_t *id);
/* LIST, SET: how many elements follow, and of which type. */
uint64_t dm_thrift_list(struct dm_thrift *t, unsigned *element);
void dm_thrift_skip(struct dm_thrift *t, unsigned type);

#endif
