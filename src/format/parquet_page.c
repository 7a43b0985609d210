#include "format/parquet_page.h"

#include "format/thrift_read.h"

/* DataPageHeader, DataPageHeaderV2: num_values is field 1 of both. */
static int64_t take_values(struct dm_thrift *t)
{
    int64_t id = 0, values = 0;
    for (unsigned type; (type = dm_thrift_field(t, &id)) != DM_THRIFT_STOP;) {
        if (id == 1 && type == DM_THRIFT_I32)
            values = dm_thrift_integer(t);
        else
            dm_thrift_skip(t, type);
    }
    return values;
}

bool dm_parquet_page_read(struct dm_parquet_page *p, const uint8_t *bytes, size_t n)
{
    enum { COMPRESSED_PAGE_SIZE = 3, CRC = 4, DATA_PAGE_HEADER = 5, DATA_PAGE_HEADER_V2 = 8 };
    struct dm_thrift t = {.at = bytes, .end = bytes + n};
    *p = (struct dm_parquet_page){.bytes = -1};
    int64_t id = 0;
    for (unsigned type; (type = dm_thrift_field(&t, &id)) != DM_THRIFT_STOP;) {
        if (id == COMPRESSED_PAGE_SIZE && type == DM_THRIFT_I32) {
            p->bytes = dm_thrift_integer(&t);
        } else if (id == CRC && type == DM_THRIFT_I32) {
            p->has_crc = true;
            p->crc = (uint32_t)dm_thrift_integer(&t);
        } else if ((id == DATA_PAGE_HEADER || id == DATA_PAGE_HEADER_V2) && type == DM_THRIFT_STRUCT) {
            p->values = take_values(&t);
        } else {
            dm_thrift_skip(&t, type);
        }
    }
    p->header = (size_t)(t.at - bytes);
    return !t.bad && p->bytes >= 0;
}
