/* The thread of a running mirror that does orders. */
#include <sqlite3.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/hygiene/erase.h"
#include "mirror/hygiene/expire.h"
#include "mirror/order/order.h"
#include "mirror/order/order_table.h"
#include "mirror/intake/receipt.h"
#include "mirror/relationship/orphan.h"

enum {
    poll_ms = 20,
    tell_every_ms = 250,
    release_every_ms = 1000,
    erase_every_ms = 30 * 1000,
    expire_every_ms = 600 * 1000,
    tidy_every_ms = 600 * 1000,
    wait_after_trouble_ms = 1000
};

struct dm_order_desk {
    struct dm_mirror *m;
    struct sqlite3 *db; /* its own connection */
    struct dm_thread thread;
    atomic_bool ending;
    atomic_bool idle_seen;
    /* the order in hand */
    int64_t id;
    int64_t told_us;
    atomic_int stop;
};

/* Also where an order learns that nobody wants it any more. */
static void progress(void *ctx, uint64_t rows, uint64_t done, uint64_t total)
{
    struct dm_order_desk *d = ctx;
    int64_t now = dm_clock_monotonic_us();
    if (*d->m->stop > 1)
        d->stop = 1;
    if (now - d->told_us < (int64_t)tell_every_ms * 1000)
        return;
    d->told_us = now;
    bool cancelled = false;
    struct dm_error ignored = {0};
    if (dm_order_tell(d->db, d->id, rows, done, total, &cancelled, &ignored) == DM_OK && cancelled)
        d->stop = 1;
}

static enum dm_status carry_out(struct dm_order_desk *d, const struct dm_order_row *row, json_t *body,
                                json_t **result, struct dm_error *err)
{
    const struct dm_order_kind *kind = dm_order_kind_find(row->kind);
    if (body == NULL || kind == NULL)
        return dm_fail(err, DM_ERROR_CONFIG, "use the same version of datamirror for both",
                       "the running mirror does not know orders of kind %s", row->kind);
    if (row->cancelled)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the %s was cancelled", row->kind);
    d->id = row->id;
    d->told_us = 0;
    d->stop = 0;
    struct dm_order_hooks hooks = {.progress = progress, .ctx = d, .stop = &d->stop};
    return kind->run(d->m, body, &hooks, result, err);
}

static enum dm_status do_one(struct dm_order_desk *d, const struct dm_order_row *row, struct dm_error *err)
{
    struct dm_error why = {0};
    json_t *result = NULL;
    json_t *body = json_loads(row->body, 0, NULL);
    enum dm_status status = carry_out(d, row, body, &result, &why);
    if (status != DM_OK)
        dm_log(DM_LOG_WARN, "%s, asked for by a command: %s", row->kind, why.message);
    char *answer = status == DM_OK ? json_dumps(result, JSON_COMPACT) : NULL;
    status = dm_order_answer(d->db, row->id, answer, &why, err);
    if (status == DM_OK)
        dm_order_remove_spooled(d->m->config, body);
    free(answer);
    json_decref(result);
    json_decref(body);
    return status;
}

/* One look at the table. */
static enum dm_status one_round(struct dm_order_desk *d, struct dm_error *err)
{
    struct dm_order_row row;
    enum dm_status status = dm_order_take(d->db, &row, err);
    if (status == DM_END) {
        d->idle_seen = true;
        dm_clock_sleep_ms(poll_ms);
        return DM_OK;
    }
    if (status == DM_OK)
        status = do_one(d, &row, err);
    dm_order_row_release(&row);
    return status;
}

static enum dm_status do_orders(void *ctx, struct dm_error *err)
{
    struct dm_order_desk *d = ctx;
    int64_t tidied = 0, released = 0, erased = 0, expired = 0;
    while (!d->ending) {
        enum dm_status status = one_round(d, err);
        int64_t now = dm_clock_monotonic_us();
        if (status == DM_OK && (tidied == 0 || now - tidied > (int64_t)tidy_every_ms * 1000)) {
            tidied = now;
            status = dm_order_remove_old(d->db, err);
            if (status == DM_OK)
                status = dm_receipt_remove_old(d->db, err);
        }
        if (status == DM_OK && now - released > (int64_t)release_every_ms * 1000) {
            released = now; /* a source may have brought what declared children wait for */
            status = dm_orphans_release(d->m, err);
        }
        if (status == DM_OK && (erased == 0 || now - erased > (int64_t)erase_every_ms * 1000 ||
                                atomic_exchange(&d->m->erase_wanted, false))) {
            erased = now;
            status = dm_erase_resume(d->m, NULL, err);
        }
        if (status == DM_OK && (expired == 0 || now - expired > (int64_t)expire_every_ms * 1000)) {
            expired = now;
            status = dm_expire_all(d->m, err);
        }
        if (status != DM_OK) { /* a full disk, a locked catalog: orders wait in the table meanwhile */
            dm_log_error(DM_LOG_WARN, "orders", err);
            dm_clock_sleep_ms(wait_after_trouble_ms);
        }
    }
    return DM_OK;
}

enum dm_status dm_order_desk_start(struct dm_mirror *m, struct dm_order_desk **out, struct dm_error *err)
{
    struct dm_order_desk *d = dm_xzalloc(1, sizeof *d);
    d->m = m;
    enum dm_status status = dm_catalog_side_open(m->config->lake, &d->db, err);
    if (status == DM_OK)
        status = dm_order_table_create(d->db, err);
    if (status == DM_OK)
        status = dm_thread_start(&d->thread, "orders", do_orders, d, err);
    if (status != DM_OK) {
        dm_order_desk_stop(d);
        return status;
    }
    *out = d;
    return DM_OK;
}

bool dm_order_desk_idle(const struct dm_order_desk *d)
{
    return d->idle_seen;
}

void dm_order_desk_stop(struct dm_order_desk *d)
{
    if (d == NULL)
        return;
    d->ending = true;
    struct dm_error why = {0};
    if (dm_thread_join(&d->thread, &why) != DM_OK)
        dm_log_error(DM_LOG_WARN, "orders", &why);
    (void)sqlite3_close(d->db);
    free(d);
}
