#include "lake/store/local_store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/memory.h"

/* fsync calls that wait side by side share the file system's journal commits: on ext4, fifty files take 20 ms in sixteen threads
 * and 300 ms one after the other (measured on a virtual disk). The threads only wait, so their number has nothing to do with cores. */
enum { SYNC_THREADS = 16 };

struct sync_work {
    const int *fds;
    size_t n;
    atomic_size_t next;
    atomic_int failed; /* errno of a failure, 0: none */
};

static void *sync_some(void *context)
{
    struct sync_work *w = context;
    for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < w->n;)
        if (fsync(w->fds[i]) != 0)
            atomic_store(&w->failed, errno);
    return NULL;
}

/* Makes the files and folders durable and closes them. */
static enum dm_status sync_and_close(const int *fds, size_t n, struct dm_error *err)
{
    struct sync_work w = {.fds = fds, .n = n};
    pthread_t threads[SYNC_THREADS];
    size_t started = 0;
    while (started + 1 < n && started < SYNC_THREADS &&
           pthread_create(&threads[started], NULL, sync_some, &w) == 0)
        started++;
    (void)sync_some(&w); /* the caller takes part, so that no thread at all is fine too */
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < n; i++)
        if (close(fds[i]) != 0 && atomic_load(&w.failed) == 0)
            atomic_store(&w.failed, errno);
    errno = atomic_load(&w.failed);
    return errno == 0 ? DM_OK : dm_fail_errno(err, "cannot sync the new metadata files of the lake");
}

static enum dm_status sync_open_files(struct dm_store_batch *b, struct dm_error *err)
{
    size_t n = b->n_open;
    b->n_open = 0;
    return n == 0 ? DM_OK : sync_and_close(b->open, n, err);
}

/* So many files of one batch are open at once: a quarter of what the process may have, since others need some, too. */
static size_t most_open(const struct dm_store_batch *b)
{
    struct rlimit limit = {0};
    size_t most = sizeof b->open / sizeof *b->open;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur / 4 < most)
        most = limit.rlim_cur / 4 > 0 ? (size_t)(limit.rlim_cur / 4) : 1;
    return most;
}

/* Opens a file or folder that is to be synced with the others. When there is no room for one more, those before it are synced now: smaller batches take longer,
 * and that is all. -1: errno says why. */
static int open_more(struct dm_store_batch *b, const char *path, int flags, enum dm_status *status,
                     struct dm_error *err)
{
    *status = b->n_open >= most_open(b) ? sync_open_files(b, err) : DM_OK;
    int fd = *status == DM_OK ? open(path, flags | O_CLOEXEC, 0644) : -1;
    if (fd < 0 && *status == DM_OK && (errno == EMFILE || errno == ENFILE) && b->n_open > 0) {
        *status = sync_open_files(b, err);
        fd = *status == DM_OK ? open(path, flags | O_CLOEXEC, 0644) : -1;
    }
    return fd;
}

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        bytes += done;
        n -= (size_t)done;
    }
    return 0;
}

enum dm_status dm_store_write(struct dm_store_batch *b, const char *path, const void *bytes, size_t n,
                              struct dm_error *err)
{
    enum dm_status status;
    int fd = open_more(b, path, O_WRONLY | O_CREAT | O_EXCL, &status, err);
    if (fd < 0)
        return status == DM_OK ? dm_fail_errno(err, "cannot create %s", path) : status;
    if ((b->n_written & (b->n_written - 1)) == 0) /* a power of two (or none): double the room */
        b->written = dm_xrealloc(b->written, b->n_written == 0 ? 1 : b->n_written * 2, sizeof *b->written);
    b->written[b->n_written++] = dm_xstrdup(path);
    b->open[b->n_open++] = fd;
    if (write_all(fd, bytes, n) != 0)
        return dm_fail_errno(err, "cannot write %s", path);
    return DM_OK;
}

void dm_store_folder(struct dm_store_batch *b, const char *path)
{
    for (size_t i = b->n_folders; i-- > 0 && b->n_folders - i < 16;)
        if (strcmp(b->folders[i], path) == 0)
            return;
    b->folders = dm_xrealloc(b->folders, b->n_folders + 1, sizeof *b->folders);
    b->folders[b->n_folders++] = dm_xstrdup(path);
}

enum dm_status dm_store_sync(struct dm_store_batch *b, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    /* Folders go into the same round as the files: their order does not matter while nothing refers to any of them. */
    for (size_t i = 0; i < b->n_folders; i++) {
        int fd = status == DM_OK ? open_more(b, b->folders[i], O_RDONLY | O_DIRECTORY, &status, err) : -1;
        if (fd >= 0)
            b->open[b->n_open++] = fd;
        else if (status == DM_OK)
            status = dm_fail_errno(err, "cannot open the folder %s", b->folders[i]);
        free(b->folders[i]);
    }
    free(b->folders);
    b->folders = NULL;
    b->n_folders = 0;
    return status == DM_OK ? sync_open_files(b, err) : status;
}

void dm_store_remove_written(struct dm_store_batch *b)
{
    for (size_t i = 0; i < b->n_written; i++)
        (void)unlink(b->written[i]);
}

void dm_store_release(struct dm_store_batch *b)
{
    for (size_t i = 0; i < b->n_open; i++)
        close(b->open[i]);
    for (size_t i = 0; i < b->n_folders; i++)
        free(b->folders[i]);
    for (size_t i = 0; i < b->n_written; i++)
        free(b->written[i]);
    free(b->folders);
    free(b->written);
    *b = (struct dm_store_batch){0};
}

char *dm_store_uri(const char *path)
{
    return dm_xasprintf("file://%s", path);
}

char *dm_store_path(const char *uri)
{
    if (strncmp(uri, "file:", 5) == 0) {
        uri += 5;
        if (strncmp(uri, "//", 2) == 0) /* an empty authority; a host name is refused below */
            uri += 2;
    }
    if (uri[0] != '/')
        return NULL;
    return dm_xstrdup(uri);
}

static bool plain_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

char *dm_store_folder_name(const char *name)
{
    size_t n = strlen(name);
    bool plain = n > 0 && n <= 120 && name[0] != '.' && name[0] != '-';
    for (size_t i = 0; i < n && plain; i++)
        plain = plain_character(name[i]);
    if (plain)
        return dm_xstrdup(name);
    char *text = dm_xstrndup(name, n > 100 ? 100 : n);
    for (char *at = text; *at != '\0'; at++)
        if (!plain_character(*at) || (at == text && (*at == '.' || *at == '-')))
            *at = '_';
    /* "~" is not a plain character, so no plain name can equal a replaced one. */
    char *out = dm_xasprintf("%s~%016llx", text, (unsigned long long)XXH3_64bits(name, n));
    free(text);
    return out;
}

char *dm_store_random_hex(char *out, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[64];
    if (n > sizeof bytes)
        n = sizeof bytes;
    while (getrandom(bytes, n, 0) != (ssize_t)n)
        continue; /* only a signal can interrupt it */
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
    return out;
}
