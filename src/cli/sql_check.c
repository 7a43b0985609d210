#include "cli/sql_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/nearest_word.h"
#include "engine/change_reader.h"
#include "registry/registry.h"

void dm_sql_place_error(const struct dm_sql_statement *s, size_t i, struct dm_error *err)
{
    dm_error_prefix(err, "statement %zu (line %zu)", i + 1, s->line);
}

static enum dm_status no_dataset(struct dm_lake *lake, const char *name, struct dm_error *err)
{
    struct dm_relational_schemas all = {0};
    if (dm_registry_list(dm_lake_sqlite(lake), &all, err) != DM_OK)
        return DM_FAIL;
    const char **names = dm_xzalloc(all.n + 1, sizeof *names);
    for (size_t i = 0; i < all.n; i++)
        names[i] = dm_relational_schema_is_declared(all.items[i]) ? all.items[i]->name : NULL;
    const char *near = dm_nearest_word(name, names, all.n);
    enum dm_status status = dm_fail(
        err, DM_ERROR_CONFIG, "datamirror schema list shows all; datamirror schema apply declares one",
        "there is no dataset \"%s\"%s%s%s", name, near != NULL ? "; did you mean \"" : "",
        near != NULL ? near : "", near != NULL ? "\"?" : "");
    free(names);
    dm_relational_schemas_release(&all);
    return status;
}

static enum dm_status find_schema(struct dm_lake *lake, const char *name, struct dm_relational_schema **out,
                                  struct dm_error *err)
{
    if (dm_registry_get(dm_lake_sqlite(lake), name, out, err) != DM_OK)
        return DM_FAIL;
    if (*out == NULL)
        return no_dataset(lake, name, err);
    if (!dm_relational_schema_is_complete(*out))
        (void)dm_relational_schema_incomplete(*out, err);
    else if (dm_relational_schema_is_declared(*out))
        return DM_OK;
    else
        (void)dm_fail(err, DM_ERROR_CONFIG,
                      "declare a dataset of your own for the result: datamirror schema apply",
                      "\"%s\" is mirrored from source \"%s\", which alone writes into it", (*out)->name,
                      (*out)->origin);
    dm_relational_schema_free(*out);
    *out = NULL;
    return DM_FAIL;
}

/* The dataset's columns, required as they are declared. */
static enum dm_status read_columns(struct dm_lake *lake, const struct dm_relational_schema *declared,
                                   struct dm_schema **out, struct dm_error *err)
{
    const struct dm_dataset *d = NULL;
    char *namespace, *table;
    dm_relational_schema_split(declared->name, &namespace, &table);
    enum dm_status status = dm_lake_dataset(lake, namespace, table, &d, err);
    free(namespace);
    free(table);
    if (status == DM_OK && d == NULL)
        status = dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the dataset \"%s\" is not there (any more)",
                         declared->name);
    if (status != DM_OK)
        return status;
    *out = dm_schema_copy(d->schema);
    for (size_t i = 0; i < (*out)->n_fields; i++) {
        int at = dm_relational_schema_find(declared, (*out)->fields[i].name);
        (*out)->fields[i].required |= at >= 0 && declared->columns[at].required;
    }
    return DM_OK;
}

/* The version decides which row wins, and people forget it: say what could be one. */
static void hint_version(const struct dm_relational_schema *s, struct dm_error *err)
{
    const char *missing = strstr(err->message, "required columns are missing: ");
    if (missing == NULL || s->version == NULL)
        return;
    const char *end = strstr(missing, "; the columns there are");
    const char *at = strstr(missing, s->version);
    int column = dm_relational_schema_find(s, s->version);
    if (at == NULL || (end != NULL && at > end) || column < 0)
        return;
    bool number = s->columns[column].type.id == DM_INT32 || s->columns[column].type.id == DM_INT64;
    dm_error_hint(err,
                  "\"%s\" is the version, the highest of which wins for a key: take it from the rows that "
                  "are read (for totals: max(…) AS %s), "
                  "or give the time of this run: %s AS %s",
                  s->version, s->version, number ? "epoch_ms(now())" : "now()", s->version);
}

/* People who know INSERT from other systems expect columns to go by position. */
static void hint_by_name(const char *dataset, struct dm_error *err)
{
    static const char begin[] = "column \"", end[] = "\" is not in the schema";
    const size_t n = strlen(err->message), behind = sizeof end - 1;
    if (strncmp(err->message, begin, sizeof begin - 1) != 0 || n < behind ||
        strcmp(err->message + n - behind, end) != 0)
        return;
    char *columns = dm_xstrdup(err->hint); /* last, for it may be long */
    dm_error_hint(err,
                  "columns go by name: call it as the dataset does (… AS column), or list the columns, "
                  "and they go by position: INSERT INTO %.100s (a, b) SELECT …; %s",
                  dataset, columns);
    free(columns);
}

/* What the reader of changes says of the header, without any rows. */
static enum dm_status check_header(struct dm_sql *sql, const struct dm_relational_schema *declared,
                                   const struct dm_schema *schema, bool by_name,
                                   const struct dm_sql_guess *guess, struct dm_error *err)
{
    struct dm_change_options options = {
        .version_field = declared->version != NULL ? dm_schema_find(schema, declared->version) : -1,
        .strict_columns = true,
        .guessed = guess->reader};
    char *head = dm_xasprintf("SELECT * FROM (%s\n) LIMIT 0", guess->query);
    struct dm_change_reader *reader = NULL;
    enum dm_status status = dm_change_reader_query(sql, head, schema, &options, &reader, err);
    if (status == DM_OK) {
        dm_change_reader_close(reader);
    } else {
        static const char name[] = "query: "; /* the reader's name for it, of no use here */
        if (strncmp(err->message, name, sizeof name - 1) == 0)
            memmove(err->message, err->message + sizeof name - 1, strlen(err->message) - sizeof name + 2);
    }
    if (status != DM_OK && err->class == DM_ERROR_DATA) {
        err->class = DM_ERROR_CONFIG; /* the SQL can be mended, unlike a file */
        hint_version(declared, err);
        if (by_name)
            hint_by_name(declared->name, err);
    }
    free(head);
    return status;
}

static enum dm_status rename_columns(struct dm_lake_session *session, const struct dm_sql_statement *s,
                                     char **text, struct dm_error *err)
{
    char *renamed = NULL;
    if (s->n_columns == 0)
        return DM_OK;
    if (dm_sql_rename(session->sql, *text, (const char *const *)(void *)s->columns, s->n_columns, &renamed,
                      err) != DM_OK)
        return DM_FAIL;
    free(*text);
    *text = renamed;
    return DM_OK;
}

enum dm_status dm_sql_check(struct dm_lake_session *session, const struct dm_sql_statement *s, char **query,
                            char **note, struct dm_error *err)
{
    struct dm_relational_schema *declared = NULL;
    struct dm_schema *schema = NULL;
    struct dm_sql_guess guess = {0};
    char *text = dm_sql_statement_query(s);
    enum dm_status status = find_schema(session->lake, s->dataset, &declared, err);
    if (status == DM_OK)
        status = read_columns(session->lake, declared, &schema, err);
    if (status == DM_OK)
        status = dm_sql_guess(session->sql, text, &guess, err);
    free(text);
    if (status == DM_OK)
        status = rename_columns(session, s, &guess.query, err);
    if (status == DM_OK)
        status = check_header(session->sql, declared, schema, s->n_columns == 0, &guess, err);
    dm_schema_unref(schema);
    dm_relational_schema_free(declared);
    if (status == DM_OK) {
        *query = guess.query;
        guess.query = NULL;
        if (note != NULL) {
            *note = guess.note;
            guess.note = NULL;
        }
    }
    dm_sql_guess_release(&guess);
    return status;
}
