/* Any bytes as a Parquet footer: the leaves lie inside it, and the footer made without their annotations has the same leaves, bare, in the same columns, and
 * the same chunks. The same bytes as a page header, which is never longer than they are. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/parquet_footer.h"
#include "format/parquet_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good)
        abort();
}

struct chunks {
    uint64_t n, sum;
};

static enum dm_status take_chunk(void *ctx, const struct dm_parquet_chunk *chunk, struct dm_error *err)
{
    struct chunks *c = ctx;
    (void)err;
    c->n++;
    c->sum = c->sum * 31 + (uint64_t)chunk->offset + (uint64_t)chunk->bytes * 7 + (uint64_t)chunk->values +
             chunk->leaf;
    return DM_OK;
}

static enum dm_status chunks_of(const uint8_t *footer, size_t n, struct chunks *out)
{
    struct dm_error err = {0};
    *out = (struct chunks){0};
    enum dm_status status = dm_parquet_footer_chunks(footer, n, take_chunk, out, &err);
    require(status == DM_OK || err.class == DM_ERROR_DATA);
    return status;
}

static void check_leaf(const struct dm_parquet_leaf *leaf, size_t n, size_t n_columns)
{
    static volatile char last; /* so that names are read */
    require(leaf->begin < leaf->end && leaf->end <= n && leaf->column < n_columns);
    for (size_t i = 0; i < leaf->name_n; i++)
        last = leaf->name[i];
    (void)last;
}

static void check_bare(const uint8_t *footer, size_t n, struct dm_parquet_schema *s)
{
    struct dm_error err = {0};
    for (size_t i = 0; i < s->n; i++) {
        check_leaf(&s->leaves[i], n, s->n_columns);
        s->leaves[i].bare = i % 3 != 2;
    }
    uint8_t *out = malloc(n + s->n * DM_PARQUET_BARE_GROWTH);
    require(out != NULL);
    size_t n_out = dm_parquet_footer_bare(footer, n, s, out);
    require(n_out <= n + s->n * DM_PARQUET_BARE_GROWTH);
    struct dm_parquet_schema bare;
    require(dm_parquet_schema_read(&bare, out, n_out, &err) == DM_OK);
    require(bare.n == s->n && bare.n_columns == s->n_columns);
    for (size_t i = 0; i < s->n; i++) {
        const struct dm_parquet_leaf *a = &s->leaves[i], *b = &bare.leaves[i];
        require(a->column == b->column && a->name_n == b->name_n && memcmp(a->name, b->name, a->name_n) == 0);
        bool int96 = a->physical == DM_PARQUET_INT96 && a->bare;
        require(int96 ? b->physical == DM_PARQUET_FIXED && b->length == 12 : b->physical == a->physical);
        require(b->logical == (a->bare ? DM_PARQUET_NONE : a->logical) && b->repetition == a->repetition);
    }
    struct chunks before, after;
    enum dm_status status = chunks_of(footer, n, &before);
    require(chunks_of(out, n_out, &after) == status && before.n == after.n && before.sum == after.sum);
    dm_parquet_schema_release(&bare);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dm_error err = {0};
    struct dm_parquet_schema s;
    struct dm_parquet_page page;
    struct chunks chunks;
    if (dm_parquet_schema_read(&s, data, size, &err) == DM_OK) {
        check_bare(data, size, &s);
        dm_parquet_schema_release(&s);
    } else {
        require(err.class == DM_ERROR_DATA);
        (void)chunks_of(data, size, &chunks);
    }
    if (dm_parquet_page_read(&page, data, size))
        require(page.header > 0 && page.header <= size && page.bytes >= 0);
    return 0;
}
