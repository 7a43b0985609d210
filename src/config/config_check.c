/* The rules of mirror.yaml that concern more than one option. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/config_read.h"

#define SOURCE_NAME_MAX 40 /* leaves room for "datamirror_" and a suffix in PostgreSQL's 63 bytes */
#define IDENTIFIER_MAX 63

static const char *find_text(const char *text, char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return list[i];
    return NULL;
}

/* First text that the list holds twice, or NULL. */
static const char *find_repeated(char *const *list, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (find_text(list[i], list, i) != NULL)
            return list[i];
    return NULL;
}

static enum dm_status check_no_repeats(const char *option, char *const *list, size_t n,
                                       struct dm_config_place at, struct dm_error *err)
{
    const char *twice = find_repeated(list, n);
    if (twice == NULL)
        return DM_OK;
    return dm_config_fail(at, err, NULL, "%s names \"%.100s\" twice", option, twice);
}

enum dm_status dm_config_check_table(const struct dm_table_config *t, struct dm_config_place at,
                                     struct dm_error *err)
{
    if (t->glob == NULL || t->glob[0] == '\0')
        return dm_config_fail(at, err, "write a name or a glob such as \"public.*\"",
                              "an entry of tables is empty");
    if (t->append_only && t->n_key > 0)
        return dm_config_fail(at, err, "keep key: when rows have an identity, append_only: when they do not",
                              "table \"%.100s\" has both key and append_only", t->glob);
    if (t->n_columns > 0 && t->n_exclude_columns > 0)
        return dm_config_fail(at, err, "keep one of the two",
                              "table \"%.100s\" has both columns and exclude_columns", t->glob);
    if (check_no_repeats("key", t->key, t->n_key, at, err) != DM_OK ||
        check_no_repeats("columns", t->columns, t->n_columns, at, err) != DM_OK ||
        check_no_repeats("exclude_columns", t->exclude_columns, t->n_exclude_columns, at, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < t->n_key; i++) {
        if (t->n_columns > 0 && find_text(t->key[i], t->columns, t->n_columns) == NULL)
            return dm_config_fail(at, err, "add it to columns",
                                  "key column \"%.100s\" of table \"%.100s\" is not among columns", t->key[i],
                                  t->glob);
        if (find_text(t->key[i], t->exclude_columns, t->n_exclude_columns) != NULL)
            return dm_config_fail(at, err, "take it out of exclude_columns",
                                  "key column \"%.100s\" of table \"%.100s\" is in exclude_columns",
                                  t->key[i], t->glob);
    }
    return DM_OK;
}

/* A lower-case letter, then lower-case letters, digits and _. */
static bool is_identifier(const char *text, size_t longest)
{
    size_t n = strlen(text);
    if (n == 0 || n > longest || text[0] < 'a' || text[0] > 'z')
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

/* Datasets of another schema are named <source>_<schema>.<table>: "shop" with a schema "eu" would meet a source "shop_eu". */
static bool names_may_meet(const struct dm_source_config *a, const struct dm_source_config *b)
{
    size_t n = strlen(a->name);
    if (strcmp(b->type, "files") == 0) /* its name is no namespace */
        return false;
    return strcmp(a->type, "postgres") == 0 && strncmp(a->name, b->name, n) == 0 && b->name[n] == '_';
}

static enum dm_status check_pair(const struct dm_source_config *a, const struct dm_source_config *b,
                                 struct dm_config_place at, struct dm_error *err)
{
    if (strcmp(a->name, b->name) == 0)
        return dm_config_fail(at, err, "give each source its own name", "source \"%s\" is given twice",
                              a->name);
    const struct dm_source_config *outer = names_may_meet(a, b) ? a : names_may_meet(b, a) ? b : NULL;
    if (outer != NULL)
        return dm_config_fail(
            at, err, "choose a name that does not begin with the other's name and _",
            "the names of sources \"%s\" and \"%s\" may clash: datasets of other schemas of \"%s\" are "
            "named %s_<schema>.<table>",
            a->name, b->name, outer->name, outer->name);
    bool files = strcmp(a->type, "files") == 0 || strcmp(b->type, "files") == 0;
    if (!files && a->path != NULL && b->path != NULL && strcmp(a->path, b->path) == 0)
        return dm_config_fail(at, err, "mirror a file once; tables: chooses what is taken",
                              "sources \"%s\" and \"%s\" are the same file", a->name, b->name);
    if (a->url != NULL && b->url != NULL && strcmp(a->url, b->url) == 0 &&
        (strcmp(a->slot, b->slot) == 0 || strcmp(a->publication, b->publication) == 0))
        return dm_config_fail(at, err, "give each its own slot and publication",
                              "sources \"%s\" and \"%s\" share a slot or publication of one database",
                              a->name, b->name);
    return DM_OK;
}

/* Relative paths count from the folder of the configuration file. */
static void resolve(char **path, const char *folder)
{
    if ((*path)[0] == '/' || strcmp(folder, ".") == 0)
        return;
    const char *rest = *path;
    while (rest[0] == '.' && rest[1] == '/')
        rest += 2;
    char *joined = dm_xasprintf("%s/%s", folder, rest);
    free(*path);
    *path = joined;
}

static enum dm_status check_local(const char *option, const char *path, struct dm_config_place at,
                                  struct dm_error *err)
{
    if (strstr(path, "://") != NULL)
        return dm_config_fail(at, err, "give the path of a local folder or file",
                              "%s is a URL, and only local paths work", option);
    return DM_OK;
}

static enum dm_status check_files(const struct dm_source_config *s, struct dm_config_place at,
                                  struct dm_error *err)
{
    if (s->delimiter != NULL && strlen(s->delimiter) != 1)
        return dm_config_fail(at, err, "a tab is \"\\t\" in double quotes",
                              "delimiter cannot be \"%.20s\"; it is one character", s->delimiter);
    return DM_OK;
}

enum dm_status dm_config_check_source(struct dm_config *config, struct dm_config_place at,
                                      struct dm_error *err)
{
    struct dm_source_config *s = &config->sources[config->n_sources - 1];
    if (!is_identifier(s->name, SOURCE_NAME_MAX))
        return dm_config_fail(
            at, err, "for example: shop, sales_eu",
            "a source cannot be named \"%.100s\"; allowed are a lower-case letter, then lower-case "
            "letters, digits and _, at most %d",
            s->name, SOURCE_NAME_MAX);
    if (s->slot != NULL && !is_identifier(s->slot, IDENTIFIER_MAX))
        return dm_config_fail(
            at, err, "for example: datamirror_shop",
            "slot cannot be \"%.100s\"; allowed are a lower-case letter, then lower-case letters, digits "
            "and _, at most %d",
            s->slot, IDENTIFIER_MAX);
    if (s->publication != NULL && strlen(s->publication) > IDENTIFIER_MAX)
        return dm_config_fail(at, err, NULL, "publication \"%.100s\" is longer than %d bytes", s->publication,
                              IDENTIFIER_MAX);
    if (s->path != NULL) {
        if (check_local("path", s->path, at, err) != DM_OK)
            return DM_FAIL;
        resolve(&s->path, config->folder);
    }
    bool files = strcmp(s->type, "files") == 0;
    if (files && check_files(s, at, err) != DM_OK)
        return DM_FAIL;
    if (s->n_tables == 0 && !files) {
        s->tables = dm_xzalloc(1, sizeof *s->tables);
        s->n_tables = 1;
        s->tables[0].glob = dm_xstrdup(strcmp(s->type, "sqlite") == 0 ? "*" : "*.*");
        s->tables[0].history = -1;
    }
    for (size_t i = 0; i + 1 < config->n_sources; i++)
        if (check_pair(&config->sources[i], s, at, err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

enum dm_status dm_config_check(struct dm_config *config, bool commit_bytes_given,
                               struct dm_config_place commit_bytes, struct dm_error *err)
{
    if (check_local("lake", config->lake, commit_bytes, err) != DM_OK)
        return DM_FAIL;
    resolve(&config->lake, config->folder);
    if (!commit_bytes_given && config->commit_bytes > config->memory_limit / 8)
        config->commit_bytes = config->memory_limit / 8;
    if (config->commit_bytes > config->memory_limit / 2) {
        char most[32];
        return dm_config_fail(
            commit_bytes, err, "lower commit_bytes or raise memory_limit",
            "commit_bytes is more than half of memory_limit; with it, at most %s are allowed",
            dm_value_size_text(config->memory_limit / 2, most, sizeof most));
    }
    config->max_row_bytes = config->memory_limit / DM_ROWS_IN_MEMORY;
    for (size_t i = 0; i < config->n_sources; i++)
        config->sources[i].max_row_bytes = config->max_row_bytes;
    return DM_OK;
}
