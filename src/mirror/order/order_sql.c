/* The order "sql": the result of a query, which the asker has run and saved as a Parquet file, into one declared dataset; one commit.
 *
 *   {"dataset": "sales.orders", "id": "<unique>", "path": "/abs/lake/.orders/….parquet", "origin": "load.sql, statement 2", "dry_run": true,
 *    "samples": ["/abs/….parquet", …], "spooled": [...]}                                           (dry_run, samples optional)
 *   → {"received": n, …, "notes": [...], "seconds": s, "error": null | {"class": n, "message": …, "hint": …}, "samples": [{"received": 1, …}, …]}
 *
 * The query runs in the asker's process on purpose: with the person's own rights, folder, memory and time, and without a way to harm a running mirror.
 * Samples are files of one row each: what would happen to each of them alone (one after the other), in a dry run.
 * The id makes it safe to run twice: a receipt is left, and who runs again gets the same counts.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "mirror/intake/intake.h"
#include "mirror/order/order_kinds.h"

enum { SAMPLES_MAX = 1000 };

static struct dm_intake_job make_job(const json_t *order, const char *path,
                                     const struct dm_order_hooks *hooks)
{
    return (struct dm_intake_job){.dataset = json_string_value(json_object_get(order, "dataset")),
                                  .source = "sql",
                                  .origin = json_string_value(json_object_get(order, "origin")),
                                  .path = path,
                                  .options = {.format = DM_CHANGES_PARQUET,
                                              .version_field = -1,
                                              .strict_columns = true,
                                              .untyped_nulls = true},
                                  .dry_run = json_is_true(json_object_get(order, "dry_run")),
                                  .stop = hooks->stop};
}

static enum dm_status try_samples(struct dm_mirror *m, const json_t *order,
                                  const struct dm_order_hooks *hooks, json_t *result, struct dm_error *err)
{
    const json_t *paths = json_object_get(order, "samples");
    size_t n = json_array_size(paths);
    if (n == 0 || n > SAMPLES_MAX)
        return DM_OK;
    struct dm_intake_job *jobs = dm_xzalloc(n, sizeof *jobs);
    for (size_t i = 0; i < n; i++) {
        jobs[i] = make_job(order, json_string_value(json_array_get(paths, i)), hooks);
        jobs[i].dry_run = true;
        jobs[i].no_limits = true;
    }
    enum dm_status status = dm_intake(m, jobs, n, NULL, NULL, err);
    json_t *samples = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(samples, dm_order_intake_json(&jobs[i]));
        dm_intake_job_release(&jobs[i]);
    }
    json_object_set_new(result, "samples", samples);
    free(jobs);
    return status;
}

static enum dm_status run_sql(struct dm_mirror *m, const json_t *order, const struct dm_order_hooks *hooks,
                              json_t **result, struct dm_error *err)
{
    const char *path = json_string_value(json_object_get(order, "path"));
    struct dm_intake_job job = make_job(order, path, hooks);
    job.receipt_kind = "order";
    job.receipt_key = json_string_value(json_object_get(order, "id"));
    if (job.dataset == NULL || job.origin == NULL || job.receipt_key == NULL || path == NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "an order of SQL without dataset, origin, path or id");
    enum dm_status status = dm_intake(m, &job, 1, hooks->progress, hooks->ctx, err);
    if (status == DM_OK) {
        *result = dm_order_intake_json(&job);
        json_object_set_new(*result, "seconds", json_real(job.seconds));
        if (job.dry_run)
            status = try_samples(m, order, hooks, *result, err);
    }
    dm_intake_job_release(&job);
    if (status != DM_OK) {
        json_decref(*result);
        *result = NULL;
    }
    return status;
}

const struct dm_order_kind dm_order_sql = {.name = "sql", .run = run_sql};
