#include "engine/parquet_pages.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "base/memory.h"
#include "format/parquet_page.h"

enum { WINDOW = 256 << 10, GLANCE = 512, HEADER_MAX = 16 << 20 };

struct walk {
    int fd;
    uint64_t end; /* of the pages in the file */
    const struct dm_parquet_schema *schema;
    uint8_t *bytes; /* of the file, from `at` on */
    size_t n, capacity;
    uint64_t at;
    uint64_t left; /* so many bytes are checked at most: a footer may name the same pages again and again */
};

/* Up to n bytes from `at` on into the window, unless they are there; returns how many of them are. */
static size_t see(struct walk *w, uint64_t at, size_t n)
{
    if (at >= w->at && at + n <= w->at + w->n)
        return n;
    if (n > w->capacity) {
        w->capacity = n;
        w->bytes = dm_xrealloc(w->bytes, n, 1);
    }
    w->at = at;
    w->n = 0;
    while (w->n < n) {
        ssize_t got = pread(w->fd, w->bytes + w->n, n - w->n, (off_t)(at + w->n));
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        w->n += got > 0 ? (size_t)got : 0;
    }
    return w->n;
}

static const uint8_t *seen(const struct walk *w, uint64_t at)
{
    return w->bytes + (at - w->at);
}

/* How many bytes of a chunk that ends at `end` to look at from `at` on. */
static size_t reach(uint64_t at, uint64_t end, size_t wanted)
{
    return end - at < wanted ? (size_t)(end - at) : wanted;
}

/* The header at `at`, however long it is. False: there is none. */
static bool read_header(struct walk *w, uint64_t at, uint64_t end, size_t glance,
                        struct dm_parquet_page *page)
{
    if (at >= w->at && at < w->at + w->n) {
        size_t n = reach(at, end, (size_t)(w->at + w->n - at));
        if (dm_parquet_page_read(page, seen(w, at), n))
            return true;
    }
    for (size_t wanted = glance;; wanted *= 8) {
        size_t n = reach(at, end, wanted < HEADER_MAX ? wanted : HEADER_MAX);
        if (see(w, at, n) < n)
            return false;
        if (dm_parquet_page_read(page, seen(w, at), n))
            return true;
        if (n < wanted || wanted >= HEADER_MAX)
            return false;
    }
}

static bool crc_of(struct walk *w, uint64_t at, uint64_t n, uint32_t *crc)
{
    uLong sum = crc32_z(0, NULL, 0);
    for (uint64_t end = at + n; at < end;) {
        uint64_t there = at >= w->at && at < w->at + w->n ? w->at + w->n - at : WINDOW;
        size_t part = reach(at, end, there < WINDOW ? (size_t)there : WINDOW);
        if (see(w, at, part) < part)
            return false;
        sum = crc32_z(sum, seen(w, at), part);
        at += part;
    }
    *crc = (uint32_t)sum;
    return true;
}

static enum dm_status check_chunk(void *ctx, const struct dm_parquet_chunk *chunk, struct dm_error *err)
{
    struct walk *w = ctx;
    if (chunk->elsewhere || chunk->offset <= 0 || chunk->bytes <= 0 || (uint64_t)chunk->offset > w->end ||
        (uint64_t)chunk->bytes > w->end - (uint64_t)chunk->offset)
        return DM_OK;
    uint64_t at = (uint64_t)chunk->offset, end = at + (uint64_t)chunk->bytes;
    size_t glance = GLANCE;
    struct dm_parquet_page page;
    for (int64_t values = 0; at < end && values < chunk->values; values += page.values) {
        if (!read_header(w, at, end, glance, &page) || page.values < 0 || page.values > chunk->values)
            return DM_OK;
        uint64_t body = at + page.header;
        if ((uint64_t)page.bytes > end - body)
            return DM_OK;
        uint32_t crc;
        if (w->left < (uint64_t)page.bytes)
            return DM_OK;
        w->left -= page.has_crc ? (uint64_t)page.bytes : 0;
        if (page.has_crc && crc_of(w, body, (uint64_t)page.bytes, &crc) && crc != page.crc) {
            const struct dm_parquet_leaf *leaf =
                chunk->leaf < w->schema->n ? &w->schema->leaves[chunk->leaf] : NULL;
            return dm_fail(
                err, DM_ERROR_DATA,
                "the file was damaged after it was written; fetch it again; nothing of it was taken",
                "column %.*s: the checksum of the page at byte %llu is wrong",
                leaf != NULL ? (int)(leaf->name_n < 200 ? leaf->name_n : 200) : 1,
                leaf != NULL ? leaf->name : "?", (unsigned long long)at);
        }
        glance = page.has_crc ? WINDOW : GLANCE;
        at = body + (uint64_t)page.bytes;
    }
    return DM_OK;
}

enum dm_status dm_parquet_pages_check(int fd, uint64_t end, const uint8_t *footer, size_t n,
                                      const struct dm_parquet_schema *schema, struct dm_error *err)
{
    struct walk w = {.fd = fd, .end = end, .schema = schema, .left = end * 2};
    enum dm_status status = dm_parquet_footer_chunks(footer, n, check_chunk, &w, err);
    free(w.bytes);
    return status;
}
