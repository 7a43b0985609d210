/* http_gate.h — may this request be answered at all? The one place that decides, before a byte of the body is taken.
 *
 *   host          Host names this server: an address, localhost, or a name of http_hosts. A web page whose name was made to point here
 *                 (DNS rebinding) sends its own.                                                                   403 foreign_host
 *   origin        a browser says which page asks (Origin, Sec-Fetch-Site); only pages of this server may.          403 foreign_origin
 *   token         with http_token: Authorization: Bearer …; all routes but those that are open.                   401 unauthorized
 *   type          a route of JSON wants Content-Type: application/json, which no page can send elsewhere unasked.  415
 *   room          at most `most_in_hand` requests at once, and half of them of one machine; those that are open always come in.  503 busy
 *
 * Whether the head is well formed was decided before (http_head.h), how large a body may be is the server's matter.
 * One gate serves all threads.
 */
#ifndef DM_HTTP_HTTP_GATE_H
#define DM_HTTP_HTTP_GATE_H

#include <pthread.h>
#include <stdbool.h>

#include "http/http_door.h"
#include "http/http_routes.h"

enum { DM_HTTP_MOST_IN_HAND = 96, DM_HTTP_MOST_OF_A_MACHINE = 48 };

struct dm_http_gate {
    const struct dm_config *config;
    pthread_mutex_t lock;
    size_t n;
    struct dm_http_machine machines[DM_HTTP_MOST_IN_HAND]; /* of the requests in hand */
};

void dm_http_gate_init(struct dm_http_gate *gate, const struct dm_config *config);
void dm_http_gate_release(struct dm_http_gate *gate);

/* false: the reply says why not. `route` NULL: there is none; then only a request that might be answered gets to hear so. *counted: dm_http_gate_leave
 * is to be called once it is answered. */
bool dm_http_gate_pass(struct dm_http_gate *gate, const struct dm_http_request *r,
                       const struct dm_http_route *route, bool *counted, struct dm_http_reply *reply);
void dm_http_gate_leave(struct dm_http_gate *gate, const struct dm_http_request *r);

#endif
