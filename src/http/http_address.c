/* Where the server listens. */
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "http/http_server.h"

static bool is_local(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24) == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr) != 0;
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    return strtol(text, NULL, 10) <= 65535;
}

enum dm_status dm_http_address_parse(const char *text, struct sockaddr_storage *out, bool *local,
                                     struct dm_error *err)
{
    static const char how[] = "write an address and a port, as in \"127.0.0.1:8181\" or \"[::1]:8181\"";
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !is_port(colon + 1))
        return dm_fail(err, DM_ERROR_CONFIG, how, "http: \"%.100s\" has no port number", text);
    size_t n = (size_t)(colon - text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    char *host = dm_xasprintf("%.*s", (int)n, text);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    if (host[0] == '\0')
        hints.ai_family = AF_INET;
    int code = getaddrinfo(host[0] != '\0' ? host : NULL, colon + 1, &hints, &found);
    enum dm_status status = DM_OK;
    if (code != 0 || found == NULL) {
        status = dm_fail(err, DM_ERROR_CONFIG, how, "http: \"%.100s\": %s", host, gai_strerror(code));
    } else {
        memset(out, 0, sizeof *out);
        memcpy(out, found->ai_addr, found->ai_addrlen);
        *local = is_local(out);
        freeaddrinfo(found);
    }
    free(host);
    return status;
}
