#include "http/http_gate.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#include "mirror/mirror.h"

void dm_http_gate_init(struct dm_http_gate *g, const struct dm_config *config)
{
    *g = (struct dm_http_gate){.config = config};
    (void)pthread_mutex_init(&g->lock, NULL);
}

void dm_http_gate_release(struct dm_http_gate *g)
{
    (void)pthread_mutex_destroy(&g->lock);
}

/* ---- host and origin ---- */

/* The host without its port: "[::1]:8181", "localhost:8181". false: it is none. */
static bool host_name(const char *host, char *out, size_t size)
{
    const char *begin = host, *end = host[0] == '[' ? strchr(host, ']') : host + strcspn(host, ":");
    if (end == NULL)
        return false;
    const char *port = host[0] == '[' ? end + 1 : end;
    begin += host[0] == '[';
    size_t n = (size_t)(end - begin);
    if (n == 0 || n >= size ||
        (*port != '\0' && (*port != ':' || strspn(port + 1, "0123456789") != strlen(port + 1))))
        return false;
    memcpy(out, begin, n);
    out[n] = '\0';
    return true;
}

static bool is_ours(const struct dm_http_gate *g, const char *host)
{
    char name[256];
    unsigned char address[16];
    if (!host_name(host, name, sizeof name))
        return false;
    if (strcasecmp(name, "localhost") == 0 ||
        inet_pton(host[0] == '[' ? AF_INET6 : AF_INET, name, address) == 1)
        return true; /* nobody can make an address, or localhost, point elsewhere than it does */
    for (size_t i = 0; i < g->config->n_http_hosts; i++)
        if (strcasecmp(name, g->config->http_hosts[i]) == 0)
            return true;
    return false;
}

/* Pages of this server: "http://" or "https://" (a proxy's) and the very Host that was asked. */
static bool is_own_page(const char *origin, const char *host)
{
    size_t scheme = strncasecmp(origin, "http://", 7) == 0    ? 7
                    : strncasecmp(origin, "https://", 8) == 0 ? 8
                                                              : 0;
    return scheme > 0 && strcasecmp(origin + scheme, host) == 0;
}

static bool check_asker(const struct dm_http_gate *g, const struct dm_http_request *r,
                        struct dm_http_reply *reply)
{
    const char *host = dm_http_header(r, MHD_HTTP_HEADER_HOST);
    const char *origin = dm_http_header(r, MHD_HTTP_HEADER_ORIGIN),
               *site = dm_http_header(r, "Sec-Fetch-Site");
    if (host == NULL || !is_ours(g, host))
        dm_http_refuse(reply, MHD_HTTP_FORBIDDEN, "foreign_host",
                       "ask by address, or add the name to http_hosts",
                       "this server is not known as \"%.100s\"", host != NULL ? host : "");
    else if ((origin != NULL && !is_own_page(origin, host)) ||
             (site != NULL && strcasecmp(site, "same-origin") != 0 && strcasecmp(site, "none") != 0))
        dm_http_refuse(reply, MHD_HTTP_FORBIDDEN, "foreign_origin",
                       "ask from a program, not from a page of another site",
                       "pages of %.100s may not ask this server", origin != NULL ? origin : "other sites");
    return reply->status == 0;
}

/* ---- token and type ---- */

/* Takes the same time whatever differs. */
static bool equal_secret(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned char difference = n != m;
    for (size_t i = 0; i < n; i++)
        difference |= (unsigned char)(a[i] ^ b[m == 0 ? 0 : i % m]);
    return difference == 0;
}

static bool check_token(const struct dm_http_gate *g, const struct dm_http_request *r,
                        struct dm_http_reply *reply)
{
    static const char scheme[] = "Bearer ";
    const char *token = g->config->http_token, *sent = dm_http_header(r, MHD_HTTP_HEADER_AUTHORIZATION);
    if (token == NULL || (sent != NULL && strncasecmp(sent, scheme, sizeof scheme - 1) == 0 &&
                          equal_secret(sent + sizeof scheme - 1, token)))
        return true;
    dm_http_refuse(reply, MHD_HTTP_UNAUTHORIZED, "unauthorized",
                   "send the header \"Authorization: Bearer …\" with the configured http_token",
                   "this request needs the token");
    return false;
}

static bool check_type(const struct dm_http_request *r, const struct dm_http_route *route,
                       struct dm_http_reply *reply)
{
    static const char json[] = "application/json";
    const char *sent = dm_http_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t n = sent != NULL ? strcspn(sent, "; \t") : 0;
    if (route == NULL || route->body != DM_HTTP_JSON ||
        (n == sizeof json - 1 && strncasecmp(sent, json, n) == 0))
        return true;
    dm_http_refuse(reply, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "unknown_content_type",
                   "send the header \"Content-Type: application/json\"",
                   "Content-Type \"%.100s\" is not JSON's", sent != NULL ? sent : "");
    return false;
}

/* ---- room ---- */

static struct dm_http_machine machine_of(const struct dm_http_request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info != NULL && info->client_addr != NULL ? dm_http_machine_of(info->client_addr)
                                                     : (struct dm_http_machine){{0}};
}

static bool same(const struct dm_http_machine *a, const struct dm_http_machine *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool check_room(struct dm_http_gate *g, const struct dm_http_request *r, struct dm_http_reply *reply)
{
    struct dm_http_machine machine = machine_of(r);
    size_t of_it = 0;
    (void)pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < g->n; i++)
        of_it += same(&g->machines[i], &machine);
    bool room = g->n < DM_HTTP_MOST_IN_HAND && of_it < DM_HTTP_MOST_OF_A_MACHINE;
    if (room)
        g->machines[g->n++] = machine;
    (void)pthread_mutex_unlock(&g->lock);
    if (!room) {
        dm_http_refuse(reply, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "send it again later",
                       "%d requests are in hand, or %d of this address", (int)DM_HTTP_MOST_IN_HAND,
                       (int)DM_HTTP_MOST_OF_A_MACHINE);
        reply->retry_after = "1";
    }
    return room;
}

void dm_http_gate_leave(struct dm_http_gate *g, const struct dm_http_request *r)
{
    struct dm_http_machine machine = machine_of(r);
    (void)pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < g->n; i++)
        if (same(&g->machines[i], &machine)) {
            g->machines[i] = g->machines[--g->n];
            break;
        }
    (void)pthread_mutex_unlock(&g->lock);
}

bool dm_http_gate_pass(struct dm_http_gate *g, const struct dm_http_request *r,
                       const struct dm_http_route *route, bool *counted, struct dm_http_reply *reply)
{
    *counted = false;
    if (!check_asker(g, r, reply))
        return false;
    if (route != NULL && route->open)
        return true;
    if (!check_token(g, r, reply) || !check_type(r, route, reply))
        return false;
    return *counted = check_room(g, r, reply);
}
