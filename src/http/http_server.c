#include "http/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_shorten.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/http_door.h"
#include "http/http_gate.h"
#include "http/http_parameters.h"
#include "http/http_routes.h"

/* More connections than the gate lets requests in: health and refusals find room. */
enum {
    most_connections = DM_HTTP_MOST_IN_HAND + 160,
    idle_seconds = 60,
    refused_seconds = 5, /* for the rest of a request that was refused */
    slowest_body = 1024, /* bytes a second, after idle_seconds */
    end_wait_ms = 30000
};

struct dm_http_server {
    struct dm_mirror *mirror;
    struct MHD_Daemon *daemon;
    struct dm_http_gate gate;
    struct dm_http_door *door;
    struct dm_push_queue *pushes;
    char *folder; /* of bodies */
    atomic_ulong next_body;
    atomic_int in_hand; /* requests */
};

/* One request from its first byte to its reply. */
struct exchange {
    struct dm_http_request request;
    const struct dm_http_route *route;
    struct dm_http_reply reply; /* status 0: not decided yet */
    bool counted;               /* by the gate */
    int64_t begun_us;
    XXH3_state_t *hash;
    int fd; /* of the body; -1: none */
};

/* ---- bodies ---- */

static bool store(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t wrote = write(fd, bytes, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        bytes += wrote;
        n -= (size_t)wrote;
    }
    return true;
}

static void open_body(struct dm_http_server *s, struct exchange *x)
{
    x->request.body_path =
        dm_xasprintf("%s/%d-%lu", s->folder, (int)getpid(), atomic_fetch_add(&s->next_body, 1));
    x->fd = open(x->request.body_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    x->hash = XXH3_createState();
    if (x->hash != NULL)
        (void)XXH3_128bits_reset(x->hash);
    if (x->fd < 0 || x->hash == NULL)
        dm_http_refuse(&x->reply, MHD_HTTP_SERVICE_UNAVAILABLE, "no_room", "send it again later",
                       "the body cannot be stored in %s: %s", s->folder, strerror(errno));
}

static void too_large(const struct dm_http_server *s, struct exchange *x)
{
    dm_http_refuse(&x->reply, MHD_HTTP_CONTENT_TOO_LARGE, "body_too_large",
                   "send it in parts, or raise http_max_body", "the body is larger than %llu bytes",
                   (unsigned long long)s->mirror->config->http_max_body);
}

/* What comes after a refusal is read and dropped for a while, so that the client gets to hear the refusal. false: it takes too long. */
static bool in_time(const struct exchange *x)
{
    int64_t seconds = (dm_clock_monotonic_us() - x->begun_us) / 1000000;
    if (x->reply.status != 0)
        return seconds <= refused_seconds;
    return seconds <= idle_seconds + (int64_t)(x->request.body_bytes / slowest_body);
}

static void take_bytes(struct dm_http_server *s, struct exchange *x, const char *bytes, size_t n)
{
    if (x->reply.status != 0 || x->fd < 0)
        return;
    x->request.body_bytes += n;
    if (x->request.body_bytes > s->mirror->config->http_max_body)
        too_large(s, x);
    else if (!store(x->fd, bytes, n))
        dm_http_refuse(&x->reply, MHD_HTTP_SERVICE_UNAVAILABLE, "no_room", "send it again later",
                       "the body cannot be stored: %s", strerror(errno));
    else
        (void)XXH3_128bits_update(x->hash, bytes, n);
}

static void finish_body(struct exchange *x)
{
    if (x->fd < 0)
        return;
    (void)close(x->fd);
    x->fd = -1;
    XXH128_hash_t h = XXH3_128bits_digest(x->hash);
    (void)snprintf(x->request.body_hash, sizeof x->request.body_hash, "%016llx%016llx",
                   (unsigned long long)h.high64, (unsigned long long)h.low64);
}

/* ---- requests ---- */

static void begin(struct dm_http_server *s, struct exchange *x)
{
    bool known = false;
    x->route = dm_http_route_find(x->request.method, x->request.path, &x->request.parameter, &known);
    if (!dm_http_gate_pass(&s->gate, &x->request, x->route, &x->counted, &x->reply))
        return;
    if (x->route == NULL) {
        if (known)
            dm_http_refuse(&x->reply, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", NULL,
                           "%s is not a method of %s", x->request.method, x->request.path);
        else
            dm_http_refuse(&x->reply, MHD_HTTP_NOT_FOUND, "not_found",
                           "changes are pushed with POST /v1/datasets/{name}/changes; docs/http.md lists all",
                           "there is nothing at %s", x->request.path);
        return;
    }
    if (!dm_http_parameters_check(&x->request, x->route->parameters, &x->reply))
        return;
    const char *length = dm_http_header(&x->request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length != NULL && strtoull(length, NULL, 10) > s->mirror->config->http_max_body)
        too_large(s, x);
    else if (x->route->body != DM_HTTP_NO_BODY)
        open_body(s, x);
}

/* A line, or nothing for a reply without a body; malloc'ed. */
static char *reply_text(const struct exchange *x)
{
    if (x->reply.body == NULL)
        return dm_xstrdup("");
    char *text = json_dumps(x->reply.body, JSON_COMPACT);
    char *line = dm_xasprintf("%s\n", text != NULL ? dm_json_shorten(text) : "{}");
    free(text);
    return line;
}

static enum MHD_Result send_reply(struct exchange *x)
{
    char *line = reply_text(x);
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(line), line, MHD_RESPMEM_MUST_FREE); /* frees `line` */
    if (r == NULL) {
        free(line);
        return MHD_NO;
    }
    static const char *const always[][2] = {
        {MHD_HTTP_HEADER_CONNECTION, "close"}, /* http_door.h saw one head */
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Cross-Origin-Resource-Policy", "same-origin"}};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        (void)MHD_add_response_header(r, always[i][0], always[i][1]);
    if (x->reply.body != NULL)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    if (x->reply.retry_after != NULL)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, x->reply.retry_after);
    if (x->reply.status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    enum MHD_Result result = MHD_queue_response(x->request.connection, x->reply.status, r);
    MHD_destroy_response(r);
    return result;
}

static struct exchange *new_exchange(struct dm_http_server *s, struct MHD_Connection *connection,
                                     const char *url, const char *method)
{
    struct exchange *x = dm_xzalloc(1, sizeof *x);
    x->fd = -1;
    x->begun_us = dm_clock_monotonic_us();
    x->request = (struct dm_http_request){.connection = connection,
                                          .mirror = s->mirror,
                                          .pushes = s->pushes,
                                          .method = method,
                                          .path = dm_xstrdup(url)};
    atomic_fetch_add(&s->in_hand, 1);
    return x;
}

/* libmicrohttpd calls it with the headers, then with each piece of the body, then once more without one. */
static enum MHD_Result handle(void *ctx, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *bytes, size_t *n,
                              void **state)
{
    (void)version;
    struct dm_http_server *s = ctx;
    struct exchange *x = *state;
    if (x == NULL) {
        x = *state = new_exchange(s, connection, url, method);
        begin(s, x);
        if (x->reply.status == MHD_HTTP_SERVICE_UNAVAILABLE)
            return send_reply(x); /* no thread waits for the body of one that has no place */
        if (x->reply.status != 0)
            (void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                                            (unsigned)refused_seconds);
        return MHD_YES;
    }
    if (*n > 0) {
        if (!in_time(x))
            return MHD_NO;
        take_bytes(s, x, bytes, *n);
        *n = 0;
        return MHD_YES;
    }
    finish_body(x);
    if (x->reply.status == 0)
        x->route->answer(&x->request, &x->reply);
    return send_reply(x);
}

static void end_exchange(void *ctx, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)connection;
    (void)code;
    struct dm_http_server *s = ctx;
    struct exchange *x = *state;
    if (x == NULL)
        return;
    if (x->counted)
        dm_http_gate_leave(&s->gate, &x->request);
    if (x->fd >= 0)
        (void)close(x->fd);
    if (x->request.body_path != NULL)
        (void)unlink(x->request.body_path);
    XXH3_freeState(x->hash);
    free(x->request.body_path);
    free(x->request.path);
    free(x->request.parameter);
    json_decref(x->reply.body);
    dm_http_json_release(&x->request);
    free(x);
    *state = NULL;
    atomic_fetch_sub(&s->in_hand, 1);
}

/* ---- the server ---- */

/* A socket that listens at the configured address. */
static enum dm_status open_socket(const struct dm_config *config, const struct sockaddr_storage *address,
                                  int *out, struct dm_error *err)
{
    bool six = address->ss_family == AF_INET6;
    socklen_t n = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int yes = 1, fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind(fd, (const struct sockaddr *)(const void *)address, n) == 0 && listen(fd, SOMAXCONN) == 0) {
        *out = fd;
        return DM_OK;
    }
    int code = errno;
    if (fd >= 0)
        (void)close(fd);
    return dm_fail(err, code == EADDRINUSE ? DM_ERROR_TRANSIENT : DM_ERROR_CONFIG,
                   "choose another address or port for http", "http: cannot listen at %s: %s", config->http,
                   strerror(code));
}

/* fd NULL: what the configuration says is looked at, and no more. */
static enum dm_status open_address(const struct dm_config *config, int *fd, struct dm_error *err)
{
    struct sockaddr_storage address;
    bool local = false;
    if (dm_http_address_parse(config->http, &address, &local, err) != DM_OK)
        return DM_FAIL;
    if (!local && config->http_token == NULL)
        return dm_fail(err, DM_ERROR_CONFIG, "set http_token: ${NAME}, or listen on 127.0.0.1 only",
                       "http: %s can be reached from other machines, and no http_token is set", config->http);
    return fd != NULL ? open_socket(config, &address, fd, err) : DM_OK;
}

enum dm_status dm_http_server_check(const struct dm_config *config, bool listen, struct dm_error *err)
{
    int fd = -1;
    enum dm_status status = open_address(config, listen ? &fd : NULL, err);
    if (fd >= 0)
        (void)close(fd);
    return status;
}

/* From the door, with the head of a request. */
static void take_connection(void *ctx, int take_fd, const struct sockaddr *address, socklen_t n)
{
    struct dm_http_server *s = ctx;
    (void)MHD_add_connection(s->daemon, take_fd, address, n); /* closes it when it has no room */
}

static enum dm_status listen_at(struct dm_http_server *s, struct dm_error *err)
{
    const struct dm_config *config = s->mirror->config;
    int fd = -1;
    if (open_address(config, &fd, err) != DM_OK)
        return DM_FAIL;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC |
                     MHD_USE_NO_LISTEN_SOCKET;
    s->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, handle, s, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)most_connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)idle_seconds,
                         MHD_OPTION_NOTIFY_COMPLETED, end_exchange, s, MHD_OPTION_END);
    if (s->daemon != NULL)
        return dm_http_door_open(fd, take_connection, s, &s->door, err);
    (void)close(fd);
    return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "http: the server at %s cannot be started: %s",
                   config->http, strerror(errno));
}

enum dm_status dm_http_server_start(struct dm_mirror *mirror, struct dm_http_server **out,
                                    struct dm_error *err)
{
    *out = NULL;
    if (mirror->config->http == NULL)
        return DM_OK;
    struct dm_http_server *s = dm_xzalloc(1, sizeof *s);
    s->mirror = mirror;
    dm_http_gate_init(&s->gate, mirror->config);
    s->folder = dm_xasprintf("%s/.push", mirror->config->lake);
    enum dm_status status =
        dm_file_remove_tree(s->folder, err); /* what a killed mirror had in hand was not answered */
    if (status == DM_OK)
        status = dm_file_make_folders(s->folder, err);
    if (status == DM_OK)
        status = dm_push_queue_start(mirror, &s->pushes, err);
    if (status == DM_OK)
        status = listen_at(s, err);
    if (status != DM_OK) {
        dm_http_server_stop(s);
        return DM_FAIL;
    }
    dm_log(DM_LOG_INFO, "http: listening at %s", mirror->config->http);
    *out = s;
    return DM_OK;
}

void dm_http_server_stop(struct dm_http_server *s)
{
    if (s == NULL)
        return;
    struct dm_error err = {0};
    if (s->daemon != NULL) {
        dm_http_door_close(s->door); /* no new requests */
        for (int waited = 0; s->in_hand > 0 && waited < end_wait_ms; waited += 10)
            dm_clock_sleep_ms(10);
        MHD_stop_daemon(s->daemon);
    }
    dm_push_queue_stop(s->pushes);
    if (dm_file_remove_tree(s->folder, &err) != DM_OK)
        dm_log_error(DM_LOG_WARN, "http", &err);
    dm_http_gate_release(&s->gate);
    free(s->folder);
    free(s);
}
