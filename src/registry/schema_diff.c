#include "registry/schema_diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/type_words.h"

static struct dm_schema_change *add(struct dm_schema_changes *out, enum dm_change_kind kind, const char *fmt,
                                    ...) DM_PRINTF(3, 4);
static struct dm_schema_change *add(struct dm_schema_changes *out, enum dm_change_kind kind, const char *fmt,
                                    ...)
{
    out->items = dm_xrealloc(out->items, out->n + 1, sizeof *out->items);
    struct dm_schema_change *c = &out->items[out->n++];
    *c = (struct dm_schema_change){.kind = kind};
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&c->what, fmt, args) < 0)
        c->what = dm_xstrdup("change");
    va_end(args);
    return c;
}

static void refuse(struct dm_schema_change *c, const char *hint)
{
    c->verdict = DM_CHANGE_REFUSED;
    c->hint = dm_xstrdup(hint);
}

static void check(struct dm_schema_change *c, enum dm_data_check what, char *take_bad_rows, const char *hint)
{
    c->verdict = DM_CHANGE_CHECKED;
    c->check = what;
    c->bad_rows = take_bad_rows;
    c->hint = dm_xstrdup(hint);
}

static const char *type_text(struct dm_type type, char out[48])
{
    return dm_type_words_yaml(type, out, 48);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* ---- SQL for the checks ---- */

/* A text between `quote`s, which are doubled inside. malloc'ed. */
static char *quoted(const char *text, char quote)
{
    char *out = dm_xalloc(2 * strlen(text) + 3), *p = out;
    *p++ = quote;
    for (; *text != '\0'; text++) {
        if (*text == quote)
            *p++ = quote;
        *p++ = *text;
    }
    *p++ = quote;
    *p = '\0';
    return out;
}

static char *condition(const char *column, const char *fmt)
{
    char *name = quoted(column, '"');
    char *sql = dm_xasprintf("%s %s", name, fmt);
    free(name);
    return sql;
}

static char *not_among(const char *column, const struct dm_names *allowed)
{
    size_t size = 64, len = 0;
    for (size_t i = 0; i < allowed->n; i++)
        size += 2 * strlen(allowed->items[i]) + 4;
    char *list = dm_xalloc(size);
    list[0] = '\0';
    for (size_t i = 0; i < allowed->n; i++) {
        char *value = quoted(allowed->items[i], '\'');
        len += (size_t)snprintf(list + len, size - len, "%s%s", i > 0 ? ", " : "", value);
        free(value);
    }
    char *rest = dm_xasprintf("NOT IN (%s)", list), *sql = condition(column, rest);
    free(rest);
    free(list);
    return sql;
}

/* ---- columns ---- */

/* The column of `from` that `c` goes on with, or NULL: a new one. */
static const struct dm_relational_column *old_of(const struct dm_relational_schema *from,
                                                 const struct dm_relational_column *c)
{
    int at = c->renamed_from != NULL ? dm_relational_schema_find(from, c->renamed_from) : -1;
    if (at < 0)
        at = dm_relational_schema_find(from, c->name);
    return at >= 0 ? &from->columns[at] : NULL;
}

static bool is_timestamp(struct dm_type type)
{
    return type.id == DM_TIMESTAMP || type.id == DM_TIMESTAMPTZ || type.id == DM_TIMESTAMP_NS;
}

static const char *type_hint(struct dm_type old, struct dm_type now)
{
    if (is_timestamp(old) && is_timestamp(now))
        return "Iceberg widens no timestamp: add a column of the new type and fill it (`datamirror sql`), "
               "make it "
               "the version if this one is, and then drop this one; or drop and declare the schema anew";
    return "only widening is safe (int32 to int64, float32 to float64, decimal to more digits of the same "
           "scale): "
           "add a column of the new type and fill it, or drop and declare the schema anew";
}

/* Widening leaves the bytes of keys and versions as they are (column/key.h), so nothing has to be indexed anew. */
static void diff_type(const struct dm_relational_column *old, const struct dm_relational_column *c,
                      struct dm_schema_changes *out)
{
    char before[48], after[48];
    if (dm_type_equal(old->type, c->type))
        return;
    struct dm_schema_change *change = add(out, DM_CHANGE_TYPE, "column %s: type %s to %s", c->name,
                                          type_text(old->type, before), type_text(c->type, after));
    dm_names_add(&change->columns, old->name);
    if (!dm_type_widens(old->type, c->type))
        refuse(change, type_hint(old->type, c->type));
}

static void diff_required(const struct dm_relational_column *old, const struct dm_relational_column *c,
                          struct dm_schema_changes *out)
{
    if (old->required == c->required)
        return;
    struct dm_schema_change *change =
        add(out, c->required ? DM_CHANGE_REQUIRED : DM_CHANGE_OPTIONAL,
            c->required ? "column %s: required" : "column %s: no longer required", c->name);
    dm_names_add(&change->columns, old->name);
    if (c->required)
        check(change, DM_CHECK_ROWS, condition(old->name, "IS NULL"),
              "give the rows without it a value first, or leave it optional");
}

static bool all_allowed(const struct dm_names *old, const struct dm_names *now)
{
    for (size_t i = 0; i < old->n; i++)
        if (dm_names_find(now, old->items[i]) < 0)
            return false;
    return true;
}

static void diff_values(const struct dm_relational_column *old, const struct dm_relational_column *c,
                        struct dm_schema_changes *out)
{
    if (!dm_names_equal(&old->allowed, &c->allowed)) {
        struct dm_schema_change *change =
            c->allowed.n == 0
                ? add(out, DM_CHANGE_VALUES, "column %s: any value", c->name)
                : add(out, DM_CHANGE_VALUES, "column %s: one of %zu values", c->name, c->allowed.n);
        dm_names_add(&change->columns, old->name);
        bool wider = c->allowed.n == 0 || (old->allowed.n > 0 && all_allowed(&old->allowed, &c->allowed));
        if (!wider)
            check(change, DM_CHECK_ROWS, not_among(old->name, &c->allowed),
                  "change or delete the rows with other values first, or keep those values in the enum");
    }
    if (old->max_length != c->max_length) {
        struct dm_schema_change *change =
            c->max_length == 0
                ? add(out, DM_CHANGE_VALUES, "column %s: any length", c->name)
                : add(out, DM_CHANGE_VALUES, "column %s: at most %u characters", c->name, c->max_length);
        dm_names_add(&change->columns, old->name);
        if (c->max_length > 0 && (old->max_length == 0 || c->max_length < old->max_length)) {
            char *name = quoted(old->name, '"');
            check(change, DM_CHECK_ROWS, dm_xasprintf("length(%s) > %u", name, c->max_length),
                  "shorten or delete the longer values first");
            free(name);
        }
    }
    if (old->min_length != c->min_length) {
        struct dm_schema_change *change =
            add(out, DM_CHANGE_VALUES, "column %s: at least %u characters", c->name, c->min_length);
        dm_names_add(&change->columns, old->name);
        if (c->min_length > old->min_length) {
            char *name = quoted(old->name, '"');
            check(change, DM_CHECK_ROWS, dm_xasprintf("length(%s) < %u", name, c->min_length),
                  "change or delete the shorter values first");
            free(name);
        }
    }
}

static void diff_column(const struct dm_relational_schema *from, const struct dm_relational_column *c,
                        struct dm_schema_changes *out)
{
    char type[48];
    const struct dm_relational_column *old = old_of(from, c);
    if (old == NULL) {
        struct dm_schema_change *change = add(out, DM_CHANGE_ADD_COLUMN, "add column %s %s%s", c->name,
                                              type_text(c->type, type), c->required ? " not null" : "");
        dm_names_add(&change->columns, c->name);
        if (c->required)
            check(change, DM_CHECK_EMPTY, NULL,
                  "the rows that are there have no value for it: add it as optional, fill it, then make it "
                  "required");
        return;
    }
    if (strcmp(old->name, c->name) != 0) {
        struct dm_schema_change *change =
            add(out, DM_CHANGE_RENAME_COLUMN, "rename column %s to %s", old->name, c->name);
        dm_names_add(&change->columns, old->name);
    }
    diff_type(old, c, out);
    diff_required(old, c, out);
    diff_values(old, c, out);
    if (!same_text(old->title, c->title) || !same_text(old->description, c->description) ||
        !same_text(old->format, c->format))
        dm_names_add(&add(out, DM_CHANGE_TEXT, "column %s: title, description or format", c->name)->columns,
                     old->name);
}

/* Old columns that no new one goes on with. A column whose values would go must be named: one that is missing from a file by mistake
 * must not take its values with it. */
static void diff_dropped(const struct dm_relational_schema *from, const struct dm_relational_schema *to,
                         struct dm_schema_changes *out)
{
    bool *kept = dm_xzalloc(from->n_columns + 1, sizeof *kept);
    for (size_t i = 0; i < to->n_columns; i++) {
        const struct dm_relational_column *old = old_of(from, &to->columns[i]);
        if (old != NULL)
            kept[old - from->columns] = true;
    }
    for (size_t i = 0; i < from->n_columns; i++) {
        if (kept[i])
            continue;
        const char *name = from->columns[i].name;
        struct dm_schema_change *change = add(out, DM_CHANGE_DROP_COLUMN, "drop column %s", name);
        dm_names_add(&change->columns, name);
        if (dm_names_find(&from->key, name) >= 0 && dm_names_equal(&from->key, &to->key))
            refuse(change, "it is part of the primary key: change the key first");
        else if (dm_names_find(&to->dropped, name) < 0 && dm_names_find(&to->dropped, "*") < 0)
            refuse(change, "its values would be lost. If that is meant, say drop_columns: [the column] in "
                           "the schema, or "
                           "--drop-columns; if it has a new name, say renamed_from at the new column");
    }
    free(kept);
}

static void diff_order(const struct dm_relational_schema *from, const struct dm_relational_schema *to,
                       struct dm_schema_changes *out)
{
    const struct dm_relational_column *last = NULL;
    for (size_t i = 0; i < to->n_columns; i++) {
        const struct dm_relational_column *old = old_of(from, &to->columns[i]);
        if (old != NULL && last != NULL && old < last) {
            (void)add(out, DM_CHANGE_ORDER, "columns in another order");
            return;
        }
        last = old != NULL ? old : last;
    }
}

/* ---- key, version, timestamp ---- */

/* The name that the column had in `from`; its own when it is new. */
static const char *old_name(const struct dm_relational_schema *from, const struct dm_relational_schema *to,
                            const char *name)
{
    int at = dm_relational_schema_find(to, name);
    const struct dm_relational_column *old = at >= 0 ? old_of(from, &to->columns[at]) : NULL;
    return old != NULL ? old->name : name;
}

static void join(const struct dm_names *names, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < names->n && len < size; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s", i > 0 ? ", " : "", names->items[i]);
}

static void diff_key(const struct dm_relational_schema *from, const struct dm_relational_schema *to,
                     struct dm_schema_changes *out)
{
    struct dm_names wanted = {0};
    bool new_column = false;
    for (size_t i = 0; i < to->key.n; i++) {
        const char *name = old_name(from, to, to->key.items[i]);
        dm_names_add(&wanted, name);
        new_column = new_column || dm_relational_schema_find(from, name) < 0;
    }
    if (!dm_names_equal(&from->key, &wanted)) {
        char text[300];
        join(&to->key, text, sizeof text);
        struct dm_schema_change *change = add(out, DM_CHANGE_KEY, "primary key (%s)", text);
        change->reindex = true;
        check(change, new_column ? DM_CHECK_EMPTY : DM_CHECK_UNIQUE, NULL,
              new_column ? "the rows that are there have no value for the new key column"
                         : "a primary key is unique and never null: mend or delete the rows named, or choose "
                           "other columns");
        change->columns = wanted;
        return;
    }
    dm_names_release(&wanted);
}

static void diff_version(const struct dm_relational_schema *from, const struct dm_relational_schema *to,
                         struct dm_schema_changes *out)
{
    const char *wanted = to->version != NULL ? old_name(from, to, to->version) : NULL;
    if (same_text(from->version, wanted))
        return;
    struct dm_schema_change *change = add(out, DM_CHANGE_VERSION, "version %s instead of %s",
                                          to->version != NULL ? to->version : "(position)",
                                          from->version != NULL ? from->version : "(position)");
    change->reindex = true;
    if (wanted == NULL)
        return;
    dm_names_add(&change->columns, wanted);
    if (dm_relational_schema_find(from, wanted) < 0)
        check(change, DM_CHECK_EMPTY, NULL,
              "the rows that are there have no version then: add the column first, fill it, "
              "and then make it the version");
    else
        check(change, DM_CHECK_ROWS, condition(wanted, "IS NULL"),
              "give the rows without a version one first");
}

static void diff_behavior(const struct dm_relational_schema *from, const struct dm_relational_schema *to,
                          struct dm_schema_changes *out)
{
    if (from->behavior != to->behavior) {
        struct dm_schema_change *change =
            add(out, DM_CHANGE_BEHAVIOR, "behavior %s",
                to->behavior == DM_BEHAVIOR_TIME_SERIES ? "time-series" : "record");
        refuse(change, "declare a schema of another name with that behavior and bring the rows over with "
                       "`datamirror sql`");
        return;
    }
    const char *wanted = to->timestamp != NULL ? old_name(from, to, to->timestamp) : NULL;
    if (same_text(from->timestamp, wanted))
        return;
    struct dm_schema_change *change =
        add(out, DM_CHANGE_TIMESTAMP, "timestamp %s", to->timestamp != NULL ? to->timestamp : "(none)");
    if (wanted != NULL)
        dm_names_add(&change->columns, wanted);
    check(change, DM_CHECK_EMPTY, NULL,
          "the files are divided by the days of the old timestamp: declare a schema of another "
          "name and bring the rows over with `datamirror sql`");
}

/* ---- relationships, settings, texts ---- */

static const struct dm_relationship *find_relationship(const struct dm_relational_schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_relationships; i++)
        if (same_text(s->relationships[i].name, name))
            return &s->relationships[i];
    return NULL;
}

static bool same_relationship(const struct dm_relationship *a, const struct dm_relationship *b)
{
    return dm_names_equal(&a->columns, &b->columns) && strcmp(a->target, b->target) == 0 &&
           dm_names_equal(&a->target_columns, &b->target_columns) && a->cardinality == b->cardinality &&
           same_text(a->forward_name, b->forward_name) && same_text(a->backward_name, b->backward_name) &&
           a->enforced == b->enforced;
}

static void diff_relationships(const struct dm_relational_schema *from, const struct dm_relational_schema *to,
                               struct dm_schema_changes *out)
{
    for (size_t i = 0; i < to->n_relationships; i++) {
        const struct dm_relationship *r = &to->relationships[i], *old = find_relationship(from, r->name);
        if (old == NULL)
            (void)add(out, DM_CHANGE_RELATIONSHIP, "add relationship %s (%s %s)", r->name,
                      dm_cardinality_text(r->cardinality), r->target);
        else if (!same_relationship(old, r))
            (void)add(out, DM_CHANGE_RELATIONSHIP, "change relationship %s (%s %s)", r->name,
                      dm_cardinality_text(r->cardinality), r->target);
    }
    for (size_t i = 0; i < from->n_relationships; i++)
        if (find_relationship(to, from->relationships[i].name) == NULL)
            (void)add(out, DM_CHANGE_RELATIONSHIP, "remove relationship %s", from->relationships[i].name);
}

static void diff_settings(const struct dm_dataset_settings *from, const struct dm_dataset_settings *to,
                          struct dm_schema_changes *out)
{
    static const char *const history[] = {"false", "true", "scd2"};
    if (from->history != to->history)
        (void)add(out, DM_CHANGE_SETTING, "history: %s", history[to->history]);
    if (from->ignore_null_updates != to->ignore_null_updates)
        (void)add(out, DM_CHANGE_SETTING, "ignore_null_updates: %s",
                  to->ignore_null_updates ? "true" : "false");
    if (!same_text(from->unavailable_value, to->unavailable_value))
        (void)add(out, DM_CHANGE_SETTING, "unavailable_value: %s",
                  to->unavailable_value != NULL ? to->unavailable_value : "Debezium's");
    if (from->tombstone_retention_ms != to->tombstone_retention_ms)
        (void)add(out, DM_CHANGE_SETTING, "tombstone_retention: %lld ms",
                  (long long)to->tombstone_retention_ms);
    if (!same_text(from->expire, to->expire))
        (void)add(out, DM_CHANGE_SETTING, "expire: %s", to->expire != NULL ? to->expire : "never");
    bool same_share = from->max_quarantined_share - to->max_quarantined_share < 1e-12 &&
                      to->max_quarantined_share - from->max_quarantined_share < 1e-12;
    if (from->max_quarantined != to->max_quarantined || !same_share)
        (void)add(out, DM_CHANGE_SETTING, "max_quarantined: %llu rows, %g %%",
                  (unsigned long long)to->max_quarantined, 100 * to->max_quarantined_share);
}

void dm_schema_diff(const struct dm_relational_schema *from, const struct dm_relational_schema *to,
                    struct dm_schema_changes *out)
{
    *out = (struct dm_schema_changes){.schema = dm_xstrdup(to->name)};
    if (from == NULL) {
        (void)add(out, DM_CHANGE_CREATE, "new, with %zu columns", to->n_columns);
        return;
    }
    for (size_t i = 0; i < to->n_columns; i++)
        diff_column(from, &to->columns[i], out);
    diff_dropped(from, to, out);
    diff_order(from, to, out);
    diff_key(from, to, out);
    diff_version(from, to, out);
    diff_behavior(from, to, out);
    diff_relationships(from, to, out);
    diff_settings(&from->settings, &to->settings, out);
    if (!same_text(from->title, to->title) || !same_text(from->description, to->description))
        (void)add(out, DM_CHANGE_TEXT, "title or description");
    /* Without a dataset there is nothing to lose. */
    for (size_t i = 0; i < out->n && !dm_relational_schema_is_complete(from); i++)
        out->items[i].verdict = DM_CHANGE_FREE;
}

void dm_schema_changes_release(struct dm_schema_changes *changes)
{
    for (size_t i = 0; i < changes->n; i++) {
        free(changes->items[i].what);
        free(changes->items[i].hint);
        free(changes->items[i].bad_rows);
        dm_names_release(&changes->items[i].columns);
    }
    free(changes->items);
    free(changes->schema);
    *changes = (struct dm_schema_changes){0};
}

enum dm_status dm_schema_changes_refused(const struct dm_schema_changes *changes,
                                         const struct dm_relational_schema *to, struct dm_error *err)
{
    char place[128] = "";
    if (to->file != NULL && to->line != 0)
        (void)snprintf(place, sizeof place, "%.100s:%zu: ", to->file, to->line);
    else if (to->file != NULL)
        (void)snprintf(place, sizeof place, "%.120s: ", to->file);
    for (size_t i = 0; i < changes->n; i++)
        if (changes->items[i].verdict == DM_CHANGE_REFUSED)
            return dm_fail(err, DM_ERROR_CONFIG, changes->items[i].hint, "%s%.200s: refused: %.400s", place,
                           changes->schema, changes->items[i].what);
    return DM_OK;
}

bool dm_schema_changes_registry_only(const struct dm_schema_changes *changes)
{
    for (size_t i = 0; i < changes->n; i++)
        switch (changes->items[i].kind) {
        case DM_CHANGE_VALUES:
        case DM_CHANGE_RELATIONSHIP:
        case DM_CHANGE_SETTING:
        case DM_CHANGE_TEXT: break;
        default: return false;
        }
    return true;
}
