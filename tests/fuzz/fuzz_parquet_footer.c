/* Any bytes as a Parquet footer: what is found lies inside it, and says what it should. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/parquet_footer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct footer {
    const uint8_t *bytes;
    size_t n;
    volatile uint8_t last; /* so that names are read */
};

static enum dm_status take(void *ctx, const struct dm_parquet_moment *m, struct dm_error *err)
{
    struct footer *f = ctx;
    (void)err;
    if (!m->int96 && (m->at >= f->n || (f->bytes[m->at] & 0x0f) != 1))
        abort();
    if (m->column > f->n)
        abort();
    for (size_t i = 0; i < m->name_n; i++)
        f->last = (uint8_t)m->name[i];
    return DM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dm_error err = {0};
    struct footer f = {.bytes = data, .n = size};
    if (dm_parquet_footer_moments(data, size, take, &f, &err) == DM_FAIL && err.class != DM_ERROR_DATA)
        abort();
    return 0;
}
