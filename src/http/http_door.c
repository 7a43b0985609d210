#include "http/http_door.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/thread.h"
#include "http/http_head.h"

enum { most_waiting = 256, head_seconds = 10, look_ms = 250 };

struct visitor {
    int fd;
    int64_t since_us;
    struct sockaddr_storage address;
    socklen_t address_size;
    struct dm_http_machine machine;
};

struct dm_http_door {
    int listening;
    dm_http_take_fn take;
    void *ctx;
    struct dm_thread thread;
    atomic_bool closing;
    size_t n; /* in order of arrival */
    struct visitor visitors[most_waiting];
    char head[DM_HTTP_HEAD_MAX];
};

struct dm_http_machine dm_http_machine_of(const struct sockaddr *address)
{
    struct dm_http_machine m = {{0}};
    if (address->sa_family == AF_INET) {
        m.bytes[10] = m.bytes[11] = 0xff;
        memcpy(m.bytes + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const unsigned char *six = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
        memcpy(m.bytes, six, mapped ? 16 : 8);
    }
    return m;
}

/* The socket of visitor i goes elsewhere. */
static void forget(struct dm_http_door *d, size_t i)
{
    d->n--;
    memmove(d->visitors + i, d->visitors + i + 1, (d->n - i) * sizeof *d->visitors);
}

static void drop(struct dm_http_door *d, size_t i)
{
    (void)close(d->visitors[i].fd);
    forget(d, i);
}

/* Answers without HTTP's machinery and closes. What fits into the socket's buffer is said; nobody waits for the client. */
static void refuse(struct dm_http_door *d, size_t i, const char *status, const char *code,
                   const char *message)
{
    char body[512], text[1024];
    int fd = d->visitors[i].fd;
    int n = snprintf(body, sizeof body,
                     "{\"title\":\"%s\",\"status\":%.3s,\"detail\":\"%s\",\"hint\":null,"
                     "\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"hint\":null}}\n",
                     status + 4, status, message, code, message);
    int m = snprintf(text, sizeof text,
                     "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                     "Connection: close\r\n\r\n%s",
                     status, n, body);
    (void)!send(fd, text, (size_t)m, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, d->head, sizeof d->head, MSG_DONTWAIT) > 0)
        ; /* unread bytes would make the system cut the answer off */
    drop(d, i);
}

/* The oldest of the address that has most of those waiting. */
static size_t most_present(const struct dm_http_door *d)
{
    size_t best = 0, most = 0;
    for (size_t i = 0; i < d->n; i++) {
        size_t same = 0;
        for (size_t j = i; j < d->n; j++)
            same +=
                memcmp(&d->visitors[i].machine, &d->visitors[j].machine, sizeof d->visitors[i].machine) == 0;
        if (same > most) {
            most = same;
            best = i;
        }
    }
    return best;
}

static void let_in(struct dm_http_door *d)
{
    struct visitor v = {.address_size = sizeof v.address, .since_us = dm_clock_monotonic_us()};
    v.fd = accept4(d->listening, (struct sockaddr *)(void *)&v.address, &v.address_size,
                   SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (v.fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            dm_clock_sleep_ms(look_ms); /* poll would say at once that somebody is there */
        return;
    }
    if (d->n == most_waiting)
        drop(d, most_present(d));
    v.machine = dm_http_machine_of((const struct sockaddr *)(const void *)&v.address);
    d->visitors[d->n++] = v;
}

static void hand_on(struct dm_http_door *d, size_t i)
{
    struct visitor v = d->visitors[i];
    int one = 1;
    forget(d, i);
    (void)setsockopt(v.fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
    d->take(d->ctx, v.fd, (const struct sockaddr *)(const void *)&v.address, v.address_size);
}

/* What more would tell us something is waited for; poll is silent until then. */
static void wait_for_more(struct visitor *v, size_t seen)
{
    int more = (int)seen + 1;
    (void)setsockopt(v->fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof more);
}

/* false: the visitor stays in the list. */
static bool look(struct dm_http_door *d, size_t i, bool closed)
{
    struct dm_error err = {0};
    ssize_t n = recv(d->visitors[i].fd, d->head, sizeof d->head, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR) && !closed)
        return false;
    enum dm_status status = n > 0 ? dm_http_head_check(d->head, (size_t)n, &err) : DM_TIMEOUT;
    if (status == DM_OK) {
        hand_on(d, i);
    } else if (status == DM_FAIL) {
        refuse(d, i, "400 Bad Request", "bad_request", err.message);
    } else if (n <= 0 || closed) {
        drop(d, i);
    } else {
        wait_for_more(&d->visitors[i], (size_t)n);
        return false;
    }
    return true;
}

static enum dm_status attend(void *ctx, struct dm_error *err)
{
    (void)err;
    struct dm_http_door *d = ctx;
    struct pollfd polls[most_waiting + 1];
    while (!d->closing) {
        size_t n = d->n;
        for (size_t i = 0; i < n; i++)
            polls[i] = (struct pollfd){.fd = d->visitors[i].fd, .events = POLLIN | POLLRDHUP};
        polls[n] = (struct pollfd){.fd = d->listening, .events = POLLIN};
        if (poll(polls, n + 1, look_ms) < 0 && errno != EINTR)
            dm_clock_sleep_ms(look_ms);
        int64_t late_us = dm_clock_monotonic_us() - (int64_t)head_seconds * 1000000;
        for (size_t i = n; i-- > 0;) { /* backwards: those that go leave the others' places */
            if (polls[i].revents != 0 && look(d, i, (polls[i].revents & ~POLLIN) != 0))
                continue;
            if (d->visitors[i].since_us < late_us)
                refuse(d, i, "408 Request Timeout", "timeout", "the request's headers did not come in time");
        }
        if (polls[n].revents != 0)
            let_in(d);
    }
    return DM_OK;
}

enum dm_status dm_http_door_open(int take_listening, dm_http_take_fn take, void *ctx,
                                 struct dm_http_door **out, struct dm_error *err)
{
    struct dm_http_door *d = dm_xzalloc(1, sizeof *d);
    d->listening = take_listening;
    d->take = take;
    d->ctx = ctx;
    int flags = fcntl(take_listening, F_GETFL);
    (void)fcntl(take_listening, F_SETFL, flags | O_NONBLOCK);
    if (dm_thread_start(&d->thread, "door", attend, d, err) != DM_OK) {
        (void)close(take_listening);
        free(d);
        return DM_FAIL;
    }
    *out = d;
    return DM_OK;
}

void dm_http_door_close(struct dm_http_door *d)
{
    if (d == NULL)
        return;
    struct dm_error err = {0};
    d->closing = true;
    if (dm_thread_join(&d->thread, &err) != DM_OK)
        (void)err; /* the thread has nothing to fail with */
    while (d->n > 0)
        drop(d, d->n - 1);
    (void)close(d->listening);
    free(d);
}
