/* POST /v1/datasets/{name}/changes: a piece of change input, answered when it is committed. */
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/memory.h"
#include "http/http_routes.h"

enum { longest_key = 255 };

struct content {
    enum dm_change_format format;
    const char *suffix; /* readers go by the file's name */
};

/* The media type, without its parameters. */
static bool media_is(const char *sent, const char *wanted)
{
    size_t n = strcspn(sent, "; \t");
    return n == strlen(wanted) && strncasecmp(sent, wanted, n) == 0;
}

static bool content_of(const struct dm_http_request *r, struct content *out, struct dm_http_reply *reply)
{
    static const struct {
        const char *media;
        struct content content;
    } known[] = {
        {"application/x-ndjson", {DM_CHANGES_JSON, ".ndjson"}},
        {"application/ndjson", {DM_CHANGES_JSON, ".ndjson"}},
        {"application/jsonl", {DM_CHANGES_JSON, ".ndjson"}},
        {"application/json", {DM_CHANGES_JSON, ".json"}},
        {"text/csv", {DM_CHANGES_CSV, ".csv"}},
        {"application/vnd.apache.parquet", {DM_CHANGES_PARQUET, ".parquet"}},
        /* what clients send when nobody told them */
        {"application/octet-stream", {DM_CHANGES_AUTO, ""}},
        {"application/x-www-form-urlencoded", {DM_CHANGES_AUTO, ""}},
    };
    const char *sent = dm_http_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    *out = (struct content){DM_CHANGES_AUTO, ""};
    if (sent == NULL)
        return true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (media_is(sent, known[i].media)) {
            *out = known[i].content;
            return true;
        }
    dm_http_refuse(reply, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "unknown_content_type",
                   "send application/x-ndjson, application/json, text/csv or application/vnd.apache.parquet",
                   "Content-Type \"%.100s\" is not one that changes can be read from", sent);
    return false;
}

static bool encoding_of(const struct dm_http_request *r, const char **suffix, struct dm_http_reply *reply)
{
    const char *sent = dm_http_header(r, MHD_HTTP_HEADER_CONTENT_ENCODING);
    *suffix = "";
    if (sent == NULL || strcasecmp(sent, "identity") == 0)
        return true;
    if (strcasecmp(sent, "gzip") == 0)
        *suffix = ".gz";
    else if (strcasecmp(sent, "zstd") == 0)
        *suffix = ".zst";
    if ((*suffix)[0] != '\0')
        return true;
    dm_http_refuse(reply, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "unknown_content_encoding",
                   "gzip and zstd are fine", "Content-Encoding \"%.100s\" is not known", sent);
    return false;
}

static bool fill_options(const struct dm_http_request *r, struct dm_intake_job *job,
                         struct dm_http_reply *reply)
{
    const char *delimiter = dm_http_query(r, "delimiter");
    job->options.delimiter = delimiter != NULL ? delimiter[0] : '\0';
    job->options.null_text = dm_http_query(r, "null");
    job->options.strict_columns = dm_http_query_is(r, "strict_columns");
    job->dry_run = dm_http_query_is(r, "dry_run");
    job->options.max_unpacked_bytes = r->mirror->config->http_max_unpacked;
    job->max_bad = (uint64_t)r->mirror->config->http_max_quarantined;
    job->gone = dm_http_client_gone;
    job->gone_ctx = (void *)(uintptr_t)r;
    const char *key = dm_http_header(r, "Idempotency-Key");
    if (key != NULL && (key[0] == '\0' || strlen(key) > longest_key)) {
        dm_http_refuse(reply, MHD_HTTP_BAD_REQUEST, "bad_request", "a UUID is a good one",
                       "Idempotency-Key wants 1 to %d characters", longest_key);
        return false;
    }
    job->receipt_kind = key != NULL ? "request" : NULL;
    job->receipt_key = key;
    job->receipt_check = r->body_hash;
    return true;
}

static json_t *counts_json(const struct dm_intake_job *job)
{
    const struct dm_row_counts *c = &job->counts;
    json_t *notes = json_array();
    for (size_t i = 0; i < job->n_notes; i++)
        (void)json_array_append_new(notes, json_string(job->notes[i]));
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {{"received", c->received},
                  {"upserted", c->upserted},
                  {"deleted", c->deleted},
                  {"stale", c->stale},
                  {"ties", c->ties},
                  {"noop_deletes", c->noop_deletes},
                  {"suppressed", c->suppressed},
                  {"quarantined", c->quarantined},
                  {"waiting", c->waiting}};
    json_t *o = json_object();
    (void)json_object_set_new(o, "dataset", json_string(job->dataset));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        (void)json_object_set_new(o, counts[i].name, json_integer((json_int_t)counts[i].count));
    (void)json_object_set_new(o, "repeated", json_boolean(job->repeated));
    (void)json_object_set_new(o, "dry_run", json_boolean(job->dry_run));
    (void)json_object_set_new(o, "notes", notes);
    return o;
}

static void answer_of(const struct dm_http_request *r, struct dm_intake_job *job, struct dm_http_reply *reply)
{
    if (job->error.class == DM_ERROR_NONE) {
        reply->status = MHD_HTTP_OK;
        reply->body = counts_json(job);
        if (job->counts.quarantined > 0)
            (void)json_object_set_new(reply->body, "origin", json_string(job->origin));
    } else if (job->unknown_dataset) {
        dm_http_refuse(reply, MHD_HTTP_NOT_FOUND, "unknown_dataset", job->error.hint, "%s",
                       job->error.message);
    } else {
        dm_http_refuse_error(reply, &job->error);
    }
    (void)r;
}

/* Names the request in the quarantine. */
static char *origin_of(const struct dm_http_request *r)
{
    const char *key = dm_http_header(r, "Idempotency-Key");
    if (key != NULL)
        return dm_xasprintf("request %s", key);
    uint64_t id = 0;
    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
        id = (uint64_t)(uintptr_t)r;
    return dm_xasprintf("request %016" PRIx64, id);
}

void dm_http_push(struct dm_http_request *r, struct dm_http_reply *reply)
{
    struct content content;
    const char *compression = "";
    struct dm_intake_job job = {.dataset = r->parameter, .source = "push"};
    if (!content_of(r, &content, reply) || !encoding_of(r, &compression, reply) ||
        !fill_options(r, &job, reply))
        return;
    char *path = dm_xasprintf("%s%s%s", r->body_path, content.suffix, compression);
    char *origin = origin_of(r);
    struct dm_error err = {0};
    if (rename(r->body_path, path) != 0) {
        (void)dm_fail_errno(&err, "cannot rename %s", r->body_path);
        dm_http_refuse_error(reply, &err);
    } else {
        job.path = path;
        job.origin = origin;
        job.options.format = content.format;
        if (dm_push(r->pushes, &job, &err) != DM_OK)
            dm_http_refuse_error(reply, &err);
        else
            answer_of(r, &job, reply);
        (void)unlink(path);
    }
    dm_intake_job_release(&job);
    free(origin);
    free(path);
}
