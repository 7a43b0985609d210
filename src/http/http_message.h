/* http_message.h — one request as a route sees it, and its reply.
 *
 * The body was received completely before a route is called; it is in a file, because it may be larger than memory.
 * Texts of the request are borrowed for the call. The reply's body is JSON, built by the functions here.
 */
#ifndef DM_HTTP_HTTP_MESSAGE_H
#define DM_HTTP_HTTP_MESSAGE_H

#include <jansson.h>

#include "base/error.h"
#include "mirror/intake/push_queue.h"

struct MHD_Connection;

struct dm_http_request {
    struct MHD_Connection *connection;
    struct dm_mirror *mirror;
    struct dm_push_queue *pushes;
    const char *method;
    char *path;      /* decoded */
    char *parameter; /* what stands for {} in the route's pattern; NULL: none */
    char *body_path; /* NULL: no body */
    uint64_t body_bytes;
    char body_hash[33];  /* hexadecimal, of the body as it came */
    uint64_t json_bytes; /* what its JSON has of the memory for bodies (dm_http_json_release) */
};

struct dm_http_reply {
    unsigned status;
    json_t *body;            /* owned; NULL: none (204) */
    const char *retry_after; /* seconds; NULL: left out */
};

const char *dm_http_header(const struct dm_http_request *r, const char *name); /* NULL: not sent */
const char *dm_http_query(const struct dm_http_request *r,
                          const char *name); /* NULL: not given; "" without a value */

/* The client closed its connection, so nobody reads the reply. `request` is a struct dm_http_request. */
bool dm_http_client_gone(void *request);

/* The body as JSON, a new reference; NULL: it is none, and the reply says why. At most DM_HTTP_JSON_MAX bytes. */
#define DM_HTTP_JSON_MAX ((size_t)4 << 20)
json_t *dm_http_json(struct dm_http_request *r, struct dm_http_reply *reply);
/* The request is over: its share of the memory for JSON bodies is free again. */
void dm_http_json_release(struct dm_http_request *r);
/* A value of a flag: 1, 0, true, false. */
bool dm_http_is_flag(const char *value);
/* "?name", "?name=1", "?name=true"; others are false, or were refused (http_parameters.h). */
bool dm_http_query_is(const struct dm_http_request *r, const char *name);

/* Fills in {"title", "status", "detail", "hint", "error": {"code", "message", "hint"}}: the documented form of a problem, and the push API's. `hint` may be
 * NULL or empty. */
void dm_http_refuse(struct dm_http_reply *reply, unsigned status, const char *code, const char *hint,
                    const char *fmt, ...) DM_PRINTF(5, 6);
/* The same from an error; the status by its class: 400 CONFIG, 409 CONFLICT, 422 DATA, 503 TRANSIENT, 500 others. */
void dm_http_refuse_error(struct dm_http_reply *reply, const struct dm_error *err);

#endif
