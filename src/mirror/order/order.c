#include "mirror/order/order.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "mirror/capture/catalog_side.h"
#include "mirror/order/order_table.h"

enum { poll_ms = 20, give_up_ms = 30000 };

/* One asker's wait. */
struct ask {
    const struct dm_config *config;
    const struct dm_order_kind *kind;
    const json_t *order;
    struct dm_order_hooks hooks;
    struct sqlite3 *db; /* NULL until a catalog is there */
    int64_t id;         /* of the row in dm_order; 0: none */
    bool answered;
    struct dm_lake_holder holder;
    int64_t cancelled_us; /* monotonic; 0: not cancelled */
};

void dm_order_remove_spooled(const struct dm_config *config, const json_t *order)
{
    char *lake = realpath(config->lake, NULL);
    char *folder = dm_xasprintf("%s/.orders/", lake != NULL ? lake : config->lake);
    free(lake);
    const json_t *list = json_object_get(order, "spooled");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *path = json_string_value(json_array_get(list, i));
        if (path != NULL && strncmp(path, folder, strlen(folder)) == 0 && strstr(path, "/../") == NULL)
            (void)unlink(path);
    }
    free(folder);
}

static bool stop_wanted(const struct ask *a)
{
    return a->hooks.stop != NULL && *a->hooks.stop > 0;
}

static enum dm_status do_here(struct ask *a, struct dm_lake_lock *take_lock, json_t **result,
                              struct dm_error *err)
{
    struct dm_opened_mirror *opened = NULL;
    struct dm_mirror *m = NULL;
    enum dm_status status = dm_mirror_open_locked(a->config, a->hooks.stop, take_lock, &opened, &m, err);
    if (status == DM_OK)
        status = a->kind->run(m, a->order, &a->hooks, result, err);
    dm_mirror_close(opened);
    return status;
}

/* Reads the answer when it is there (a->answered); the row is then gone. */
static enum dm_status look(struct ask *a, json_t **result, struct dm_error *err)
{
    struct dm_order_row row;
    enum dm_status status = dm_order_look(a->db, a->id, &row, err);
    if (status == DM_END) {
        a->id = 0; /* somebody tidied up: ask again */
        status = DM_OK;
    } else if (status == DM_OK && row.state == DM_ORDER_ANSWERED) {
        a->answered = true;
        if (row.answer == NULL) {
            *err = row.error;
            status = DM_FAIL;
        } else if ((*result = json_loads(row.answer, 0, NULL)) == NULL) {
            status = dm_fail(err, DM_ERROR_FATAL, NULL, "the mirror's answer is not JSON");
        }
        struct dm_error ignored = {0};
        if (dm_order_remove(a->db, a->id, &ignored) != DM_OK)
            a->id = 0; /* the desk removes old ones */
    } else if (status == DM_OK && a->hooks.progress != NULL) {
        a->hooks.progress(a->hooks.ctx, row.rows, row.done, row.total);
    }
    dm_order_row_release(&row);
    return status;
}

/* Puts the order into the table of a lake that a mirror holds. */
static enum dm_status ask(struct ask *a, struct dm_error *err)
{
    char *path = dm_xasprintf("%s/catalog.db", a->config->lake);
    bool there = dm_file_exists(path);
    free(path);
    if (!there)
        return DM_OK; /* that mirror is just making it */
    if (a->db == NULL && (dm_catalog_side_open(a->config->lake, &a->db, err) != DM_OK ||
                          dm_order_table_create(a->db, err) != DM_OK))
        return DM_FAIL;
    char *body = json_dumps(a->order, JSON_COMPACT);
    enum dm_status status = dm_order_add(a->db, a->kind->name, body, &a->id, err);
    free(body);
    return status;
}

/* The person does not want to wait any more: the order in hand is told to end early, and gets a moment for it. */
static enum dm_status give_up(struct ask *a, struct dm_error *err)
{
    int64_t now = dm_clock_monotonic_us();
    if (a->cancelled_us == 0) {
        a->cancelled_us = now;
        if (a->id != 0 && dm_order_cancel(a->db, a->id, err) != DM_OK)
            return DM_FAIL;
    }
    if (a->id != 0 && *a->hooks.stop < 2 && now - a->cancelled_us < (int64_t)give_up_ms * 1000)
        return DM_OK;
    return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "ended before the %s was done", a->kind->name);
}

static enum dm_status wait_or_do(struct ask *a, json_t **result, bool *done, struct dm_error *err)
{
    struct dm_lake_lock lock;
    enum dm_status status = dm_lake_lock_try(a->config->lake, DM_LAKE_COMMAND, &lock, &a->holder, err);
    if (status == DM_OK) {
        *done = true;
        status =
            a->id != 0 ? look(a, result, err) : DM_OK; /* it may have been answered with the last breath */
        if (status == DM_OK && !a->answered) {
            if (a->id != 0)
                status = dm_order_remove(a->db, a->id, err);
            if (status == DM_OK)
                return do_here(a, &lock, result, err);
        }
        dm_lake_lock_release(&lock);
        return status;
    }
    if (status == DM_TIMEOUT)
        status = DM_OK;
    if (status == DM_OK && a->id == 0 && a->holder.mirror && !stop_wanted(a))
        status = ask(a, err);
    if (status == DM_OK && a->id != 0)
        status = look(a, result, err);
    *done = a->answered;
    if (status == DM_OK && !*done && stop_wanted(a))
        status = give_up(a, err);
    return status;
}

enum dm_status dm_order_run(const struct dm_config *config, const char *kind, const json_t *order,
                            const struct dm_order_hooks *hooks, json_t **result, struct dm_error *err)
{
    *result = NULL;
    struct ask a = {.config = config,
                    .kind = dm_order_kind_find(kind),
                    .order = order,
                    .hooks = hooks != NULL ? *hooks : (struct dm_order_hooks){0}};
    if (a.kind == NULL)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "there is no order of kind %s", kind);
    enum dm_status status = DM_OK;
    bool done = false;
    while (status == DM_OK && !done) {
        status = wait_or_do(&a, result, &done, err);
        if (status == DM_OK && !done)
            dm_clock_sleep_ms(poll_ms);
    }
    if (a.answered || a.id == 0 || done)
        dm_order_remove_spooled(config, order); /* else the mirror still needs them */
    (void)sqlite3_close(a.db);
    return status;
}
