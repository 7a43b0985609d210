/* Any bytes as a Parquet footer: what is found lies inside it, says what it should, and is not found in the footer that is made of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/parquet_footer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct footer {
    const uint8_t *bytes;
    size_t n;
    volatile uint8_t last; /* so that names are read */
    struct dm_parquet_moment *moments;
    size_t n_moments, n_others; /* that may be changed; that may not */
};

static enum dm_status take(void *ctx, const struct dm_parquet_moment *m, struct dm_error *err)
{
    struct footer *f = ctx;
    (void)err;
    if (m->at >= f->n || (m->int96 ? (f->bytes[m->at] & 0x7f) != 6 : (f->bytes[m->at] & 0x0f) != 1))
        abort();
    if (m->int96 && (m->end <= m->at || m->end >= f->n || (f->bytes[m->end] & 0x0f) != 0))
        abort();
    if (m->column > f->n)
        abort();
    for (size_t i = 0; i < m->name_n; i++)
        f->last = (uint8_t)m->name[i];
    if (m->int96 && !m->raw) {
        f->n_others++;
        return DM_OK;
    }
    f->moments = realloc(f->moments, (f->n_moments + 1) * sizeof *f->moments);
    if (f->moments == NULL)
        abort();
    f->moments[f->n_moments++] = *m;
    return DM_OK;
}

static void check_exact(const struct footer *f)
{
    struct dm_error err = {0};
    uint8_t *out = malloc(f->n + f->n_moments * DM_PARQUET_MOMENT_GROWTH);
    if (out == NULL)
        abort();
    struct footer exact = {.bytes = out};
    exact.n = dm_parquet_footer_exact(f->bytes, f->n, f->moments, f->n_moments, out);
    if (dm_parquet_footer_moments(out, exact.n, take, &exact, &err) != DM_OK || exact.n_moments != 0 ||
        exact.n_others != f->n_others)
        abort();
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dm_error err = {0};
    struct footer f = {.bytes = data, .n = size};
    enum dm_status status = dm_parquet_footer_moments(data, size, take, &f, &err);
    if (status == DM_FAIL && err.class != DM_ERROR_DATA)
        abort();
    if (status == DM_OK && size > 0)
        check_exact(&f);
    free(f.moments);
    return 0;
}
