/* http_head.h — is the head of a request (its first line and headers) framed in the one way that all programs read alike?
 *
 * A proxy and a server that read the same bytes differently can be made to see different requests. So whatever could be read in two ways is refused before anything
 * is made of it: lines that do not end in CRLF, control characters, folded lines, a header that decides something given twice, a length beside a
 * transfer coding, no Host. A pure function of bytes: no memory, no connection.
 */
#ifndef DM_HTTP_HTTP_HEAD_H
#define DM_HTTP_HTTP_HEAD_H

#include <stddef.h>

#include "base/error.h"

enum { DM_HTTP_HEAD_MAX = 16 * 1024 }; /* bytes */

/* Bytes from the connection's beginning. DM_OK: a whole head; DM_TIMEOUT: so far so good, more must come; DM_FAIL: no head. */
enum dm_status dm_http_head_check(const char *bytes, size_t n, struct dm_error *err) DM_MUST_USE;

#endif
