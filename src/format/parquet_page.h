/* parquet_page.h — the header of a page of a Parquet file. Bytes only, no I/O, no allocation; thread safe.
 *
 * The pages of a chunk stand one behind the other: a Thrift struct PageHeader, then as many bytes as it says. Its optional CRC (CRC-32, as zlib
 * computes it) is that of those bytes as they are in the file.
 * Source: parquet-format, parquet.thrift (PageHeader).
 */
#ifndef DM_FORMAT_PARQUET_PAGE_H
#define DM_FORMAT_PARQUET_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dm_parquet_page {
    size_t header;  /* bytes of the header itself */
    int64_t bytes;  /* of what follows it */
    int64_t values; /* of a data page, nulls included; 0: it is none */
    bool has_crc;
    uint32_t crc;
};

/* False: the n bytes do not begin with a whole page header. */
bool dm_parquet_page_read(struct dm_parquet_page *p, const uint8_t *bytes, size_t n);

#endif
