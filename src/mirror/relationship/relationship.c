#include "mirror/relationship/relationship.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/temp_folder.h"
#include "config/nearest_word.h"
#include "engine/sql.h"
#include "lake/dataset_scan.h"
#include "lake/lake.h"
#include "mirror/relationship/junction.h"
#include "mirror/relationship/relationship_check.h"
#include "mirror/state.h"
#include "registry/registry.h"

enum { READ_ATTEMPTS = 4 };

struct waiting {
    char *child;
    char *relationship;
    uint64_t rows;
};

struct checker {
    const struct dm_check_options *options;
    struct dm_check_report *report;
    struct dm_lake *lake;
    struct dm_engine *engine;
    struct dm_sql *sql;
    struct dm_relational_schemas schemas;
    size_t n_members;
    struct dm_check_end *members; /* one for each of `schemas` */
    size_t n_waiting;
    struct waiting *waiting;
};

void dm_check_report_release(struct dm_check_report *report)
{
    for (size_t i = 0; i < report->n_positions; i++) {
        free(report->positions[i].source);
        free(report->positions[i].position);
    }
    for (size_t i = 0; i < report->n; i++) {
        struct dm_check_result *r = &report->results[i];
        free(r->name);
        free(r->child);
        free(r->parent);
        free(r->reason);
        dm_names_release(&r->columns);
        dm_names_release(&r->parent_columns);
        for (size_t k = 0; k < r->n_samples; k++) {
            free(r->samples[k].key);
            free(r->samples[k].reference);
        }
        free(r->samples);
    }
    for (size_t i = 0; i < report->n_junctions; i++) {
        free(report->junctions[i].junction);
        free(report->junctions[i].left);
        free(report->junctions[i].right);
        free(report->junctions[i].view);
    }
    free(report->positions);
    free(report->results);
    free(report->junctions);
    *report = (struct dm_check_report){0};
}

/* ---- which relationships are wanted ---- */

static bool is_named(const struct dm_relational_schema *s, const struct dm_relationship *r, const char *name)
{
    if (strcmp(name, s->name) == 0 || strcmp(name, r->target) == 0 || strcmp(name, r->name) == 0)
        return true;
    size_t length = strlen(s->name);
    return strncmp(name, s->name, length) == 0 && name[length] == '.' &&
           strcmp(name + length + 1, r->name) == 0;
}

static bool wanted(const struct checker *c, const struct dm_relational_schema *s,
                   const struct dm_relationship *r)
{
    bool found = c->options->n_names == 0;
    for (size_t i = 0; i < c->options->n_names && !found; i++)
        found = is_named(s, r, c->options->names[i]);
    return found;
}

static bool known_name(const struct checker *c, const char *name)
{
    for (size_t i = 0; i < c->schemas.n; i++) {
        const struct dm_relational_schema *s = c->schemas.items[i];
        if (strcmp(s->name, name) == 0)
            return true;
        for (size_t k = 0; k < s->n_relationships; k++)
            if (is_named(s, &s->relationships[k], name))
                return true;
    }
    return false;
}

static enum dm_status check_names(const struct checker *c, struct dm_error *err)
{
    for (size_t i = 0; i < c->options->n_names; i++) {
        if (known_name(c, c->options->names[i]))
            continue;
        struct dm_names all = {0};
        for (size_t k = 0; k < c->schemas.n; k++) {
            dm_names_add(&all, c->schemas.items[k]->name);
            for (size_t r = 0; r < c->schemas.items[k]->n_relationships; r++)
                dm_names_add(&all, c->schemas.items[k]->relationships[r].name);
        }
        const char *near =
            dm_nearest_word(c->options->names[i], (const char *const *)(void *)all.items, all.n);
        enum dm_status status = dm_fail(err, DM_ERROR_CONFIG, "datamirror schema list shows what there is",
                                        "there is no relationship and no dataset \"%s\"%s%s%s",
                                        c->options->names[i], near != NULL ? "; did you mean \"" : "",
                                        near != NULL ? near : "", near != NULL ? "\"?" : "");
        dm_names_release(&all);
        return status;
    }
    return DM_OK;
}

/* ---- one read of the catalog ---- */

static struct dm_check_end *member_of(struct checker *c, const char *name)
{
    for (size_t i = 0; i < c->n_members; i++)
        if (strcmp(c->members[i].schema->name, name) == 0)
            return &c->members[i];
    return NULL;
}

static void forget_members(struct checker *c)
{
    for (size_t i = 0; i < c->n_members; i++) {
        free(c->members[i].source);
        free(c->members[i].state);
        free(c->members[i].view);
    }
    free(c->members);
    for (size_t i = 0; i < c->n_waiting; i++) {
        free(c->waiting[i].child);
        free(c->waiting[i].relationship);
    }
    free(c->waiting);
    c->waiting = NULL;
    c->n_waiting = 0;
    c->members = NULL;
    c->n_members = 0;
    dm_relational_schemas_release(&c->schemas);
}

static enum dm_status read_position(struct checker *c, sqlite3 *db, const char *source, struct dm_error *err)
{
    if (source == NULL || source[0] == '\0')
        return DM_OK;
    struct dm_check_report *r = c->report;
    for (size_t i = 0; i < r->n_positions; i++)
        if (strcmp(r->positions[i].source, source) == 0)
            return DM_OK;
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT position_text, commit_time_us FROM dm_source WHERE name=?", -1, &st,
                           NULL) != SQLITE_OK)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "catalog.db: %s", sqlite3_errmsg(db));
    sqlite3_bind_text(st, 1, source, -1, SQLITE_STATIC);
    if (sqlite3_step(st) == SQLITE_ROW) {
        r->positions = dm_xrealloc(r->positions, r->n_positions + 1, sizeof *r->positions);
        r->positions[r->n_positions++] =
            (struct dm_check_position){.source = dm_xstrdup(source),
                                       .position = dm_xstrdup((const char *)sqlite3_column_text(st, 0)),
                                       .commit_time_us = sqlite3_column_int64(st, 1)};
    }
    sqlite3_finalize(st);
    return DM_OK;
}

static enum dm_status read_member(struct checker *c, struct dm_check_end *m,
                                  const struct dm_dataset_states *states, struct dm_error *err)
{
    char *namespace, *table;
    dm_relational_schema_split(m->schema->name, &namespace, &table);
    for (size_t i = 0; i < states->n; i++)
        if (strcmp(states->items[i].namespace, namespace) == 0 && strcmp(states->items[i].name, table) == 0) {
            m->source = dm_xstrdup(states->items[i].source);
            m->state = dm_xstrdup(states->items[i].state);
        }
    enum dm_status status = dm_lake_dataset(c->lake, namespace, table, &m->dataset, err);
    free(namespace);
    free(table);
    return status;
}

/* Which schemas take part: those of wanted relationships, on either end. */
static bool takes_part(const struct checker *c, const struct dm_relational_schema *candidate)
{
    for (size_t i = 0; i < c->schemas.n; i++) {
        const struct dm_relational_schema *s = c->schemas.items[i];
        for (size_t k = 0; k < s->n_relationships; k++)
            if (wanted(c, s, &s->relationships[k]) &&
                (s == candidate || strcmp(s->relationships[k].target, candidate->name) == 0))
                return true;
    }
    return false;
}

/* How many children wait for their parent, by child and relationship. */
static enum dm_status read_waiting(struct checker *c, sqlite3 *db, struct dm_error *err)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(
            db,
            "SELECT d.namespace || '.' || d.name, q.relationship, count(*) FROM dm_quarantine q"
            " JOIN dm_dataset d ON d.id = q.dataset WHERE q.waits_for IS NOT NULL GROUP BY 1, 2",
            -1, &st, NULL) != SQLITE_OK)
        return DM_OK; /* a catalog of an older version: nothing can wait in it */
    int code;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        c->waiting = dm_xrealloc(c->waiting, c->n_waiting + 1, sizeof *c->waiting);
        c->waiting[c->n_waiting++] =
            (struct waiting){.child = dm_xstrdup((const char *)sqlite3_column_text(st, 0)),
                             .relationship = dm_xstrdup((const char *)sqlite3_column_text(st, 1)),
                             .rows = (uint64_t)sqlite3_column_int64(st, 2)};
    }
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK
                               : dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
}

static enum dm_status read_all(struct checker *c, sqlite3 *db, struct dm_error *err)
{
    if (dm_registry_list(db, &c->schemas, err) != DM_OK || check_names(c, err) != DM_OK ||
        read_waiting(c, db, err) != DM_OK)
        return DM_FAIL;
    struct dm_dataset_states states;
    if (dm_state_datasets(db, NULL, &states, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    c->members = dm_xzalloc(c->schemas.n + 1, sizeof *c->members);
    for (size_t i = 0; i < c->schemas.n && status == DM_OK; i++) {
        if (!takes_part(c, c->schemas.items[i]))
            continue;
        struct dm_check_end *m = &c->members[c->n_members++];
        m->schema = c->schemas.items[i];
        status = read_member(c, m, &states, err);
        if (status == DM_OK)
            status = read_position(c, db, m->source, err);
    }
    dm_dataset_states_release(&states);
    return status;
}

/* All in one SQLite transaction, so that it is one commit of the lake. A file of it may be swept away before it is opened: then all is read again. */
static enum dm_status read_catalog(struct checker *c, struct dm_error *err)
{
    sqlite3 *db = dm_lake_sqlite(c->lake);
    for (int attempt = 1;; attempt++) {
        if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
            return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "catalog.db: %s", sqlite3_errmsg(db));
        c->report->checked_us = dm_clock_wall_us();
        enum dm_status status = read_all(c, db, err);
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        if (status == DM_OK || attempt == READ_ATTEMPTS || err->class == DM_ERROR_CONFIG)
            return status;
        forget_members(c);
        dm_check_report_release(c->report);
    }
}

/* ---- views ---- */

static enum dm_status add_view(struct checker *c, struct dm_check_end *m, struct dm_error *err)
{
    if (m->dataset == NULL)
        return DM_OK;
    const struct dm_dataset *d = m->dataset;
    struct dm_schema *renamed = dm_schema_copy(d->schema);
    for (size_t i = 0; i < renamed->n_fields; i++) {
        free(renamed->fields[i].name);
        renamed->fields[i].name = dm_xasprintf("c%zu", i);
    }
    struct dm_scan_file *files = dm_dataset_scan(d);
    char *name = dm_xasprintf("d%zu", (size_t)(m - c->members));
    enum dm_status status = dm_sql_add_dataset(c->sql, "lake", name, renamed, files, d->n_files, err);
    m->view = dm_xasprintf("lake.%s", name);
    free(name);
    free(files);
    dm_schema_unref(renamed);
    return status;
}

/* ---- one relationship ---- */

static void copy_names(struct dm_names *to, const struct dm_names *from)
{
    for (size_t i = 0; i < from->n; i++)
        dm_names_add(to, from->items[i]);
}

static enum dm_status check_one(struct checker *c, const struct dm_relational_schema *schema,
                                const struct dm_relationship *rel, struct dm_error *err)
{
    struct dm_check_report *report = c->report;
    report->results = dm_xrealloc(report->results, report->n + 1, sizeof *report->results);
    struct dm_check_result *r = &report->results[report->n++];
    *r = (struct dm_check_result){.name = dm_xstrdup(rel->name),
                                  .child = dm_xstrdup(schema->name),
                                  .parent = dm_xstrdup(rel->target),
                                  .cardinality = rel->cardinality,
                                  .discovered = rel->discovered,
                                  .enforced = rel->enforced};
    copy_names(&r->columns, &rel->columns);
    for (size_t i = 0; i < c->n_waiting; i++)
        if (strcmp(c->waiting[i].child, r->child) == 0 && strcmp(c->waiting[i].relationship, r->name) == 0)
            r->waiting = c->waiting[i].rows;
    const struct dm_relational_schema *target = dm_relational_schemas_find(&c->schemas, rel->target);
    if (rel->target_columns.n > 0)
        copy_names(&r->parent_columns, &rel->target_columns);
    else if (target != NULL)
        copy_names(&r->parent_columns, &target->key);
    struct dm_checking checking = {.sql = c->sql,
                                   .options = c->options,
                                   .child = member_of(c, r->child),
                                   .parent = member_of(c, r->parent)};
    return dm_relationship_check(&checking, r, err);
}

static enum dm_status check_all(struct checker *c, struct dm_error *err)
{
    for (size_t i = 0; i < c->n_members; i++)
        if (add_view(c, &c->members[i], err) != DM_OK)
            return DM_FAIL;
    for (size_t i = 0; i < c->schemas.n; i++) {
        const struct dm_relational_schema *s = c->schemas.items[i];
        for (size_t k = 0; k < s->n_relationships; k++)
            if (wanted(c, s, &s->relationships[k]) && check_one(c, s, &s->relationships[k], err) != DM_OK)
                return DM_FAIL;
    }
    return DM_OK;
}

static void report_junctions(struct checker *c)
{
    struct dm_junctions found;
    dm_junctions_find(&c->schemas, &found);
    struct dm_check_report *r = c->report;
    for (size_t i = 0; i < found.n; i++) {
        const struct dm_junction *j = &found.items[i];
        if (!wanted(c, j->schema, j->left) && !wanted(c, j->schema, j->right))
            continue;
        char *namespace, *table;
        dm_relational_schema_split(j->schema->name, &namespace, &table);
        r->junctions = dm_xrealloc(r->junctions, r->n_junctions + 1, sizeof *r->junctions);
        r->junctions[r->n_junctions++] =
            (struct dm_check_junction){.junction = dm_xstrdup(j->schema->name),
                                       .left = dm_xstrdup(j->left_parent->name),
                                       .right = dm_xstrdup(j->right_parent->name),
                                       .view = dm_xasprintf("%s.%s", namespace, j->view)};
        free(namespace);
        free(table);
    }
    dm_junctions_release(&found);
}

enum dm_status dm_check_relationships(const struct dm_config *config, const struct dm_check_options *options,
                                      struct dm_check_report *report, struct dm_error *err)
{
    *report = (struct dm_check_report){0};
    struct checker c = {.options = options, .report = report};
    struct dm_lake_options lake_options = {
        .folder = config->lake, .catalog_name = config->catalog_name, .read_only = true};
    struct dm_temp_folder spill;
    dm_temp_folder_make(&spill);
    struct dm_engine_options engine_options = {.memory_limit = config->memory_limit,
                                               .temp_folder = spill.path};
    enum dm_status status = dm_lake_open(&lake_options, &c.lake, err);
    if (status == DM_OK)
        status = read_catalog(&c, err);
    if (status == DM_OK)
        status = dm_engine_open(&engine_options, &c.engine, err);
    if (status == DM_OK)
        status = dm_sql_open(c.engine, &c.sql, err);
    if (status == DM_OK)
        status = check_all(&c, err);
    if (status == DM_OK)
        report_junctions(&c);
    dm_sql_close(c.sql);
    dm_engine_close(c.engine);
    forget_members(&c);
    if (c.lake != NULL)
        dm_lake_close(c.lake);
    dm_temp_folder_remove(&spill);
    if (status != DM_OK)
        dm_check_report_release(report);
    return status;
}
