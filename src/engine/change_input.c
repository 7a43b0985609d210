#include "engine/change_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/memory.h"

enum { WINDOW_BYTES = 1 << 20, PACKED_BYTES = 256 << 10, HEAD_BYTES = 16 };

static const char get_it_again[] = "write or fetch the file again; nothing of it was taken";

struct dm_unpacker {
    z_stream gzip;
    ZSTD_DStream *zstd;
    uint8_t *packed;
    size_t at, end;
    bool file_end;
    bool between; /* between two members or frames: the file may end here */
};

/* Up to `size` bytes of the file; 0 is its end. */
static enum dm_status read_file(struct dm_change_input *in, void *out, size_t size, size_t *got,
                                struct dm_error *err)
{
    *got = 0;
    if (in->fd < 0)
        return DM_OK;
    ssize_t n;
    do
        n = read(in->fd, out, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return dm_fail_errno(err, "read %s", in->name);
    *got = (size_t)n;
    in->bytes_read += *got;
    return DM_OK;
}

/* What is not read, by its first bytes. */
static bool looks_binary(const uint8_t *head, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (head[i] < '\t')
            return true;
    return false;
}

static enum dm_status check_head(const struct dm_change_input *in, const uint8_t *head, size_t n,
                                 struct dm_error *err)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *what;
        bool
            binary; /* a header of CSV may begin so ("PARENT_ID", "ORCID"): only with bytes that no text has */
    } foreign[] = {{"BZh", 3, "compressed with bzip2"},
                   {"\xfd"
                    "7zXZ",
                    5, "compressed with xz"},
                   {"PK\x03\x04", 4, "a zip archive"},
                   {"\xff\xfe", 2, "text in UTF-16"},
                   {"\xfe\xff", 2, "text in UTF-16"},
                   {"PARE", 4, "an encrypted Parquet file", true},
                   {"ORC", 3, "an ORC file", true},
                   {"Obj\x01", 4, "an Avro file"},
                   {"ARROW1", 6, "an Arrow file", true},
                   {"FEA1", 4, "a Feather file", true},
                   {"SQLite format 3", 16, "a SQLite database"},
                   {"\x04\x22\x4d\x18", 4, "compressed with LZ4"},
                   {"\xff\x06\x00\x00sNaP", 8, "compressed with Snappy"}};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (n >= foreign[i].n && memcmp(head, foreign[i].bytes, foreign[i].n) == 0 &&
            (!foreign[i].binary || looks_binary(head, n)))
            return dm_fail(err, DM_ERROR_DATA,
                           "text must be UTF-8, plain or compressed with gzip or zstd; or Parquet",
                           "%s is %s", in->name, foreign[i].what);
    return DM_OK;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcasecmp(name + n - m, suffix) == 0;
}

static enum dm_packing packing_of(const uint8_t *head, size_t n)
{
    if (n >= 2 && head[0] == 0x1f && head[1] == 0x8b)
        return DM_PACKED_GZIP;
    if (n >= 4 && memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0)
        return DM_PACKED_ZSTD;
    if (n >= 4 && (head[0] & 0xf0) == 0x50 && memcmp(head + 1, "\x2a\x4d\x18", 3) == 0) /* skippable frame */
        return DM_PACKED_ZSTD;
    return DM_PACKED_NOT;
}

static enum dm_status check_name(const struct dm_change_input *in, struct dm_error *err)
{
    const char *named = has_suffix(in->name, ".gz") || has_suffix(in->name, ".gzip")    ? "gzip"
                        : has_suffix(in->name, ".zst") || has_suffix(in->name, ".zstd") ? "zstd"
                                                                                        : NULL;
    bool empty = in->end == 0;
    if (named == NULL || in->packing != DM_PACKED_NOT || empty)
        return DM_OK;
    return dm_fail(err, DM_ERROR_DATA, "give the file the name that fits its content, or write it again",
                   "%s is not %s, as its name says", in->name, named);
}

static enum dm_status unpacker_open(struct dm_change_input *in, struct dm_error *err)
{
    struct dm_unpacker *u = in->unpacker = dm_xzalloc(1, sizeof *u);
    u->packed = dm_xalloc(PACKED_BYTES);
    memcpy(u->packed, in->data, in->end);
    u->end = in->end;
    in->end = 0;
    if (in->packing == DM_PACKED_GZIP) {
        if (inflateInit2(&u->gzip, 15 + 16) != Z_OK)
            return dm_fail_memory(err, 0);
        return DM_OK;
    }
    u->zstd = ZSTD_createDStream();
    return u->zstd != NULL ? DM_OK : dm_fail_memory(err, 0);
}

enum dm_status dm_change_input_open(struct dm_change_input *in, const char *path, uint64_t max_unpacked,
                                    struct dm_error *err)
{
    *in = (struct dm_change_input){
        .name = dm_xstrdup(path), .fd = open(path, O_RDONLY | O_CLOEXEC), .max_unpacked = max_unpacked};
    struct stat st;
    enum dm_status status = DM_OK;
    if (in->fd < 0)
        status = errno == ENOENT
                     ? dm_fail(err, DM_ERROR_CONFIG, "check the path", "there is no file %s", path)
                     : dm_fail_errno(err, "open %s", path);
    else if (fstat(in->fd, &st) != 0)
        status = dm_fail_errno(err, "stat %s", path);
    else if (S_ISDIR(st.st_mode))
        status = dm_fail(err, DM_ERROR_CONFIG, "name the files in it, for example with a glob",
                         "%s is a folder", path);
    if (status == DM_OK) {
        in->bytes_total = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        in->capacity = WINDOW_BYTES;
        in->data = dm_xalloc(in->capacity + DM_INPUT_PAD);
        size_t got = 1;
        while (status == DM_OK && in->end < HEAD_BYTES && got != 0) {
            status = read_file(in, in->data + in->end, HEAD_BYTES - in->end, &got, err);
            in->end += got;
        }
        in->eof = got == 0;
    }
    if (status == DM_OK) {
        in->packing = packing_of(in->data, in->end);
        status = check_head(in, in->data, in->end, err);
    }
    if (status == DM_OK)
        status = check_name(in, err);
    if (status == DM_OK && in->packing != DM_PACKED_NOT) {
        in->eof = false;
        status = unpacker_open(in, err);
        while (status == DM_OK && in->end < HEAD_BYTES && !in->eof)
            status = dm_change_input_fill(in, err);
        if (status == DM_OK)
            status = check_head(in, in->data, in->end, err);
    }
    if (status != DM_OK)
        dm_change_input_close(in);
    else
        memset(in->data + in->end, 0, DM_INPUT_PAD);
    return status;
}

void dm_change_input_open_memory(struct dm_change_input *in, const char *name, const void *bytes, size_t n)
{
    *in = (struct dm_change_input){.name = dm_xstrdup(name),
                                   .fd = -1,
                                   .data = dm_xalloc(n + DM_INPUT_PAD),
                                   .end = n,
                                   .capacity = n,
                                   .eof = true,
                                   .bytes_read = n,
                                   .bytes_total = n};
    if (n != 0)
        memcpy(in->data, bytes, n);
    memset(in->data + n, 0, DM_INPUT_PAD);
}

void dm_change_input_close(struct dm_change_input *in)
{
    if (in->unpacker != NULL) {
        if (in->packing == DM_PACKED_GZIP)
            (void)inflateEnd(&in->unpacker->gzip);
        (void)ZSTD_freeDStream(in->unpacker->zstd);
        free(in->unpacker->packed);
        free(in->unpacker);
    }
    if (in->fd >= 0)
        close(in->fd);
    free(in->data);
    free(in->name);
    *in = (struct dm_change_input){.fd = -1};
}

static enum dm_status refill(struct dm_change_input *in, struct dm_error *err)
{
    struct dm_unpacker *u = in->unpacker;
    if (u->at < u->end || u->file_end)
        return DM_OK;
    u->at = 0;
    if (read_file(in, u->packed, PACKED_BYTES, &u->end, err) != DM_OK)
        return DM_FAIL;
    u->file_end = u->end == 0;
    return DM_OK;
}

static enum dm_status cut_off(const struct dm_change_input *in, const char *what, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_DATA, get_it_again, "%s is cut off: its %s data ends in the middle",
                   in->name, what);
}

/* Behind a gzip member: another one, zero bytes (tapes and block devices pad so), or nothing. */
static enum dm_status after_member(struct dm_change_input *in, struct dm_error *err)
{
    struct dm_unpacker *u = in->unpacker;
    while (u->at < u->end && u->packed[u->at] == 0)
        u->at++;
    if (u->at == u->end)
        return DM_OK;
    if (u->packed[u->at] != 0x1f)
        return dm_fail(err, DM_ERROR_DATA, get_it_again, "%s: there is something else behind its gzip data",
                       in->name);
    u->between = false;
    return inflateReset(&u->gzip) == Z_OK ? DM_OK : dm_fail_memory(err, 0);
}

static enum dm_status unpack_gzip(struct dm_change_input *in, size_t room, size_t *got, struct dm_error *err)
{
    struct dm_unpacker *u = in->unpacker;
    if (u->between && (after_member(in, err) != DM_OK || u->between))
        return u->between && u->at == u->end ? DM_OK : DM_FAIL;
    u->gzip.next_in = u->packed + u->at;
    u->gzip.avail_in = (unsigned)(u->end - u->at);
    u->gzip.next_out = in->data + in->end;
    u->gzip.avail_out = (unsigned)room;
    int result = inflate(&u->gzip, Z_NO_FLUSH);
    u->at = u->end - u->gzip.avail_in;
    *got = room - u->gzip.avail_out;
    u->between = result == Z_STREAM_END;
    if (result == Z_OK || result == Z_STREAM_END || (result == Z_BUF_ERROR && !u->file_end))
        return DM_OK;
    if (result == Z_BUF_ERROR)
        return cut_off(in, "gzip", err);
    if (result == Z_MEM_ERROR)
        return dm_fail_memory(err, 0);
    return dm_fail(err, DM_ERROR_DATA, get_it_again, "%s is damaged: %s", in->name,
                   u->gzip.msg != NULL ? u->gzip.msg : "not gzip data");
}

static enum dm_status unpack_zstd(struct dm_change_input *in, size_t room, size_t *got, struct dm_error *err)
{
    struct dm_unpacker *u = in->unpacker;
    ZSTD_inBuffer packed = {.src = u->packed, .size = u->end, .pos = u->at};
    ZSTD_outBuffer out = {.dst = in->data + in->end, .size = room};
    size_t result = ZSTD_decompressStream(u->zstd, &out, &packed);
    if (ZSTD_isError(result))
        return dm_fail(err, DM_ERROR_DATA, get_it_again, "%s is damaged: %s", in->name,
                       ZSTD_getErrorName(result));
    if (u->file_end && out.pos == 0 && result != 0)
        return cut_off(in, "zstd", err);
    u->at = packed.pos;
    *got = out.pos;
    u->between = result == 0;
    return DM_OK;
}

static enum dm_status unpack(struct dm_change_input *in, size_t room, size_t *got, struct dm_error *err)
{
    *got = 0;
    while (*got == 0 && !in->eof) {
        if (refill(in, err) != DM_OK)
            return DM_FAIL;
        struct dm_unpacker *u = in->unpacker;
        if (u->file_end && u->between) {
            in->eof = true;
            return DM_OK;
        }
        enum dm_status status =
            in->packing == DM_PACKED_GZIP ? unpack_gzip(in, room, got, err) : unpack_zstd(in, room, got, err);
        if (status != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* A few kilobytes can unpack to gigabytes. */
static enum dm_status too_much(const struct dm_change_input *in, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_DATA, "send it in pieces, or raise http_max_unpacked",
                   "%s unpacks to more than %llu bytes", in->name, (unsigned long long)in->max_unpacked);
}

enum dm_status dm_change_input_fill(struct dm_change_input *in, struct dm_error *err)
{
    if (in->eof)
        return DM_OK;
    if (in->begin != 0) {
        memmove(in->data, in->data + in->begin, in->end - in->begin);
        in->end -= in->begin;
        in->begin = 0;
    }
    if (in->capacity - in->end < in->capacity / 2) {
        in->capacity *= 2;
        in->data = dm_xrealloc(in->data, in->capacity + DM_INPUT_PAD, 1);
    }
    size_t room = in->capacity - in->end, got = 0;
    enum dm_status status;
    if (in->unpacker != NULL) {
        status = unpack(in, room, &got, err);
        in->unpacked += got;
        if (status == DM_OK && in->max_unpacked != 0 && in->unpacked > in->max_unpacked)
            status = too_much(in, err);
    } else {
        status = read_file(in, in->data + in->end, room, &got, err);
        in->eof = got == 0;
    }
    in->end += got;
    memset(in->data + in->end, 0, DM_INPUT_PAD);
    return status;
}
