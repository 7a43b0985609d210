#include "http/http_message.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
    reply->body = json_object();
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
        [DM_ERROR_DATA] = {MHD_HTTP_UNPROCESSABLE_CONTENT, "bad_data"},
        [DM_ERROR_CONFIG] = {MHD_HTTP_BAD_REQUEST, "bad_request"},
        [DM_ERROR_CONFLICT] = {MHD_HTTP_CONFLICT, "conflict"},
        [DM_ERROR_FATAL] = {MHD_HTTP_INTERNAL_SERVER_ERROR, "internal"},
    };
    dm_http_refuse(reply, answers[err->class].status, answers[err->class].code, err->hint, "%s",
                   err->message);
}
