#include "source/postgres/pg_charset.h"

#include <errno.h>
#include <iconv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "source/postgres/pg_connection.h"

/* Every encoding of a server has ASCII in its lower half, and no byte of a longer character is ASCII. */
struct pg_charset {
    const char *system;   /* its name for iconv; NULL: SQL_ASCII, texts are checked only */
    bool single;          /* one byte is one character: the table says all */
    uint8_t lengths[256]; /* 0: no character */
    uint8_t utf8[256][4];
    pthread_mutex_t mutex; /* over the descriptor */
    iconv_t descriptor;
};

struct spelling {
    const char *server, *system;
};

/* The system's table whose characters are those of the server's. */
static const struct spelling spellings[] = {
    {"EUC_CN", "EUC-CN"},         {"EUC_JIS_2004", "EUC-JISX0213"},
    {"EUC_JP", "EUC-JP-MS"},      {"EUC_KR", "EUC-KR"},
    {"EUC_TW", "EUC-TW"},         {"ISO_8859_5", "ISO-8859-5"},
    {"ISO_8859_6", "ISO-8859-6"}, {"ISO_8859_7", "ISO-8859-7"},
    {"ISO_8859_8", "ISO-8859-8"}, {"KOI8R", "KOI8-R"},
    {"KOI8U", "KOI8-U"},          {"LATIN1", "ISO-8859-1"},
    {"LATIN2", "ISO-8859-2"},     {"LATIN3", "ISO-8859-3"},
    {"LATIN4", "ISO-8859-4"},     {"LATIN5", "ISO-8859-9"},
    {"LATIN6", "ISO-8859-10"},    {"LATIN7", "ISO-8859-13"},
    {"LATIN8", "ISO-8859-14"},    {"LATIN9", "ISO-8859-15"},
    {"LATIN10", "ISO-8859-16"},   {"WIN866", "CP866"},
    {"WIN874", "CP874"},          {"WIN1250", "CP1250"},
    {"WIN1251", "CP1251"},        {"WIN1252", "CP1252"},
    {"WIN1253", "CP1253"},        {"WIN1254", "CP1254"},
    {"WIN1255", "CP1255"},        {"WIN1256", "CP1256"},
    {"WIN1257", "CP1257"},        {"WIN1258", "CP1258"},
};

static const char *server_encoding(PGconn *conn)
{
    const char *name = PQparameterStatus(conn, "server_encoding");
    return name != NULL ? name : "UTF8";
}

bool pg_charset_is_ascii(PGconn *conn)
{
    return strcmp(server_encoding(conn), "SQL_ASCII") == 0;
}

/* ---- opening ---- */

static size_t convert_one(iconv_t descriptor, uint8_t byte, uint8_t out[4])
{
    char in = (char)byte, *from = &in, *to = (char *)out;
    size_t left = 1, room = 4;
    (void)iconv(descriptor, NULL, NULL, NULL, NULL);
    return iconv(descriptor, &from, &left, &to, &room) == (size_t)-1 || left != 0 ? 0 : 4 - room;
}

static void fill_table(struct pg_charset *c)
{
    c->single = strncmp(c->system, "EUC", 3) != 0;
    for (unsigned b = 1; c->single && b < 256; b++)
        c->lengths[b] = (uint8_t)convert_one(c->descriptor, (uint8_t)b, c->utf8[b]);
}

const struct pg_charset pg_charset_ascii;

static const char *system_name(const char *server)
{
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (strcmp(spellings[i].server, server) == 0)
            return spellings[i].system;
    return NULL;
}

enum dm_status pg_charset_open(PGconn *conn, const struct pg_charset **out, struct dm_error *err)
{
    const char *server = server_encoding(conn);
    *out = pg_charset_is_ascii(conn) ? &pg_charset_ascii : NULL;
    if (*out != NULL || strcmp(server, "UTF8") == 0)
        return DM_OK;
    const char *system = system_name(server);
    iconv_t descriptor = system != NULL ? iconv_open("UTF-8", system) : (iconv_t)-1;
    if (descriptor == (iconv_t)-1)
        return dm_fail(
            err, DM_ERROR_CONFIG,
            "install the C library's conversion tables (glibc-gconv-extra), or use a database with "
            "the encoding UTF8",
            "texts in the database's encoding, %s, cannot be converted on this system", server);
    struct pg_charset *c = dm_xzalloc(1, sizeof *c);
    c->system = system;
    c->descriptor = descriptor;
    (void)pthread_mutex_init(&c->mutex, NULL);
    fill_table(c);
    *out = c;
    return DM_OK;
}

void pg_charset_close(const struct pg_charset *c)
{
    if (c == NULL || c == &pg_charset_ascii)
        return;
    struct pg_charset *own = (struct pg_charset *)(uintptr_t)c;
    (void)iconv_close(own->descriptor);
    (void)pthread_mutex_destroy(&own->mutex);
    free(own);
}

enum dm_status pg_charset_raw(PGconn *conn, bool raw, struct dm_error *err)
{
    if (strcmp(server_encoding(conn), "UTF8") == 0 || pg_charset_is_ascii(conn))
        return DM_OK;
    return pg_execute(conn, err, "SET client_encoding = %s", raw ? "SQL_ASCII" : "UTF8");
}

/* ---- into UTF-8 ---- */

static size_t ascii_prefix(const uint8_t *p, size_t n)
{
    size_t i = 0;
    for (uint64_t eight; n - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, p + i, sizeof eight);
        if ((eight & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    while (i < n && p[i] < 0x80)
        i++;
    return i;
}

static enum pg_charset_result append_plain(struct dm_buffer *out, const void *bytes, size_t n)
{
    return dm_buffer_append(out, bytes, n, NULL) == DM_OK ? PG_CHARSET_OK : PG_CHARSET_NO_ROOM;
}

static enum pg_charset_result by_table(const struct pg_charset *c, struct dm_buffer *out, const uint8_t *p,
                                       size_t n)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (c->lengths[p[i]] == 0)
            return PG_CHARSET_NOT_TEXT;
        length += c->lengths[p[i]];
    }
    if (dm_buffer_reserve(out, length, NULL) != DM_OK)
        return PG_CHARSET_NO_ROOM;
    uint8_t *o = out->data + out->len;
    for (size_t i = 0; i < n; o += c->lengths[p[i++]])
        memcpy(o, c->utf8[p[i]], c->lengths[p[i]]);
    out->len += length;
    return PG_CHARSET_OK;
}

/* Two characters of JIS X 0213 are the wide forms in the system's table and the narrow ones in the server's; no others become these. */
static enum pg_charset_result append_jis(struct dm_buffer *out, const char *utf8, size_t n)
{
    static const struct {
        char system[4], server[4];
    } differ[] = {{"\xEF\xBF\xA3", "\xE2\x80\xBE"}, {"\xEF\xBF\xA5", "\xC2\xA5"}};
    enum pg_charset_result r = PG_CHARSET_OK;
    for (size_t i = 0; i < n && r == PG_CHARSET_OK;) {
        const char *put = NULL;
        for (size_t k = 0; k < 2 && n - i >= 3; k++)
            if (memcmp(utf8 + i, differ[k].system, 3) == 0)
                put = differ[k].server;
        r = append_plain(out, put != NULL ? put : utf8 + i, put != NULL ? strlen(put) : 1);
        i += put != NULL ? 3 : 1;
    }
    return r;
}

/* Mutex held. */
static enum pg_charset_result by_system(const struct pg_charset *c, struct dm_buffer *out, const uint8_t *p,
                                        size_t n)
{
    char *from = (char *)(uintptr_t)p;
    bool jis = strcmp(c->system, "EUC-JISX0213") == 0;
    (void)iconv(c->descriptor, NULL, NULL, NULL, NULL);
    for (bool flushed = false; !flushed;) {
        char piece[4096], *to = piece;
        size_t room = sizeof piece;
        flushed = n == 0; /* a character may be held back: the next might have combined with it */
        size_t r = iconv(c->descriptor, flushed ? NULL : &from, flushed ? NULL : &n, &to, &room);
        if (r == (size_t)-1 && errno != E2BIG)
            return PG_CHARSET_NOT_TEXT;
        size_t made = sizeof piece - room;
        if ((jis ? append_jis(out, piece, made) : append_plain(out, piece, made)) != PG_CHARSET_OK)
            return PG_CHARSET_NO_ROOM;
    }
    return PG_CHARSET_OK;
}

enum pg_charset_result pg_charset_append(const struct pg_charset *c, struct dm_buffer *out, const void *bytes,
                                         size_t n)
{
    if (c == NULL || n == 0 || ascii_prefix(bytes, n) == n)
        return append_plain(out, bytes, n);
    if (c->system == NULL)
        return dm_utf8_valid(bytes, n) ? append_plain(out, bytes, n) : PG_CHARSET_NOT_TEXT;
    if (c->single)
        return by_table(c, out, bytes, n);
    size_t before = out->len;
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&c->mutex;
    (void)pthread_mutex_lock(mutex);
    enum pg_charset_result r = by_system(c, out, bytes, n);
    (void)pthread_mutex_unlock(mutex);
    if (r != PG_CHARSET_OK)
        out->len = before;
    return r;
}

char *pg_charset_name(const struct pg_charset *c, const char *name)
{
    struct dm_buffer out;
    dm_buffer_init(&out, 1u << 16);
    enum dm_status status = DM_OK;
    if (pg_charset_append(c, &out, name, strlen(name)) == PG_CHARSET_NOT_TEXT)
        for (const char *p = name; *p != '\0' && status == DM_OK; p++)
            status = (uint8_t)*p < 0x80 ? dm_buffer_append_byte(&out, (uint8_t)*p, NULL)
                                        : dm_buffer_printf(&out, NULL, "\\x%02x", (uint8_t)*p);
    char *text = dm_xstrndup((const char *)out.data, out.len);
    dm_buffer_release(&out);
    return text;
}

/* ---- out of UTF-8 ---- */

enum dm_status pg_charset_encode(const struct pg_charset *c, const char *text, char **out,
                                 struct dm_error *err)
{
    size_t n = strlen(text);
    *out = NULL;
    if (c == NULL || c->system == NULL || ascii_prefix((const uint8_t *)text, n) == n) {
        *out = dm_xstrdup(text);
        return DM_OK;
    }
    iconv_t descriptor = iconv_open(c->system, "UTF-8");
    size_t room = 2 * n + 16, left = n, size = room;
    char *made = dm_xzalloc(1, room + 1), *to = made, *from = (char *)(uintptr_t)text;
    bool well = descriptor != (iconv_t)-1 && iconv(descriptor, &from, &left, &to, &room) != (size_t)-1 &&
                iconv(descriptor, NULL, NULL, &to, &room) != (size_t)-1;
    if (descriptor != (iconv_t)-1)
        (void)iconv_close(descriptor);
    if (!well) {
        free(made);
        return dm_fail(err, DM_ERROR_DATA, "use characters that the database can hold in filter:",
                       "the statement has characters that the database's encoding does not have: %.200s",
                       text);
    }
    made[size - room] = '\0';
    *out = made;
    return DM_OK;
}
