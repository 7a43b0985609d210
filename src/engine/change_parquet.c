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
#include "format/parquet_footer.h"

enum {
    TAIL = 8,
    FOOTER_MAX = 256 << 20
}; /* a file ends in its footer, the footer's length (LE32) and "PAR1" */

struct search {
    struct dm_change_parquet *p;
    const struct dm_schema *schema;
    struct dm_change_notes *notes;
    struct dm_parquet_moment *moments; /* to be read in another way than the footer says */
    size_t n_moments;
};

static enum dm_status take_moment(void *ctx, const struct dm_parquet_moment *m, struct dm_error *err)
{
    struct search *s = ctx;
    struct dm_change_parquet *p = s->p;
    enum dm_change_control control;
    (void)err;
    if (dm_change_column(s->schema, m->name, m->name_n, &control) < 0)
        return DM_OK;
    if (m->int96 && !m->raw) {
        dm_change_note(
            s->notes,
            "column %.*s has INT96 inside, which is read to the microsecond; finer digits, if there "
            "are any, are lost (write it as TIMESTAMP)",
            (int)(m->name_n < 100 ? m->name_n : 100), m->name);
        return DM_OK;
    }
    if (m->column >= p->n) {
        p->readings = dm_xrealloc(p->readings, m->column + 1, sizeof *p->readings);
        for (; p->n <= m->column; p->n++)
            p->readings[p->n] = DM_PARQUET_PLAIN;
    }
    p->readings[m->column] = m->int96 ? DM_PARQUET_INT96 : DM_PARQUET_ZONED;
    s->moments = dm_xrealloc(s->moments, s->n_moments + 1, sizeof *s->moments);
    s->moments[s->n_moments++] = *m;
    return DM_OK;
}

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

/* The footer of n bytes, as it is to be read, and what stands behind it: over the one that is there, which is no longer. */
static bool write_footer(const struct search *s, const uint8_t *footer, size_t n, uint64_t at)
{
    uint8_t *out = dm_xalloc(n + s->n_moments * DM_PARQUET_MOMENT_GROWTH + TAIL);
    n = dm_parquet_footer_exact(footer, n, s->moments, s->n_moments, out);
    dm_put_le32(out + n, (uint32_t)n);
    memcpy(out + n + 4, "PAR1", 4);
    bool written = write_at(s->p->fd, out, n + TAIL, at);
    free(out);
    return written;
}

static enum dm_status make_copy(const struct search *s, int from, uint64_t size, const uint8_t *footer,
                                size_t n, const char *temp_folder, struct dm_error *err)
{
    struct dm_change_parquet *p = s->p;
    p->fd = open_unnamed(temp_folder);
    if (p->fd < 0)
        return failed("make a temporary file for", p->path, err);
    if (!copy(from, p->fd, size))
        return failed("copy", p->path, err);
    if (!write_footer(s, footer, n, size - TAIL - n))
        return failed("write the copy of", p->path, err);
    free(p->path);
    p->path = dm_xasprintf("/proc/self/fd/%d", p->fd);
    return DM_OK;
}

/* What is no Parquet file after all, DuckDB refuses with better words. */
static enum dm_status look(struct search *s, int fd, const char *temp_folder, struct dm_error *err)
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
    if (read_at(fd, footer, n, size - TAIL - n)) {
        status = dm_parquet_footer_moments(footer, n, take_moment, s, err);
        if (status == DM_OK && s->n_moments > 0)
            status = make_copy(s, fd, size, footer, n, temp_folder, err);
    }
    free(footer);
    return status;
}

enum dm_status dm_change_parquet_init(struct dm_change_parquet *p, const char *path, const char *temp_folder,
                                      const struct dm_schema *schema, struct dm_change_notes *notes,
                                      struct dm_error *err)
{
    *p = (struct dm_change_parquet){.path = dm_xstrdup(path), .fd = -1};
    struct search s = {.p = p, .schema = schema, .notes = notes};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum dm_status status = fd >= 0 ? look(&s, fd, temp_folder, err) : DM_OK; /* DuckDB says why not */
    if (fd >= 0)
        close(fd);
    free(s.moments);
    if (status != DM_OK)
        dm_change_parquet_release(p);
    return status;
}

void dm_change_parquet_release(struct dm_change_parquet *p)
{
    if (p->fd >= 0)
        close(p->fd);
    free(p->path);
    free(p->readings);
    *p = (struct dm_change_parquet){.fd = -1};
}
