/* http_door.h — accepts connections and hands each on when the head of its request is there, whole and well formed (http_head.h).
 *
 * One thread waits for all heads at once, so a client that is slow, silent or many costs neither a thread nor a place among those being answered:
 *
 *   - a head must be there within `head_seconds`, or the connection is closed (408);
 *   - at most `most_waiting` connections wait; when one more comes, the address that has most of them loses its oldest;
 *   - bytes are looked at, not taken (MSG_PEEK): who answers reads them from the beginning.
 *
 *     dm_http_door_open(fd, take, ctx, &door, err);   // take(ctx, fd, address, n): owns fd
 *     dm_http_door_close(door);                       // no new requests from here on
 */
#ifndef DM_HTTP_HTTP_DOOR_H
#define DM_HTTP_HTTP_DOOR_H

#include <sys/socket.h>

#include "base/error.h"

struct dm_http_door;

typedef void (*dm_http_take_fn)(void *ctx, int take_fd, const struct sockaddr *address, socklen_t n);

/* Owns the listening socket, also when it fails. */
enum dm_status dm_http_door_open(int take_listening, dm_http_take_fn take, void *ctx,
                                 struct dm_http_door **out, struct dm_error *err) DM_MUST_USE;
void dm_http_door_close(struct dm_http_door *door); /* NULL is fine */

/* The machine that an address is of, in a form that compares: IPv4 as mapped into IPv6, of IPv6 the first 64 bits, which one machine has for itself. */
struct dm_http_machine {
    unsigned char bytes[16];
};
struct dm_http_machine dm_http_machine_of(const struct sockaddr *address);

#endif
