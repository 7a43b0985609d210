/* pg_charset.h — texts of a database whose encoding is not UTF-8, made UTF-8 by ourselves.
 *
 * The server converts a text when it is sent, and a character that UTF-8 does not have (or, in a SQL_ASCII database, bytes that are not
 * UTF-8) makes it refuse the whole COPY or the whole stream for the sake of one value. So the connections that carry rows are switched to
 * raw bytes (client_encoding SQL_ASCII), and what cannot be converted costs its row only. Characters come out as the server's own
 * conversion has them: tests/e2e/test_encodings.py compares every character of every encoding.
 *
 * Statements sent over a raw connection have to be in the server's encoding too: pg_charset_encode.
 *
 * NULL stands for a UTF-8 database: nothing to do. Owned by whoever opened it. Thread safe.
 *
 *     const struct pg_charset *charset;
 *     if (pg_charset_open(conn, &charset, err) != DM_OK) …
 *     if (pg_charset_append(charset, &buffer, bytes, n) == PG_CHARSET_NOT_TEXT) …
 */
#ifndef DM_SOURCE_POSTGRES_PG_CHARSET_H
#define DM_SOURCE_POSTGRES_PG_CHARSET_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/buffer.h"

struct pg_charset;

/* That of the connection's database; an encoding that the system does not know is a CONFIG error. */
enum dm_status pg_charset_open(PGconn *conn, const struct pg_charset **out, struct dm_error *err) DM_MUST_USE;
void pg_charset_close(const struct pg_charset *c);
extern const struct pg_charset pg_charset_ascii; /* SQL_ASCII: what is UTF-8 passes */
/* From now on, or not any more, texts come as the server has them; no round trip for a UTF-8 database. */
enum dm_status pg_charset_raw(PGconn *conn, bool raw, struct dm_error *err) DM_MUST_USE;
/* The names in a SQL_ASCII database may be any bytes, which the server does not convert: its connections are raw from the beginning. */
bool pg_charset_is_ascii(PGconn *conn);

enum pg_charset_result { PG_CHARSET_OK, PG_CHARSET_NOT_TEXT, PG_CHARSET_NO_ROOM };
/* Appends the bytes as UTF-8; nothing when they have no such form, or the buffer no room. */
enum pg_charset_result pg_charset_append(const struct pg_charset *c, struct dm_buffer *out, const void *bytes,
                                         size_t n) DM_MUST_USE;
/* UTF-8 into the server's encoding, malloc. */
enum dm_status pg_charset_encode(const struct pg_charset *c, const char *text, char **out,
                                 struct dm_error *err) DM_MUST_USE;
/* A name as UTF-8, malloc; one that has no such form with \xNN for its bytes. */
char *pg_charset_name(const struct pg_charset *c, const char *name);

#endif
