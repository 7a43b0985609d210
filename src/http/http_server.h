/* http_server.h — the HTTP server of a running mirror.
 *
 * A thread per connection, since a request waits for its commit. Routes are one table (http_routes.c).
 * Every reply is JSON. A body is written to `<lake>/.push/` while it arrives and removed after the reply.
 * Who comes in at all: connections pass the door (http_door.h), requests the gate (http_gate.h).
 *
 *     dm_http_server_start(mirror, &server, err);
 *     …
 *     dm_http_server_stop(server);   // requests in hand are answered first
 */
#ifndef DM_HTTP_HTTP_SERVER_H
#define DM_HTTP_HTTP_SERVER_H

#include "http/http_message.h"

struct dm_http_server;

/* By mirror->config->http; *out NULL when that is not set. CONFIG error for an address that cannot be used. */
enum dm_status dm_http_server_start(struct dm_mirror *mirror, struct dm_http_server **out,
                                    struct dm_error *err) DM_MUST_USE;
/* Would it start? listen: also whether the address is free, by listening there for a moment. config->http is set. */
enum dm_status dm_http_server_check(const struct dm_config *config, bool listen,
                                    struct dm_error *err) DM_MUST_USE;
void dm_http_server_stop(struct dm_http_server *s); /* NULL is fine */

/* "127.0.0.1:8181", "[::1]:8181", "localhost:8181", ":8181" (all addresses). *local: reachable from this machine only. */
struct sockaddr_storage;
enum dm_status dm_http_address_parse(const char *text, struct sockaddr_storage *out, bool *local,
                                     struct dm_error *err) DM_MUST_USE;

#endif
