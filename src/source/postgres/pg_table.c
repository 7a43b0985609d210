/* Tables in memory: lookup, and the choice of columns and key under the configuration. */
#include "source/postgres/pg_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void pg_table_free(struct pg_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n_columns; i++)
        free(t->columns[i].name);
    free(t->columns);
    free(t->identity_columns);
    free(t->keys);
    dm_table_free(t->table);
    free(t);
}

void pg_table_list_release(struct pg_table_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        pg_table_free(list->tables[i]);
    free(list->tables);
    *list = (struct pg_table_list){0};
}

struct pg_table *pg_table_find(const struct pg_table_list *list, uint64_t oid)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->tables[i]->oid == oid)
            return list->tables[i];
    return NULL;
}

struct pg_column *pg_table_column(const struct pg_table *t, int32_t attnum)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (t->columns[i].attnum == attnum)
            return &t->columns[i];
    return NULL;
}

struct pg_column *pg_table_column_named(const struct pg_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

struct pg_codec *pg_table_codecs(const struct pg_table *t)
{
    struct pg_codec *codecs = dm_xzalloc(t->table->columns->n_fields + 1, sizeof *codecs);
    size_t n = 0;
    for (size_t i = 0; i < t->n_columns; i++)
        if (t->columns[i].mirrored)
            codecs[n++] = t->columns[i].codec;
    return codecs;
}

void pg_table_problem(struct pg_table *t, const char *hint, const char *fmt, ...)
{
    if (t->table->problem != NULL)
        return;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&t->table->problem, fmt, args) < 0)
        t->table->problem = dm_xstrdup(fmt);
    va_end(args);
    t->table->hint = dm_xstrdup(hint);
}

/* ---- columns ---- */

static bool listed(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void check_names(struct pg_table *t, char *const *names, size_t n, const char *option)
{
    for (size_t i = 0; i < n; i++)
        if (pg_table_column_named(t, names[i]) == NULL)
            pg_table_problem(t, "correct the name in mirror.yaml; names are compared exactly, with capitals",
                             "%s names the column \"%s\", which the table does not have", option, names[i]);
}

bool pg_configured_decimal(const struct dm_table_config *config, const char *column, struct dm_type *out)
{
    for (size_t i = 0; config != NULL && i < config->n_decimals; i++) {
        if (strcmp(config->decimals[i].column, column) == 0) {
            *out = dm_type_decimal(config->decimals[i].precision, config->decimals[i].scale);
            return true;
        }
    }
    return false;
}

bool pg_column_wanted(const struct dm_table_config *config, const char *name)
{
    if (config == NULL)
        return true;
    return (config->n_columns == 0 || listed(config->columns, config->n_columns, name)) &&
           !listed(config->exclude_columns, config->n_exclude_columns, name);
}

enum dm_status pg_choose_columns(const struct pg_catalog *catalog, struct pg_table *t, struct dm_error *err)
{
    const struct dm_table_config *config = t->config;
    if (config != NULL) {
        check_names(t, config->columns, config->n_columns, "columns:");
        check_names(t, config->exclude_columns, config->n_exclude_columns, "exclude_columns:");
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        struct pg_column *c = &t->columns[i];
        c->mirrored = !c->generated && pg_column_wanted(config, c->name);
        if (!c->mirrored)
            continue;
        struct dm_type decimal;
        bool configured = pg_configured_decimal(config, c->name, &decimal);
        if (pg_type_map(catalog->types, catalog->conn, c->type, c->modifier, configured ? &decimal : NULL,
                        &c->codec, err) != DM_OK)
            return DM_FAIL;
        struct dm_field *f = dm_schema_add(t->table->columns, c->name, c->codec.type);
        f->source_ref = c->attnum;
    }
    return DM_OK;
}

/* ---- key ---- */

static void set_attnums(int32_t **to, size_t *n, const int32_t *from, size_t count)
{
    *to = dm_xzalloc(count, sizeof **to);
    memcpy(*to, from, count * sizeof **to);
    *n = count;
}

static bool in_identity(const struct pg_table *t, int32_t attnum)
{
    for (size_t i = 0; i < t->n_identity; i++)
        if (t->identity_columns[i] == attnum)
            return true;
    return false;
}

static bool all_not_null(const struct pg_table *t, const struct pg_index *index)
{
    for (size_t i = 0; i < index->n; i++) {
        const struct pg_column *c = pg_table_column(t, index->attnums[i]);
        if (c == NULL || !c->not_null || c->generated)
            return false;
    }
    return true;
}

/* The columns that the server logs of an old row, by the rules of REPLICA IDENTITY. */
static void find_identity(struct pg_table *t, const struct pg_index *indexes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((t->identity == 'd' && indexes[i].primary && indexes[i].usable) ||
            (t->identity == 'i' && indexes[i].identity))
            set_attnums(&t->identity_columns, &t->n_identity, indexes[i].attnums, indexes[i].n);
}

static void configured_key(struct pg_table *t)
{
    const struct dm_table_config *config = t->config;
    check_names(t, config->key, config->n_key, "key:");
    if (t->table->problem != NULL)
        return;
    t->keys = dm_xzalloc(config->n_key, sizeof *t->keys);
    for (size_t i = 0; i < config->n_key; i++)
        t->keys[t->n_keys++] = pg_table_column_named(t, config->key[i])->attnum;
}

static void discovered_key(struct pg_table *t, const struct pg_index *indexes, size_t n)
{
    if (t->identity == 'i' && t->n_identity > 0) {
        set_attnums(&t->keys, &t->n_keys, t->identity_columns, t->n_identity);
        return;
    }
    for (size_t i = 0; i < n && t->n_keys == 0; i++)
        if (indexes[i].primary && !indexes[i].deferrable)
            set_attnums(&t->keys, &t->n_keys, indexes[i].attnums, indexes[i].n);
    for (size_t i = 0; i < n && t->n_keys == 0 && t->identity == 'f'; i++)
        if (indexes[i].usable && all_not_null(t, &indexes[i]))
            set_attnums(&t->keys, &t->n_keys, indexes[i].attnums, indexes[i].n);
}

static bool is_over_key(const struct pg_table *t, const struct pg_index *index)
{
    size_t found = 0;
    for (size_t i = 0; i < index->n; i++)
        for (size_t k = 0; k < t->n_keys; k++)
            found += index->attnums[i] == t->keys[k];
    return index->n == t->n_keys && found == t->n_keys;
}

/* What keeps the key unique. A deferrable constraint does so only at the end of a transaction: within one, two rows may have one key, and their changes
 * cannot be told apart by it. Without any the key is the user's word. */
static void find_guard(struct pg_table *t, const struct pg_index *indexes, size_t n)
{
    bool deferrable = false;
    for (size_t i = 0; i < n && t->guard == 0; i++) {
        bool over = t->n_keys > 0 ? is_over_key(t, &indexes[i]) : indexes[i].primary;
        if (over && indexes[i].usable)
            t->guard = indexes[i].guard;
        deferrable = deferrable || (over && indexes[i].deferrable);
    }
    if (deferrable && t->guard == 0)
        pg_table_problem(
            t,
            "make the constraint NOT DEFERRABLE; or give the columns, or other NOT NULL ones, a unique "
            "index that is not deferrable; or set append_only: true",
            "has a deferrable key: within a transaction two rows may have the same one");
}

static void check_identity(struct pg_table *t)
{
    if (t->identity == 'f')
        return;
    if (t->n_identity == 0) {
        pg_table_problem(
            t,
            "ALTER TABLE … REPLICA IDENTITY DEFAULT (with a primary key that is not deferrable), USING INDEX "
            "<unique index>, or FULL; or set append_only: true",
            "has no replica identity: the server would refuse its UPDATEs and DELETEs once it is published");
        return;
    }
    for (size_t i = 0; i < t->n_keys; i++)
        if (!in_identity(t, t->keys[i]))
            pg_table_problem(
                t, "ALTER TABLE … REPLICA IDENTITY FULL, or USING INDEX on an index over the key",
                "the key column \"%s\" is not part of the replica identity, so deletes would not carry it",
                pg_table_column(t, t->keys[i]) != NULL ? pg_table_column(t, t->keys[i])->name : "?");
}

static void add_schema_keys(struct pg_table *t)
{
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct pg_column *c = pg_table_column(t, t->keys[i]);
        int field = c != NULL && c->mirrored ? dm_schema_find(t->table->columns, c->name) : -1;
        if (field < 0) {
            pg_table_problem(t, "mirror the key's columns (columns:, exclude_columns:), or name another key:",
                             "the key column \"%s\" is %s", c != NULL ? c->name : "?",
                             c != NULL && c->generated ? "a generated column, which the stream does not carry"
                                                       : "left out");
            return;
        }
        if (t->table->columns->fields[field].type.id == DM_LIST)
            pg_table_problem(
                t,
                "give it a unique index over NOT NULL columns that are no arrays and run ALTER TABLE "
                "… REPLICA IDENTITY USING INDEX <index>; or name such columns with key: and set "
                "REPLICA IDENTITY FULL; or set append_only: true",
                "has a key with an array in it, \"%s\", and tables of the lake cannot", c->name);
        t->table->columns->fields[field].required = true;
        dm_schema_add_key(t->table->columns, (uint32_t)field);
    }
}

/* A column list is published when the server can: it must hold the whole identity and goes only with a part of
 * the row as identity. Where it cannot, the columns are left out on our side. */
static bool can_publish_list(const struct pg_table *t, int version)
{
    if (t->config == NULL || t->config->n_columns == 0 || version < 150000 || t->identity == 'f')
        return false;
    for (size_t i = 0; i < t->n_identity; i++) {
        const struct pg_column *c = pg_table_column(t, t->identity_columns[i]);
        if (c == NULL || !c->mirrored)
            return false;
    }
    return true;
}

void pg_choose_key(struct pg_table *t, const struct pg_index *indexes, size_t n, int version)
{
    if (t->table->columns->n_fields == 0)
        pg_table_problem(t, "give it a column, or leave it out with exclude:", "has no column to mirror");
    find_identity(t, indexes, n);
    t->filtered = t->config != NULL && t->config->filter != NULL;
    if (t->filtered && version < 150000)
        pg_table_problem(
            t, "row filters need PostgreSQL 15 or newer; take the filter: away, or exclude the table",
            "has a filter:, which this server cannot apply to its changes");
    t->table->append_only = t->config != NULL && t->config->append_only;
    if (t->table->append_only) {
        t->inserts_only = t->identity == 'n' || (t->identity != 'f' && t->n_identity == 0);
    } else {
        if (t->config != NULL && t->config->n_key > 0)
            configured_key(t);
        else
            discovered_key(t, indexes, n);
        find_guard(t, indexes, n);
        if (t->n_keys == 0)
            pg_table_problem(
                t,
                "give it a primary key; or a unique index over NOT NULL columns with ALTER TABLE … REPLICA "
                "IDENTITY USING INDEX <index>; or name one with key: and set REPLICA IDENTITY FULL; or set "
                "append_only: true",
                "has no primary key");
        if (t->table->problem == NULL)
            check_identity(t);
        add_schema_keys(t);
    }
    t->column_list = can_publish_list(t, version);
}
