#include "engine/change_parquet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "engine/parquet_pages.h"

enum {
    TAIL = 8,
    FOOTER_MAX = 256 << 20
}; /* a file ends in its footer, the footer's length (LE32) and "PAR1" */

static enum dm_status failed(const char *what, const char *path, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_TRANSIENT, "is there room for a copy of the file?", "cannot %s %s: %s", what,
                   path, strerror(errno));
}

static bool read_at(int fd, void *out, size_t n, uint64_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, (uint8_t *)out + done, n - done, (off_t)(at + done));
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return false;
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static bool write_at(int fd, const void *bytes, size_t n, uint64_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(fd, (const uint8_t *)bytes + done, n - done, (off_t)(at + done));
        if (put < 0 && errno != EINTR)
            return false;
        done += put > 0 ? (size_t)put : 0;
    }
    return true;
}

/* The whole file; sharing its blocks where the file system can. */
static bool copy(int from, int to, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        off_t in = (off_t)done, out = (off_t)done;
        size_t n = size - done < (1u << 30) ? (size_t)(size - done) : 1u << 30;
        ssize_t got = copy_file_range(from, &in, to, &out, n, 0);
        if (got < 0) {
            in = (off_t)done;
            if (lseek(to, (off_t)done, SEEK_SET) < 0)
                return false;
            got = sendfile(to, from, &in, n);
        }
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return false;
        done += got > 0 ? (uint64_t)got : 0;
    }
    return true;
}

/* A file without a name, which goes with its last descriptor, even when we are killed. */
static int open_unnamed(const char *folder)
{
    char *name = dm_xasprintf("%s/datamirror-XXXXXX", folder != NULL ? folder : "/tmp");
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    free(name);
    return fd;
}

/* The footer of n bytes, as it is to be read, and what stands behind it: over the one that is there. */
static bool write_footer(const struct dm_change_parquet *p, const struct dm_parquet_schema *schema,
                         const uint8_t *footer, size_t n, uint64_t at)
{
    uint8_t *out = dm_xalloc(n + schema->n * DM_PARQUET_BARE_GROWTH + TAIL);
    n = dm_parquet_footer_bare(footer, n, schema, out);
    dm_put_le32(out + n, (uint32_t)n);
    memcpy(out + n + 4, "PAR1", 4);
    bool written = write_at(p->fd, out, n + TAIL, at) && ftruncate(p->fd, (off_t)(at + n + TAIL)) == 0;
    free(out);
    return written;
}

static enum dm_status make_copy(struct dm_change_parquet *p, const struct dm_parquet_schema *schema, int from,
                                uint64_t size, const uint8_t *footer, size_t n, const char *temp_folder,
                                struct dm_error *err)
{
    p->fd = open_unnamed(temp_folder);
    if (p->fd < 0)
        return failed("make a temporary file for", p->path, err);
    if (!copy(from, p->fd, size))
        return failed("copy", p->path, err);
    if (!write_footer(p, schema, footer, n, size - TAIL - n))
        return failed("write the copy of", p->path, err);
    free(p->path);
    p->path = dm_xasprintf("/proc/self/fd/%d", p->fd);
    return DM_OK;
}

/* Returns whether any is. */
static bool choose_bare(struct dm_change_parquet *p, struct dm_parquet_schema *schema, bool everything)
{
    bool any = false;
    p->leaves = dm_xzalloc(schema->n, sizeof *p->leaves);
    for (; p->n < schema->n; p->n++) {
        struct dm_parquet_leaf *leaf = &schema->leaves[p->n];
        leaf->bare = everything ? dm_parquet_leaf_annotated(leaf) : !dm_parquet_leaf_exact(leaf);
        any |= leaf->bare;
        p->leaves[p->n] = dm_parquet_leaf_meaning(leaf);
    }
    return any;
}

static enum dm_status use_footer(struct dm_change_parquet *p, int fd, uint64_t size, const uint8_t *footer,
                                 size_t n, const char *temp_folder, bool everything, struct dm_error *err)
{
    struct dm_parquet_schema schema;
    if (dm_parquet_schema_read(&schema, footer, n, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = everything ? DM_OK /* they were checked the first time */
                                       : dm_parquet_pages_check(fd, size - TAIL - n, footer, n, &schema, err);
    if (status == DM_OK && choose_bare(p, &schema, everything))
        status = make_copy(p, &schema, fd, size, footer, n, temp_folder, err);
    dm_parquet_schema_release(&schema);
    return status;
}

/* What is no Parquet file after all, DuckDB refuses with better words. */
static enum dm_status look(struct dm_change_parquet *p, int fd, const char *temp_folder, bool everything,
                           struct dm_error *err)
{
    struct stat st;
    uint8_t tail[TAIL];
    if (fstat(fd, &st) != 0 || st.st_size < 2 * TAIL ||
        !read_at(fd, tail, TAIL, (uint64_t)st.st_size - TAIL) || memcmp(tail + 4, "PAR1", 4) != 0)
        return DM_OK;
    uint64_t size = (uint64_t)st.st_size, n = dm_get_le32(tail);
    if (n == 0 || n > FOOTER_MAX || n > size - TAIL)
        return DM_OK;
    uint8_t *footer = dm_xalloc(n);
    enum dm_status status = DM_OK;
    if (read_at(fd, footer, n, size - TAIL - n))
        status = use_footer(p, fd, size, footer, n, temp_folder, everything, err);
    free(footer);
    return status;
}

enum dm_status dm_change_parquet_init(struct dm_change_parquet *p, const char *path, const char *temp_folder,
                                      bool everything, struct dm_error *err)
{
    *p = (struct dm_change_parquet){.path = dm_xstrdup(path), .fd = -1};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum dm_status status =
        fd >= 0 ? look(p, fd, temp_folder, everything, err) : DM_OK; /* DuckDB says why not */
    if (fd >= 0)
        close(fd);
    if (status != DM_OK)
        dm_change_parquet_release(p);
    return status;
}

void dm_change_parquet_release(struct dm_change_parquet *p)
{
    if (p->fd >= 0)
        close(p->fd);
    free(p->path);
    free(p->leaves);
    *p = (struct dm_change_parquet){.fd = -1};
}

/* The leaves of a type stand in the order of those of the file. */
static bool give_meaning(const struct dm_change_parquet *p, size_t column, struct dm_value_type *type,
                         size_t *leaf)
{
    bool known = true;
    for (size_t i = 0; i < type->n; i++)
        known &= give_meaning(p, column, &type->children[i], leaf);
    if (type->n != 0)
        return known;
    if (*leaf >= p->n || p->leaves[*leaf].column != column)
        return false;
    const struct dm_parquet_meaning *m = &p->leaves[(*leaf)++];
    type->meaning = m->meaning;
    type->per_second = m->per_second;
    type->zoned = m->zoned;
    if (m->meaning == DM_MEANS_DECIMAL)
        type->scale = (unsigned)m->scale;
    return !m->unknown;
}

/* Do the bits that DuckDB gives have the form that the meaning is for? */
static bool formed(const struct dm_value_type *t)
{
    bool good = true;
    for (size_t i = 0; i < t->n; i++)
        good &= formed(&t->children[i]);
    bool integer = t->id == DUCKDB_TYPE_INTEGER || t->id == DUCKDB_TYPE_BIGINT;
    switch (t->meaning) {
    case DM_MEANS_ITSELF:
    case DM_MEANS_NULL: return good;
    case DM_MEANS_UNSIGNED:
    case DM_MEANS_TIME: return integer;
    case DM_MEANS_DATE: return t->id == DUCKDB_TYPE_INTEGER;
    case DM_MEANS_MOMENT: return t->id == DUCKDB_TYPE_BIGINT || t->id == DUCKDB_TYPE_TIMESTAMP_NS;
    case DM_MEANS_DECIMAL: return integer || t->id == DUCKDB_TYPE_BLOB;
    default: return t->id == DUCKDB_TYPE_BLOB;
    }
}

bool dm_change_parquet_type(const struct dm_change_parquet *p, size_t column, struct dm_value_type *type)
{
    if (p->n == 0) /* the footer was not read: DuckDB's words hold */
        return true;
    size_t first = 0;
    while (first < p->n && p->leaves[first].column < column)
        first++;
    size_t leaf = first;
    bool known = give_meaning(p, column, type, &leaf);
    return known && formed(type) && (leaf == p->n || p->leaves[leaf].column != column);
}
