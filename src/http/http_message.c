#include "http/http_message.h"

#include <microhttpd.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/file.h"

const char *dm_http_header(const struct dm_http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *dm_http_query(const struct dm_http_request *r, const char *name)
{
    const char *value = NULL;
    size_t n = 0;
    if (MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &n) !=
        MHD_YES)
        return NULL;
    return value != NULL ? value : "";
}

bool dm_http_is_flag(const char *value)
{
    return strcmp(value, "1") == 0 || strcmp(value, "0") == 0 || strcasecmp(value, "true") == 0 ||
           strcasecmp(value, "false") == 0;
}

bool dm_http_query_is(const struct dm_http_request *r, const char *name)
{
    const char *value = dm_http_query(r, name);
    return value != NULL && (value[0] == '\0' || strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0);
}

bool dm_http_client_gone(void *request)
{
    const struct dm_http_request *r = request;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd fd = {.fd = info != NULL ? info->connect_fd : -1, .events = POLLRDHUP};
    return info != NULL && poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static json_t *parse(const struct dm_buffer *bytes, struct dm_http_reply *reply)
{
    json_error_t where;
    json_t *body = json_loadb((const char *)bytes->data, bytes->len, JSON_REJECT_DUPLICATES, &where);
    if (body == NULL)
        dm_http_refuse(reply, MHD_HTTP_BAD_REQUEST, "not_json", NULL,
                       "the body is not JSON: line %d, column %d: %s", where.line, where.column, where.text);
    return body;
}

/* What jansson makes of a text is many times as large ("{}," becomes 250 bytes), and many requests come at once: an eighth of memory_limit is for
 * all of them together. */
static atomic_uint_fast64_t json_bytes_in_hand;

static uint64_t bytes_as_values(const struct dm_buffer *text)
{
    enum { object = 256, array = 144, value = 100 };
    uint64_t bytes = text->len;
    bool quoted = false;
    for (size_t i = 0; i < text->len; i++) {
        uint8_t c = text->data[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted)
            bytes += c == '{' ? object : c == '[' ? array : c == ',' || c == ':' ? value : 0;
    }
    return bytes;
}

static bool reserve(struct dm_http_request *r, const struct dm_buffer *text, struct dm_http_reply *reply)
{
    uint64_t most = dm_mirror_portion(r->mirror, 2), wanted = bytes_as_values(text);
    if (wanted > most) {
        dm_http_refuse(reply, MHD_HTTP_CONTENT_TOO_LARGE, "body_too_large",
                       "send it in pieces, or raise memory_limit",
                       "the body holds more values than there is memory for");
        return false;
    }
    if (atomic_fetch_add(&json_bytes_in_hand, wanted) + wanted > most) {
        (void)atomic_fetch_sub(&json_bytes_in_hand, wanted);
        dm_http_refuse(reply, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "send it again",
                       "other requests have the memory that this one needs");
        return false;
    }
    r->json_bytes = wanted;
    return true;
}

void dm_http_json_release(struct dm_http_request *r)
{
    (void)atomic_fetch_sub(&json_bytes_in_hand, r->json_bytes);
    r->json_bytes = 0;
}

json_t *dm_http_json(struct dm_http_request *r, struct dm_http_reply *reply)
{
    const char *encoding = dm_http_header(r, MHD_HTTP_HEADER_CONTENT_ENCODING);
    struct dm_error err = {0};
    struct dm_buffer bytes;
    json_t *body = NULL;
    if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        dm_http_refuse(reply, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "unknown_content_encoding", "send it as it is",
                       "Content-Encoding \"%.100s\" is not for this request", encoding);
        return NULL;
    }
    if (r->body_bytes > DM_HTTP_JSON_MAX) {
        dm_http_refuse(reply, MHD_HTTP_CONTENT_TOO_LARGE, "body_too_large", NULL,
                       "the body is larger than %zu bytes", DM_HTTP_JSON_MAX);
        return NULL;
    }
    dm_buffer_init(&bytes, DM_HTTP_JSON_MAX + 1);
    if (dm_file_read(r->body_path, &bytes, &err) != DM_OK)
        dm_http_refuse_error(reply, &err);
    else if (reserve(r, &bytes, reply))
        body = parse(&bytes, reply);
    dm_buffer_release(&bytes);
    return body;
}

static json_t *text_or_null(const char *text)
{
    json_t *value = text != NULL && text[0] != '\0' ? json_string(text) : NULL;
    return value != NULL ? value : json_null();
}

void dm_http_refuse(struct dm_http_reply *reply, unsigned status, const char *code, const char *hint,
                    const char *fmt, ...)
{
    char message[1200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    json_decref(reply->body);
    reply->status = status;
    reply->retry_after = status == MHD_HTTP_SERVICE_UNAVAILABLE ? "5" : NULL;
    json_t *error = json_object();
    (void)json_object_set_new(error, "code", json_string(code));
    (void)json_object_set_new(error, "message", text_or_null(message));
    (void)json_object_set_new(error, "hint", text_or_null(hint));
    const char *title = MHD_get_reason_phrase_for(status);
    reply->body = json_object();
    (void)json_object_set_new(reply->body, "title", json_string(title != NULL ? title : code));
    (void)json_object_set_new(reply->body, "status", json_integer(status));
    (void)json_object_set_new(reply->body, "detail", text_or_null(message));
    (void)json_object_set_new(reply->body, "hint", text_or_null(hint));
    (void)json_object_set_new(reply->body, "error", error);
}

void dm_http_refuse_error(struct dm_http_reply *reply, const struct dm_error *err)
{
    static const struct {
        unsigned status;
        const char *code;
    } answers[] = {
        [DM_ERROR_NONE] = {MHD_HTTP_INTERNAL_SERVER_ERROR, "internal"},
        [DM_ERROR_TRANSIENT] = {MHD_HTTP_SERVICE_UNAVAILABLE, "try_again"},
        [DM_ERROR_MEMORY] = {MHD_HTTP_SERVICE_UNAVAILABLE, "out_of_memory"},
        [DM_ERROR_DATA] = {MHD_HTTP_UNPROCESSABLE_CONTENT, "bad_data"},
        [DM_ERROR_CONFIG] = {MHD_HTTP_BAD_REQUEST, "bad_request"},
        [DM_ERROR_CONFLICT] = {MHD_HTTP_CONFLICT, "conflict"},
        [DM_ERROR_FATAL] = {MHD_HTTP_INTERNAL_SERVER_ERROR, "internal"},
    };
    dm_http_refuse(reply, answers[err->class].status, answers[err->class].code, err->hint, "%s",
                   err->message);
}
