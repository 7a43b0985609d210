#include "mirror/plan.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "mirror/dataset_match.h"
#include "mirror/target_basis.h"

#define ROOM_FAIL (UINT64_C(256) << 20) /* bytes free below which a mirror soon stands still */
#define ROOM_WARN (UINT64_C(2) << 30)

/* ---- from where ---- */

static bool follows(const struct dm_dataset_state *d)
{
    return strcmp(d->state, "streaming") == 0 || strcmp(d->state, "append-only") == 0;
}

/* Copies that were asked for count as waiting: the mirror takes all requests in before it starts. */
static enum dm_status apply_requests(sqlite3 *db, struct dm_plan *plan, struct dm_error *err)
{
    struct dm_request *requests = NULL;
    size_t n = 0;
    if (dm_request_list(db, plan->config->name, &requests, &n, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; requests[i].kind == DM_REQUEST_RESYNC && k < plan->datasets.n; k++) {
            struct dm_dataset_state *d = &plan->datasets.items[k];
            if (!dm_dataset_is_named(d, requests[i].dataset))
                continue;
            free(d->state);
            d->state = dm_xstrdup("waiting");
        }
    }
    free(requests);
    return DM_OK;
}

enum dm_status dm_plan_start(sqlite3 *db, const struct dm_source_config *config, struct dm_plan *plan,
                             struct dm_error *err)
{
    struct dm_source_state state = {0};
    plan->config = config;
    if (db == NULL)
        return DM_OK;
    if (dm_state_source(db, config->name, &state, err) != DM_OK ||
        dm_state_datasets(db, config->name, &plan->datasets, err) != DM_OK ||
        apply_requests(db, plan, err) != DM_OK)
        return DM_FAIL;
    plan->from = state.position;
    plan->mark = state.mark;
    plan->rebooted = state.rebooted;
    /* When every dataset is to be copied anew, nothing rests on the old position: the capture starts afresh. This is the way out of a lost
     * slot (`resync --all`), which otherwise is an error, since going on would leave a gap. */
    plan->afresh = plan->from != 0;
    for (size_t i = 0; i < plan->datasets.n; i++)
        plan->afresh = plan->afresh && !follows(&plan->datasets.items[i]);
    return plan->from != 0 && !plan->afresh ? dm_state_basis(db, config->name, 0, &plan->basis, err) : DM_OK;
}

/* ---- what the source says ---- */

static const struct dm_dataset_state *dataset_of(const struct dm_plan *plan, const struct dm_table *table)
{
    for (size_t i = 0; i < plan->datasets.n; i++)
        if (dm_dataset_is_of(&plan->datasets.items[i], table))
            return &plan->datasets.items[i];
    return NULL;
}

/* A stopped dataset waits for somebody; every other one that is not followed is copied. */
static bool copies_wanted(const struct dm_plan *plan)
{
    for (size_t i = 0; i < plan->tables.n; i++) {
        const struct dm_dataset_state *d = dataset_of(plan, plan->tables.tables[i]);
        if (plan->tables.tables[i]->problem == NULL &&
            (d == NULL || (!follows(d) && strcmp(d->state, "stopped") != 0)))
            return true;
    }
    return false;
}

/* A log that lost its end is what a power cut leaves when the source does not sync each commit: nothing to ask anybody about. Without one, somebody
 * put an older file there, and has to say that it is meant. (While a mirror runs, the log goes on, and the position with it.) */
static enum dm_status recognise_log(struct dm_plan *plan, const struct dm_source_type *type,
                                    struct dm_source *source, struct dm_error *err)
{
    if (plan->from == 0 || plan->afresh || plan->running || type->recognise == NULL)
        return DM_OK;
    enum dm_status status = type->recognise(source, plan->from, &plan->mark, err);
    if (status != DM_END)
        return status;
    if (!plan->rebooted)
        return DM_FAIL;
    plan->lost = *err;
    dm_check_add(&plan->checks, DM_CHECK_WARN, NULL,
                 "%s. The machine was started anew since: all tables are copied again", err->message);
    *err = (struct dm_error){0};
    return DM_OK;
}

bool dm_plan_is_afresh(const struct dm_plan *plan)
{
    return plan->afresh || plan->lost.class != DM_ERROR_NONE;
}

/* Not as their tables: said before anybody looks for them under another name. */
static void tell_other_names(struct dm_plan *plan)
{
    for (size_t i = 0; i < plan->tables.n; i++) {
        const struct dm_table *t = plan->tables.tables[i];
        struct dm_dataset_wanted w = dm_dataset_name_of(plan->config->name, t->schema, t->name);
        const struct dm_dataset_state *d = dataset_of(plan, t);
        const char *namespace = d != NULL ? d->namespace : w.namespace, *name = d != NULL ? d->name : w.name;
        if (t->problem == NULL && strcmp(name, t->name) != 0 && d != NULL && d->reason != NULL)
            dm_check_add(&plan->checks, DM_CHECK_WARN, NULL, "dataset %s.%s: %s", namespace, name, d->reason);
        else if (t->problem == NULL && strcmp(w.name, t->name) != 0)
            dm_check_add(&plan->checks, DM_CHECK_WARN, "rename the table if that will not do",
                         "the table %s is mirrored as %s.%s: names that end in __history or __tombstones are "
                         "kept for what belongs to a dataset",
                         t->name, namespace, name);
        dm_dataset_wanted_release(&w);
    }
}

enum dm_status dm_plan_source(struct dm_plan *plan, const struct dm_source_type *type,
                              struct dm_source *source, struct dm_error *err)
{
    struct dm_error why = {0}, no_basis = {0};
    enum dm_status status = type->tables(source, &plan->tables, &why);
    /* Before anything is changed in it, and before what it lacks is spoken of: another server lacks the slot, too. */
    enum dm_status asked =
        status == DM_OK && type->basis != NULL ? type->basis(source, &plan->basis_now, &no_basis) : DM_OK;
    if (status == DM_OK && asked == DM_OK)
        status = dm_source_basis_judge(&plan->basis, &plan->basis_now, plan->afresh ? 0 : plan->from, &why);
    if (status == DM_OK)
        status = recognise_log(plan, type, source, &why);
    if (status == DM_OK) {
        struct dm_source_start start = {.from = dm_plan_is_afresh(plan) ? 0 : plan->from,
                                        .afresh = dm_plan_is_afresh(plan),
                                        .copies = plan->lost.class != DM_ERROR_NONE || copies_wanted(plan),
                                        .running = plan->running,
                                        .rehearse = plan->rehearse};
        status = type->check(source, &start, &plan->tables, &plan->checks, &why);
        tell_other_names(plan);
    }
    if (status != DM_OK)
        dm_check_add_error(&plan->checks, &why);
    else if (asked != DM_OK && dm_check_first_failure(&plan->checks, &why) == DM_OK)
        dm_check_add_error(&plan->checks, &no_basis);
    return dm_check_first_failure(&plan->checks, err);
}

void dm_plan_release(struct dm_plan *plan)
{
    dm_dataset_states_release(&plan->datasets);
    dm_basis_release(&plan->basis);
    dm_basis_release(&plan->basis_now);
    dm_table_list_release(&plan->tables);
    dm_check_list_release(&plan->checks);
    *plan = (struct dm_plan){0};
}

/* ---- the lake ---- */

/* The nearest thing that exists: the lake, or where it would be made. */
static char *existing(const char *path)
{
    char *folder = dm_xstrdup(path);
    while (!dm_file_exists(folder)) {
        char *slash = strrchr(folder, '/');
        if (slash == NULL || slash == folder) {
            bool absolute = folder[0] == '/';
            free(folder);
            return dm_xstrdup(absolute ? "/" : ".");
        }
        *slash = '\0';
    }
    return folder;
}

static void check_room(const char *folder, struct dm_check_list *out)
{
    struct statvfs room;
    if (statvfs(folder, &room) != 0)
        return;
    uint64_t bytes = (uint64_t)room.f_bavail * room.f_frsize;
    enum dm_check_result result = bytes < ROOM_FAIL   ? DM_CHECK_FAIL
                                  : bytes < ROOM_WARN ? DM_CHECK_WARN
                                                      : DM_CHECK_OK;
    dm_check_add(out, result,
                 result == DM_CHECK_OK ? NULL : "free some room, or move the lake to a larger disk",
                 "%.1f GiB free on its disk", (double)bytes / (double)(UINT64_C(1) << 30));
    out->checks[out->n - 1].class = DM_ERROR_NONE; /* it may be enough for today */
}

enum dm_status dm_plan_lake(const char *lake, struct dm_check_list *out, struct dm_error *err)
{
    char *folder = existing(lake);
    struct stat is;
    if (stat(folder, &is) == 0 && !S_ISDIR(is.st_mode))
        dm_check_add(out, DM_CHECK_FAIL,
                     "choose another folder with lake:", "the lake %s cannot be made: %s is a file", lake,
                     folder);
    else if (access(folder, W_OK | X_OK) != 0)
        dm_check_add(out, DM_CHECK_FAIL,
                     "change the owner or the permissions, or choose another folder with lake:",
                     "the folder %s cannot be written: %s", folder, strerror(errno));
    else
        dm_check_add(
            out, DM_CHECK_OK, NULL,
            strcmp(folder, lake) == 0 ? "the folder %s can be written" : "the folder %s will be made", lake);
    check_room(folder, out);
    free(folder);
    return dm_check_first_failure(out, err);
}
