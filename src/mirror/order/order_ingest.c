/* The order "ingest": files into one declared dataset, in the order given; each is in whole or not at all, and small ones share commits (intake.h).
 *
 *   {"dataset": "sales.orders", "id": "<unique>", "files": [{"path": "/abs/orders.csv", "origin": "orders.csv"}, …],
 *    "format": "csv", "delimiter": ";", "null": "NULL", "strict_columns": true, "dry_run": true}        (all but dataset, id, files optional)
 *   → {"dataset": …, "files": [{"file": …, "received": n, …, "notes": [...], "seconds": s, "error": {"class": n, "message": …, "hint": …}}, …]}
 *
 * A file that fails leaves nothing and does not hold up the others; when the lake cannot be written (disk full), the files after it are not tried. The
 * id makes it safe to run twice: each file leaves a receipt, and who runs again gets the same counts.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mirror/intake/intake.h"
#include "mirror/order/order_kinds.h"

static enum dm_status read_format(const char *word, enum dm_change_format *out, struct dm_error *err)
{
    static const struct {
        const char *word;
        enum dm_change_format format;
    } formats[] = {{"auto", DM_CHANGES_AUTO},
                   {"csv", DM_CHANGES_CSV},
                   {"json", DM_CHANGES_JSON},
                   {"ndjson", DM_CHANGES_JSON},
                   {"parquet", DM_CHANGES_PARQUET}};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(word != NULL ? word : "auto", formats[i].word) == 0) {
            *out = formats[i].format;
            return DM_OK;
        }
    }
    return dm_fail(err, DM_ERROR_CONFIG, "allowed are csv, json, ndjson, parquet",
                   "there is no format \"%s\"", word);
}

static enum dm_status read_options(const json_t *order, struct dm_change_options *out, struct dm_error *err)
{
    const char *delimiter = json_string_value(json_object_get(order, "delimiter"));
    *out =
        (struct dm_change_options){.version_field = -1,
                                   .delimiter = delimiter != NULL ? delimiter[0] : 0,
                                   .null_text = json_string_value(json_object_get(order, "null")),
                                   .strict_columns = json_is_true(json_object_get(order, "strict_columns"))};
    return read_format(json_string_value(json_object_get(order, "format")), &out->format, err);
}

json_t *dm_order_error_json(const struct dm_error *err)
{
    return json_pack("{s:i, s:s%, s:s%}", "class", (int)err->class, "message", err->message,
                     strlen(err->message), "hint", err->hint, strlen(err->hint));
}

static void put_count(json_t *o, const char *name, uint64_t n)
{
    json_object_set_new(o, name, json_integer((json_int_t)n));
}

json_t *dm_order_intake_json(const struct dm_intake_job *job)
{
    const struct dm_row_counts *c = &job->counts;
    json_t *o = json_object();
    put_count(o, "received", c->received);
    put_count(o, "upserted", c->upserted);
    put_count(o, "inserted", c->inserted);
    put_count(o, "deleted", c->deleted);
    put_count(o, "stale", c->stale);
    put_count(o, "ties", c->ties);
    put_count(o, "noop_deletes", c->noop_deletes);
    put_count(o, "suppressed", c->suppressed);
    put_count(o, "quarantined", c->quarantined);
    put_count(o, "waiting", c->waiting);
    json_t *notes = json_array();
    for (size_t i = 0; i < job->n_notes; i++)
        json_array_append_new(notes, json_string(job->notes[i]));
    json_object_set_new(o, "notes", notes);
    json_object_set_new(o, "error",
                        job->error.class != DM_ERROR_NONE ? dm_order_error_json(&job->error) : json_null());
    return o;
}

static json_t *file_json(const struct dm_intake_job *job)
{
    json_t *o = json_object(), *rest = dm_order_intake_json(job);
    json_object_set_new(o, "file", json_string(job->origin));
    json_object_update(o, rest);
    json_object_set_new(o, "seconds", json_real(job->seconds));
    json_decref(rest);
    return o;
}

/* The files that were tried: all up to the first that the lake could not take. */
static json_t *tried(struct dm_intake_job *jobs, size_t n, enum dm_status status, const struct dm_error *err)
{
    json_t *files = json_array();
    bool failed = false;
    for (size_t i = 0; i < n && !failed; i++) {
        failed = status != DM_OK && !jobs[i].done;
        if (failed)
            jobs[i].error = *err;
        json_array_append_new(files, file_json(&jobs[i]));
    }
    return files;
}

static enum dm_status ingest(struct dm_mirror *m, const json_t *order, const struct dm_order_hooks *hooks,
                             json_t **result, struct dm_error *err)
{
    const char *dataset = json_string_value(json_object_get(order, "dataset"));
    const char *id = json_string_value(json_object_get(order, "id"));
    const json_t *files = json_object_get(order, "files");
    size_t n = json_array_size(files);
    struct dm_change_options options;
    if (dataset == NULL || id == NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "an order to ingest without dataset or id");
    if (read_options(order, &options, err) != DM_OK)
        return DM_FAIL;
    struct dm_intake_job *jobs = dm_xzalloc(n + 1, sizeof *jobs);
    char **keys = dm_xzalloc(n + 1, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        const json_t *file = json_array_get(files, i);
        keys[i] = dm_xasprintf("%s/%zu", id, i);
        jobs[i] = (struct dm_intake_job){.dataset = dataset,
                                         .source = "ingest",
                                         .origin = json_string_value(json_object_get(file, "origin")),
                                         .path = json_string_value(json_object_get(file, "path")),
                                         .options = options,
                                         .receipt_kind = "order",
                                         .receipt_key = keys[i],
                                         .dry_run = json_is_true(json_object_get(order, "dry_run")),
                                         .stop = hooks->stop};
    }
    struct dm_error why = {0};
    enum dm_status status = dm_intake(m, jobs, n, hooks->progress, hooks->ctx, &why);
    *result = json_pack("{s:s, s:o}", "dataset", dataset, "files", tried(jobs, n, status, &why));
    for (size_t i = 0; i < n; i++) {
        dm_intake_job_release(&jobs[i]);
        free(keys[i]);
    }
    free(keys);
    free(jobs);
    return DM_OK;
}

const struct dm_order_kind dm_order_ingest = {.name = "ingest", .run = ingest};
