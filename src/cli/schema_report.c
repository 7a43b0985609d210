#include "cli/schema_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/shown.h"
#include "cli/report_table.h"
#include "registry/type_words.h"

/* A mirrored dataset's changes are ordered by where they stand in the source's log. */
static const char *version_of(const struct dm_relational_schema *s)
{
    if (s->version != NULL)
        return s->version;
    return dm_relational_schema_is_declared(s) ? "(none yet)" : "(position)";
}

static void print_missing(const struct dm_relational_schema *s, FILE *out)
{
    char missing[DM_MISSING_MAX];
    if (!dm_relational_schema_is_complete(s))
        (void)dm_print(out, "  %s is incomplete and has no dataset yet: it still needs %s\n", s->name,
                       dm_relational_schema_missing(s, missing));
}

void dm_schema_report_list(const struct dm_relational_schemas *list, FILE *out)
{
    struct dm_report_table t = {.n_columns = 7};
    t.right[3] = true;
    dm_report_table_row(
        &t, (const char *[]){"SCHEMA", "ORIGIN", "BEHAVIOR", "COLUMNS", "KEY", "VERSION", "RELATIONSHIPS"});
    for (size_t i = 0; i < list->n; i++) {
        const struct dm_relational_schema *s = list->items[i];
        char *key = dm_names_joined(&s->key), *relationships = dm_xstrdup(""), columns[24];
        (void)snprintf(columns, sizeof columns, "%zu", s->n_columns);
        for (size_t k = 0; k < s->n_relationships; k++) {
            char *longer = dm_xasprintf("%s%s%s %s", relationships, k > 0 ? ", " : "",
                                        dm_cardinality_text(s->relationships[k].cardinality),
                                        s->relationships[k].target);
            free(relationships);
            relationships = longer;
        }
        dm_report_table_row(
            &t, (const char *[]){s->name, s->origin,
                                 s->behavior == DM_BEHAVIOR_TIME_SERIES ? "time-series" : "record", columns,
                                 key[0] == '\0' && dm_relational_schema_is_declared(s) ? "(none yet)" : key,
                                 version_of(s), relationships});
        free(key);
        free(relationships);
    }
    dm_report_table_print(&t, out);
    dm_report_table_release(&t);
    for (size_t i = 0; i < list->n; i++)
        print_missing(list->items[i], out);
}

static const char *role_of(const struct dm_relational_schema *s, const struct dm_relational_column *c)
{
    bool key = dm_names_find(&s->key, c->name) >= 0;
    if (s->timestamp != NULL && strcmp(s->timestamp, c->name) == 0)
        return key ? "key, timestamp" : "timestamp";
    if (s->version != NULL && strcmp(s->version, c->name) == 0)
        return "version";
    return key ? "key" : "";
}

static char *values_of(const struct dm_relational_column *c)
{
    if (c->allowed.n > 0) {
        char *values = dm_names_joined(&c->allowed), *text = dm_xasprintf("one of: %s", values);
        free(values);
        return text;
    }
    if (c->min_length > 0 && c->max_length > 0)
        return dm_xasprintf("%u to %u characters", c->min_length, c->max_length);
    if (c->min_length > 0)
        return dm_xasprintf("at least %u characters", c->min_length);
    return c->max_length > 0 ? dm_xasprintf("at most %u characters", c->max_length) : dm_xstrdup("");
}

static void print_columns(const struct dm_relational_schema *s, FILE *out)
{
    struct dm_report_table t = {.n_columns = 6};
    dm_report_table_row(&t, (const char *[]){"COLUMN", "TYPE", "NULL", "ROLE", "VALUES", "DESCRIPTION"});
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct dm_relational_column *c = &s->columns[i];
        char type[48], *values = values_of(c);
        dm_report_table_row(&t, (const char *[]){c->name, dm_type_words_yaml(c->type, type, sizeof type),
                                                 c->required ? "no" : "yes", role_of(s, c), values,
                                                 c->description});
        free(values);
    }
    dm_report_table_print(&t, out);
    dm_report_table_release(&t);
}

static void print_relationships(const struct dm_relational_schema *s, FILE *out)
{
    struct dm_report_table t = {.n_columns = 6};
    dm_report_table_row(&t, (const char *[]){"RELATIONSHIP", "COLUMNS", "KIND", "TO", "FOUND IN", "ORPHANS"});
    for (size_t i = 0; i < s->n_relationships; i++) {
        const struct dm_relationship *r = &s->relationships[i];
        char *columns = dm_names_joined(&r->columns), *target_columns = dm_names_joined(&r->target_columns);
        char *to = dm_xasprintf("%s (%s)", r->target, target_columns);
        dm_report_table_row(&t,
                            (const char *[]){r->name, columns, dm_cardinality_text(r->cardinality), to,
                                             r->discovered ? "source" : "declaration",
                                             r->enforced ? "wait for their parent" : "reported by `check`"});
        free(columns);
        free(target_columns);
        free(to);
    }
    dm_report_table_print(&t, out);
    dm_report_table_release(&t);
}

static void print_settings(const struct dm_dataset_settings *s, FILE *out)
{
    if (s->history != DM_HISTORY_NONE)
        (void)dm_print(out, "  history             %s\n", s->history == DM_HISTORY_SCD2 ? "scd2" : "changes");
    if (s->ignore_null_updates)
        (void)fputs("  ignore_null_updates true\n", out);
    if (s->unavailable_value != NULL)
        (void)dm_print(out, "  unavailable_value   %s\n", s->unavailable_value);
    if (s->tombstone_retention_ms == -1)
        (void)fputs("  tombstone_retention forever\n", out);
    else if (s->tombstone_retention_ms > 0)
        (void)dm_print(out, "  tombstone_retention %g h\n", (double)s->tombstone_retention_ms / 3600e3);
    if (s->expire != NULL)
        (void)dm_print(out, "  expire              %s\n", s->expire);
    if (s->max_quarantined > 0)
        (void)dm_print(out, "  max_quarantined     %" PRIu64 " rows\n", s->max_quarantined);
    if (s->max_quarantined_share > 0)
        (void)dm_print(out, "  max_quarantined     %g %%\n", 100 * s->max_quarantined_share);
}

void dm_schema_report_one(const struct dm_relational_schema *s, FILE *out)
{
    char *key = dm_names_joined(&s->key);
    (void)dm_print(out, "%s\n", s->name);
    if (s->description != NULL)
        (void)dm_print(out, "  %s\n", s->description);
    (void)dm_print(out, "  origin              %s\n  behavior            %s\n  key                 %s\n",
                   s->origin, s->behavior == DM_BEHAVIOR_TIME_SERIES ? "time-series" : "record",
                   s->key.n > 0 ? key : "(none)");
    (void)dm_print(out, "  version             %s\n", version_of(s));
    if (s->timestamp != NULL)
        (void)dm_print(out, "  timestamp           %s\n", s->timestamp);
    print_missing(s, out);
    print_settings(&s->settings, out);
    (void)fputc('\n', out);
    print_columns(s, out);
    if (s->n_relationships > 0) {
        (void)fputc('\n', out);
        print_relationships(s, out);
    }
    free(key);
}

void dm_schema_report_plan(const struct dm_schema_changes *plan, FILE *out)
{
    static const char *const verdicts[] = {[DM_CHANGE_FREE] = "",
                                           [DM_CHANGE_CHECKED] = "  [if the data allows it]",
                                           [DM_CHANGE_REFUSED] = "  [refused]"};
    if (plan->n == 0)
        (void)dm_print(out, "%s: no change\n", plan->schema);
    for (size_t i = 0; i < plan->n; i++) {
        const struct dm_schema_change *c = &plan->items[i];
        (void)dm_print(out, "%s: %s%s\n", plan->schema, c->what, verdicts[c->verdict]);
        if (c->verdict == DM_CHANGE_REFUSED)
            (void)dm_print(out, "    %s\n", c->hint);
    }
}
