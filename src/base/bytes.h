/* bytes.h — integers in and out of byte order, unaligned. `be` is network order (PostgreSQL, index keys),
 * `le` is little endian (Avro floats, Puffin, Iceberg single values). No bounds are checked here. */
#ifndef DM_BASE_BYTES_H
#define DM_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define DM_BYTES_GET(name, type, conv) \
    static inline type name(const void *p) \
    { \
        type v; \
        memcpy(&v, p, sizeof v); \
        return conv(v); \
    }
#define DM_BYTES_PUT(name, type, conv) \
    static inline void name(void *p, type v) \
    { \
        v = conv(v); \
        memcpy(p, &v, sizeof v); \
    }

DM_BYTES_GET(dm_get_be16, uint16_t, be16toh)
DM_BYTES_GET(dm_get_be32, uint32_t, be32toh)
DM_BYTES_GET(dm_get_be64, uint64_t, be64toh)
DM_BYTES_GET(dm_get_le16, uint16_t, le16toh)
DM_BYTES_GET(dm_get_le32, uint32_t, le32toh)
DM_BYTES_GET(dm_get_le64, uint64_t, le64toh)
DM_BYTES_PUT(dm_put_be16, uint16_t, htobe16)
DM_BYTES_PUT(dm_put_be32, uint32_t, htobe32)
DM_BYTES_PUT(dm_put_be64, uint64_t, htobe64)
DM_BYTES_PUT(dm_put_le16, uint16_t, htole16)
DM_BYTES_PUT(dm_put_le32, uint32_t, htole32)
DM_BYTES_PUT(dm_put_le64, uint64_t, htole64)

#undef DM_BYTES_GET
#undef DM_BYTES_PUT

#endif
