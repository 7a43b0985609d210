#include "source/source.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "column/day.h"

const struct dm_source_type *dm_source_type_find(const char *name)
{
    static const struct dm_source_type *const types[] = {&dm_source_postgres, &dm_source_sqlite};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i]->name, name) == 0)
            return types[i];
    return NULL;
}

struct dm_table *dm_table_new(const char *schema, const char *name)
{
    struct dm_table *t = dm_xzalloc(1, sizeof *t);
    t->schema = dm_xstrdup(schema);
    t->name = dm_xstrdup(name);
    t->columns = dm_schema_new();
    return t;
}

static void foreign_key_release(struct dm_foreign_key *fk)
{
    for (size_t i = 0; i < fk->n_columns; i++) {
        free(fk->columns[i]);
        free(fk->target_columns[i]);
    }
    free(fk->columns);
    free(fk->target_columns);
    free(fk->name);
    free(fk->target_schema);
    free(fk->target_table);
}

void dm_table_free(struct dm_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n_foreign_keys; i++)
        foreign_key_release(&t->foreign_keys[i]);
    free(t->foreign_keys);
    dm_schema_unref(t->columns);
    free(t->schema);
    free(t->name);
    free(t->problem);
    free(t->hint);
    free(t->timestamp);
    dm_basis_release(&t->basis);
    free(t);
}

static void foreign_key_copy(struct dm_foreign_key *to, const struct dm_foreign_key *from)
{
    to->name = dm_xstrdup(from->name);
    to->target_schema = dm_xstrdup(from->target_schema);
    to->target_table = dm_xstrdup(from->target_table);
    to->mandatory = from->mandatory;
    to->unique = from->unique;
    to->n_columns = from->n_columns;
    to->columns = dm_xzalloc(from->n_columns, sizeof *to->columns);
    to->target_columns = dm_xzalloc(from->n_columns, sizeof *to->target_columns);
    for (size_t i = 0; i < from->n_columns; i++) {
        to->columns[i] = dm_xstrdup(from->columns[i]);
        to->target_columns[i] = dm_xstrdup(from->target_columns[i]);
    }
}

struct dm_table *dm_table_copy(const struct dm_table *t)
{
    struct dm_table *copy = dm_xzalloc(1, sizeof *copy);
    *copy = *t;
    copy->schema = dm_xstrdup(t->schema);
    copy->name = dm_xstrdup(t->name);
    copy->problem = dm_xstrdup(t->problem);
    copy->hint = dm_xstrdup(t->hint);
    copy->timestamp = dm_xstrdup(t->timestamp);
    copy->columns = dm_schema_ref(t->columns); /* immutable by now, so it can be shared */
    copy->basis = dm_basis_copy(&t->basis);
    copy->foreign_keys = NULL;
    if (t->n_foreign_keys > 0)
        copy->foreign_keys = dm_xzalloc(t->n_foreign_keys, sizeof *copy->foreign_keys);
    for (size_t i = 0; i < t->n_foreign_keys; i++)
        foreign_key_copy(&copy->foreign_keys[i], &t->foreign_keys[i]);
    return copy;
}

/* By its number, where the source has one: a rename is no other column. */
void dm_table_divide(struct dm_table *t, const struct dm_table_config *config)
{
    const char *name = config != NULL ? config->timestamp : NULL;
    if (name == NULL) {
        dm_basis_add(&t->basis, DM_BASIS_TIMESTAMP, NULL, "none");
        return;
    }
    int at = dm_schema_find(t->columns, name);
    const struct dm_field *f = at >= 0 ? &t->columns->fields[at] : NULL;
    if (f != NULL && dm_day_has(f->type)) {
        t->timestamp = dm_xstrdup(name);
        if (f->source_ref != 0)
            dm_basis_add(&t->basis, DM_BASIS_TIMESTAMP, NULL, "%d", f->source_ref);
    } else if (t->problem == NULL) {
        t->problem = f == NULL ? dm_xasprintf("timestamp: names a column that is not mirrored, \"%s\"", name)
                               : dm_xasprintf("timestamp: names a column that is no timestamp, \"%s\"", name);
        free(t->hint);
        t->hint = dm_xstrdup("name a column of type timestamp, or take timestamp: out of the configuration");
    }
}

void dm_table_list_add(struct dm_table_list *list, struct dm_table *take_table)
{
    list->tables = dm_xrealloc(list->tables, list->n + 1, sizeof *list->tables);
    list->tables[list->n++] = take_table;
}

void dm_table_list_release(struct dm_table_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        dm_table_free(list->tables[i]);
    free(list->tables);
    *list = (struct dm_table_list){0};
}

bool dm_table_wanted(const struct dm_source_config *config, const char *schema, const char *name)
{
    for (size_t i = 0; i < config->n_exclude; i++)
        if (dm_table_glob_match(config->exclude[i], schema, name))
            return false;
    return config->n_tables == 0 || dm_config_table(config, schema, name) != NULL;
}

bool dm_source_stopping(const struct dm_source_waiter *w)
{
    return w != NULL && w->stopping(w->ctx);
}

void dm_check_add(struct dm_check_list *list, enum dm_check_result result, const char *hint, const char *fmt,
                  ...)
{
    list->checks = dm_xrealloc(list->checks, list->n + 1, sizeof *list->checks);
    struct dm_check *check = &list->checks[list->n++];
    va_list args;
    va_start(args, fmt);
    char *what = NULL;
    if (vasprintf(&what, fmt, args) < 0)
        what = dm_xstrdup(fmt);
    va_end(args);
    *check = (struct dm_check){.result = result,
                               .class = result == DM_CHECK_FAIL ? DM_ERROR_CONFIG : DM_ERROR_NONE,
                               .what = what,
                               .hint = dm_xstrdup(hint)};
}

void dm_check_add_error(struct dm_check_list *list, const struct dm_error *why)
{
    dm_check_add(list, DM_CHECK_FAIL, why->hint[0] != '\0' ? why->hint : NULL, "%s", why->message);
    list->checks[list->n - 1].class = why->class;
}

enum dm_status dm_check_first_failure(const struct dm_check_list *list, struct dm_error *err)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->checks[i].result == DM_CHECK_FAIL && list->checks[i].class != DM_ERROR_NONE)
            return dm_fail(err, list->checks[i].class, list->checks[i].hint, "%s", list->checks[i].what);
    return DM_OK;
}

void dm_check_list_release(struct dm_check_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->checks[i].what);
        free(list->checks[i].hint);
    }
    free(list->checks);
    *list = (struct dm_check_list){0};
}
