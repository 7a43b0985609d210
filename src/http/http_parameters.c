#include "http/http_parameters.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

enum kind {
    FLAG,      /* dm_http_query_is */
    CHARACTER, /* one byte */
    TEXT
};

static const struct {
    enum dm_http_parameter parameter;
    const char *name;
    enum kind kind;
} parameters[] = {
    {DM_HTTP_DRY_RUN, "dry_run", FLAG},     {DM_HTTP_DROP_COLUMNS, "drop_columns", FLAG},
    {DM_HTTP_DROP_ROWS, "drop_rows", FLAG}, {DM_HTTP_DELIMITER, "delimiter", CHARACTER},
    {DM_HTTP_NULL, "null", TEXT},           {DM_HTTP_STRICT_COLUMNS, "strict_columns", FLAG},
    {DM_HTTP_SCHEMA, "schema", TEXT},       {DM_HTTP_LIVE, "live", FLAG},
};
enum { n_parameters = sizeof parameters / sizeof *parameters };

struct check {
    unsigned allowed, seen;
    struct dm_http_reply *reply;
};

static void list(unsigned allowed, char *out, size_t size)
{
    int n = snprintf(out, size, allowed == 0 ? "this request takes none" : "this request takes:");
    for (size_t i = 0; i < n_parameters; i++)
        if ((allowed & parameters[i].parameter) != 0)
            n += snprintf(out + n, size - (size_t)n, " %s", parameters[i].name);
}

static enum MHD_Result refuse(const struct check *c, const char *hint, const char *what, const char *name)
{
    dm_http_refuse(c->reply, MHD_HTTP_BAD_REQUEST, "bad_parameter", hint, "%s \"%.100s\"", what, name);
    return MHD_NO;
}

/* Why the value is none; NULL: it is one. `?name` has none (NULL). */
static const char *why_wrong(enum kind kind, const char *value, size_t n)
{
    bool whole = value == NULL || strlen(value) == n; /* %00 ends it early */
    if (kind == FLAG && value != NULL && (!whole || !dm_http_is_flag(value)))
        return "it is true or false, as in ?dry_run=true";
    if (kind == CHARACTER && (n != 1 || !whole))
        return "it is one character, as in ?delimiter=%3B";
    return whole ? NULL : "it has a zero byte";
}

static enum MHD_Result check_one(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                 const char *value, size_t n)
{
    (void)kind;
    (void)name_size;
    struct check *c = ctx;
    for (size_t i = 0; i < n_parameters; i++) {
        unsigned bit = parameters[i].parameter;
        if ((c->allowed & bit) == 0 || strcmp(parameters[i].name, name) != 0)
            continue;
        const char *hint = why_wrong(parameters[i].kind, value, n);
        if (hint != NULL)
            return refuse(c, hint, "wrong value of the parameter", name);
        if ((c->seen & bit) != 0)
            return refuse(c, "give it once", "given twice: the parameter", name);
        c->seen |= bit;
        return MHD_YES;
    }
    char hint[256];
    list(c->allowed, hint, sizeof hint);
    return refuse(c, hint, "unknown parameter", name);
}

bool dm_http_parameters_check(const struct dm_http_request *r, unsigned allowed, struct dm_http_reply *reply)
{
    struct check c = {.allowed = allowed, .reply = reply};
    (void)MHD_get_connection_values_n(r->connection, MHD_GET_ARGUMENT_KIND, check_one, &c);
    return reply->status == 0;
}
