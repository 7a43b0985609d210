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
    size_t *flags; /* in the footer */
    size_t n_flags;
};

static enum dm_status take_moment(void *ctx, const struct dm_parquet_moment *m, struct dm_error *err)
{
    struct search *s = ctx;
    struct dm_change_parquet *p = s->p;
    enum dm_change_control control;
    (void)err;
    if (dm_change_column(s->schema, m->name, m->name_n, &control) < 0)
        return DM_OK;
    if (m->int96) {
        dm_change_note(
            s->notes,
            "column %.*s is INT96 in the file, which is read to the microsecond; finer digits, if there are "
            "any, are lost (write it as TIMESTAMP)",
            (int)(m->name_n < 100 ? m->name_n : 100), m->name);
        return DM_OK;
    }
    if (m->column >= p->n) {
        p->zoned = dm_xrealloc(p->zoned, m->column + 1, sizeof *p->zoned);
        memset(p->zoned + p->n, 0, (m->column + 1 - p->n) * sizeof *p->zoned);
        p->n = m->column + 1;
    }
    p->zoned[m->column] = true;
    s->flags = dm_xrealloc(s->flags, s->n_flags + 1, sizeof *s->flags);
    s->flags[s->n_flags++] = m->at;
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

static enum dm_status make_copy(const struct search *s, int from, uint64_t size, uint64_t footer_at,
                                const uint8_t *footer, const char *temp_folder, struct dm_error *err)
{
    struct dm_change_parquet *p = s->p;
    p->fd = open_unnamed(temp_folder);
    if (p->fd < 0)
        return failed("make a temporary file for", p->path, err);
    if (!copy(from, p->fd, size))
        return failed("copy", p->path, err);
    for (size_t i = 0; i < s->n_flags; i++) {
        uint8_t flag = dm_parquet_not_adjusted(footer[s->flags[i]]);
        if (pwrite(p->fd, &flag, 1, (off_t)(footer_at + s->flags[i])) != 1)
            return failed("write the copy of", p->path, err);
    }
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
    uint64_t footer_at = size - TAIL - n;
    uint8_t *footer = dm_xalloc(n);
    enum dm_status status = DM_OK;
    if (read_at(fd, footer, n, footer_at)) {
        status = dm_parquet_footer_moments(footer, n, take_moment, s, err);
        if (status == DM_OK && s->n_flags > 0)
            status = make_copy(s, fd, size, footer_at, footer, temp_folder, err);
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
    free(s.flags);
    if (status != DM_OK)
        dm_change_parquet_release(p);
    return status;
}

void dm_change_parquet_release(struct dm_change_parquet *p)
{
    if (p->fd >= 0)
        close(p->fd);
    free(p->path);
    free(p->zoned);
    *p = (struct dm_change_parquet){.fd = -1};
}
