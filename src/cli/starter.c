#include "cli/starter.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"

#define NAME_MAX_LENGTH 40

/* Lower-case letters, digits and _ out of any text; "source" when nothing is left. */
static char *identifier(const char *from, size_t length)
{
    char *out = dm_xzalloc(NAME_MAX_LENGTH + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < length && n < NAME_MAX_LENGTH; i++) {
        char c = (char)tolower((unsigned char)from[i]);
        bool letter = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
        if (letter || (n > 0 && digit))
            out[n++] = c;
        else if (n > 0 && out[n - 1] != '_')
            out[n++] = '_';
    }
    while (n > 0 && out[n - 1] == '_')
        out[--n] = '\0';
    if (n == 0)
        memcpy(out, "source", sizeof "source");
    return out;
}

static bool starts_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static char *percent_decoded(const char *text, size_t n)
{
    char *out = dm_xzalloc(n + 1, 1), *o = out;
    for (size_t i = 0; i < n; i++) {
        unsigned byte = 0;
        if (text[i] == '%' && i + 2 < n && sscanf(text + i + 1, "%2x", &byte) == 1 && byte != 0) {
            *o++ = (char)byte;
            i += 2;
        } else {
            *o++ = text[i];
        }
    }
    return out;
}

/* The database's name: the path of a URL, or dbname= of a keyword string. */
static char *postgres_name(const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *begin, *end;
    if (scheme != NULL) {
        const char *query = strchr(scheme, '?');
        end = query != NULL ? query : url + strlen(url);
        begin = end;
        while (begin > scheme + 3 && begin[-1] != '/')
            begin--;
        if (begin == scheme + 3 || memchr(begin, '@', (size_t)(end - begin)) != NULL)
            return dm_xstrdup("source"); /* no path: what stands there is host or user */
        char *decoded = percent_decoded(begin, (size_t)(end - begin));
        char *name = identifier(decoded, strlen(decoded));
        free(decoded);
        return name;
    } else {
        begin = strstr(url, "dbname");
        if (begin == NULL)
            return dm_xstrdup("source");
        begin += strlen("dbname");
        begin += strspn(begin, " =");
        end = begin + strcspn(begin + (*begin == '\''), " '") + (*begin == '\'');
    }
    return identifier(begin, (size_t)(end - begin));
}

static char *sqlite_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *begin = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(begin, '.');
    return identifier(begin, dot != NULL && dot > begin ? (size_t)(dot - begin) : strlen(begin));
}

static bool is_postgres(const char *source)
{
    return starts_with(source, "postgresql://") || starts_with(source, "postgres://") ||
           strstr(source, "host=") != NULL || strstr(source, "dbname=") != NULL ||
           strstr(source, "service=") != NULL;
}

/* In YAML's single quotes, with ${ made plain. */
static char *quoted(const char *text, bool plain_dollars)
{
    char *out = dm_xzalloc(strlen(text) * 2 + 3, 1);
    size_t n = 0;
    out[n++] = '\'';
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\'' || (plain_dollars && c[0] == '$' && c[1] == '{'))
            out[n++] = *c;
        out[n++] = *c;
    }
    out[n] = '\'';
    return out;
}

static void set_postgres(struct dm_starter *s, const char *url)
{
    /* Two steps, so that a ${ of the URL becomes $${ and ours does not. \x01 cannot stand in a URL. */
    size_t room = strlen(url) * 2 + 16;
    char *marked = dm_xzalloc(room, 1);
    s->type = "postgres";
    s->place = dm_xstrdup(url);
    if (!dm_url_replace_secrets(url, "\x01", marked, room)) {
        s->written = quoted(url, true);
    } else {
        s->password_variable = dm_xasprintf("%s_PASSWORD", s->name);
        for (char *c = s->password_variable; *c != '\0'; c++)
            *c = (char)toupper((unsigned char)*c);
        char *yaml = quoted(marked, true);
        size_t n = 0, size = 1;
        for (const char *c = yaml; *c != '\0'; c++)
            size += *c == '\x01' ? strlen(s->password_variable) + 3 : 1;
        s->written = dm_xzalloc(size, 1);
        for (const char *c = yaml; *c != '\0'; c++) {
            if (*c == '\x01')
                n += (size_t)snprintf(s->written + n, size - n, "${%s}", s->password_variable);
            else
                s->written[n++] = *c;
        }
        free(yaml);
    }
    free(marked);
}

enum dm_status dm_starter_init(struct dm_starter *s, const char *source, const char *name,
                               struct dm_error *err)
{
    *s = (struct dm_starter){0};
    bool postgres = is_postgres(source);
    const char *path = starts_with(source, "sqlite:") ? source + strlen("sqlite:") : source;
    if (starts_with(path, "//")) /* sqlite://folder/file, sqlite:///absolute */
        path += 2;
    if (!postgres && (path[0] == '\0' || strstr(path, "://") != NULL)) {
        char shown[256];
        return dm_fail(err, DM_ERROR_CONFIG,
                       "give postgresql://user@host/database, or the path of a SQLite file",
                       "\"%s\" is neither a PostgreSQL URL nor a SQLite file",
                       dm_url_redact(source, shown, sizeof shown));
    }
    if (!postgres && strchr(path, '@') != NULL && strchr(path, ':') != NULL && !dm_file_exists(path))
        return dm_fail(err, DM_ERROR_CONFIG, /* not repeated: it may hold a password */
                       "give postgresql://user@host/database, or the path of a SQLite file",
                       "the source is neither a PostgreSQL URL nor the path of a file that is there");
    for (const char *c = source; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20)
            return dm_fail(err, DM_ERROR_CONFIG, NULL, "the source holds a control character");
    s->name = name != NULL ? dm_xstrdup(name) : postgres ? postgres_name(source) : sqlite_name(path);
    if (postgres) {
        set_postgres(s, source);
    } else {
        s->type = "sqlite";
        s->place = dm_xstrdup(path);
        s->written = quoted(path, true);
    }
    return DM_OK;
}

void dm_starter_release(struct dm_starter *s)
{
    free(s->name);
    free(s->place);
    free(s->written);
    free(s->password_variable);
    *s = (struct dm_starter){0};
}

static const char *place_option(const struct dm_starter *s)
{
    return strcmp(s->type, "sqlite") == 0 ? "path" : "url";
}

enum dm_status dm_starter_config(const struct dm_starter *s, struct dm_config **out, struct dm_error *err)
{
    char *place = quoted(s->place, true);
    char *text =
        dm_xasprintf("sources:\n  %s:\n    type: %s\n    %s: %s\n", s->name, s->type, place_option(s), place);
    enum dm_status status = dm_config_parse(text, strlen(text), "--source", out, err);
    free(text);
    free(place);
    return status;
}

/* ---- the file ---- */

static enum dm_status write_columns(struct dm_buffer *out, char *const *names, size_t n, struct dm_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (dm_buffer_printf(out, err, "%s%s", i ? ", " : "", names[i]) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

/* Names may hold line breaks, and a comment ends at one. */
static void make_one_line(struct dm_buffer *out, size_t from)
{
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] < 0x20)
            out->data[i] = ' ';
}

static enum dm_status write_line(struct dm_buffer *out, size_t from, struct dm_error *err)
{
    make_one_line(out, from);
    return dm_buffer_append_byte(out, '\n', err);
}

/* "      #   orders  ~1,200 rows, key (id), customer_id → customers (id)" */
static enum dm_status write_table(const struct dm_table *t, struct dm_buffer *out, struct dm_error *err)
{
    char rows[32];
    size_t from = out->len;
    if (dm_buffer_printf(out, err, "      #   %-24s ~%s rows, key (", t->name,
                         dm_progress_count(t->estimated_rows, rows, sizeof rows)) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; t->columns != NULL && i < t->columns->n_keys; i++)
        if (dm_buffer_printf(out, err, "%s%s", i ? ", " : "", t->columns->fields[t->columns->keys[i]].name) !=
            DM_OK)
            return DM_FAIL;
    if (dm_buffer_printf(out, err, ")") != DM_OK || write_line(out, from, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < t->n_foreign_keys; i++) {
        const struct dm_foreign_key *f = &t->foreign_keys[i];
        from = out->len;
        if (dm_buffer_printf(out, err, "      #       ") != DM_OK ||
            write_columns(out, f->columns, f->n_columns, err) != DM_OK ||
            dm_buffer_printf(out, err, " -> %s (", f->target_table) != DM_OK ||
            write_columns(out, f->target_columns, f->n_columns, err) != DM_OK ||
            dm_buffer_printf(out, err, ")") != DM_OK || write_line(out, from, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* The glob that means this name: a dot in a schema would cut it in the wrong place, and a control character would not survive
 * YAML's quotes, so ? stands for them; * and ? match themselves. */
static char *exact_glob(const struct dm_table *t)
{
    char *schema = dm_xstrdup(t->schema);
    for (char *c = schema; *c != '\0'; c++)
        if (*c == '.')
            *c = '?';
    char *glob = schema[0] != '\0' ? dm_xasprintf("%s.%s", schema, t->name) : dm_xstrdup(t->name);
    char *yaml = quoted(glob, true);
    free(glob);
    free(schema);
    for (char *c = yaml; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20)
            *c = '?';
    return yaml;
}

/* What the source's owner has to allow is no matter of this file. */
static bool fits(const struct dm_table *t)
{
    return t->problem == NULL || t->of_rights;
}

/* Entries for tables that cannot be mirrored as they are; they stand first, since the first match wins. */
static enum dm_status write_problems(const struct dm_table_list *tables, struct dm_buffer *out,
                                     struct dm_error *err)
{
    bool any = false;
    for (size_t i = 0; i < tables->n; i++) {
        const struct dm_table *t = tables->tables[i];
        if (fits(t))
            continue;
        if (!any && dm_buffer_printf(out, err,
                                     "      # These tables are left out as they are. To take one in, remove "
                                     "the \"# \" of its name and of one way out.\n") != DM_OK)
            return DM_FAIL;
        any = true;
        char *glob = exact_glob(t);
        size_t from = out->len;
        enum dm_status status = dm_buffer_printf(out, err, "      # - name: %s   # it %s", glob, t->problem);
        free(glob);
        if (status != DM_OK || write_line(out, from, err) != DM_OK ||
            dm_buffer_printf(
                out, err,
                "      #   append_only: true     # rows are only ever added\n"
                "      #   key: [a, b]           # or: these columns are unique and never null\n") != DM_OK)
            return DM_FAIL;
        from = out->len;
        if (t->hint != NULL && (dm_buffer_printf(out, err, "      #   (%s)", t->hint) != DM_OK ||
                                write_line(out, from, err) != DM_OK))
            return DM_FAIL;
    }
    return DM_OK;
}

static bool seen_before(const struct dm_table_list *tables, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(tables->tables[j]->schema, tables->tables[i]->schema) == 0)
            return true;
    return false;
}

/* One glob a schema, and under it what it holds. */
static enum dm_status write_schema(const struct dm_table_list *tables, const char *schema,
                                   struct dm_buffer *out, struct dm_error *err)
{
    struct dm_table all = {.schema = (char *)(uintptr_t)schema, .name = (char *)(uintptr_t) "*"};
    char *glob = exact_glob(&all);
    enum dm_status status = dm_buffer_printf(out, err, "      - %s\n", glob);
    free(glob);
    for (size_t i = 0; i < tables->n && status == DM_OK; i++)
        if (strcmp(tables->tables[i]->schema, schema) == 0 && fits(tables->tables[i]))
            status = write_table(tables->tables[i], out, err);
    return status;
}

static enum dm_status write_tables(const struct dm_table_list *tables, struct dm_buffer *out,
                                   struct dm_error *err)
{
    if (tables->n == 0)
        return dm_buffer_printf(
            out, err, "    # No tables were found. Without `tables:`, all that come are mirrored.\n");
    if (dm_buffer_printf(out, err,
                         "    tables: # globs; the first entry that matches a table gives its settings\n") !=
            DM_OK ||
        write_problems(tables, out, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < tables->n; i++)
        if (!seen_before(tables, i) && write_schema(tables, tables->tables[i]->schema, out, err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

enum { token_bytes = 16 };

static enum dm_status make_token(char *out, struct dm_error *err)
{
    unsigned char bytes[token_bytes];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return dm_fail_errno(err, "cannot get random bytes");
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return DM_OK;
}

enum dm_status dm_starter_write(const struct dm_starter *s, const char *lake,
                                const struct dm_table_list *tables, struct dm_buffer *out,
                                struct dm_error *err)
{
    char *folder = quoted(lake, true), token[2 * token_bytes + 1];
    if (make_token(token, err) != DM_OK) {
        free(folder);
        return DM_FAIL;
    }
    enum dm_status status = dm_buffer_printf(
        out, err,
        "# Written by `datamirror init`. All options: datamirror help --reference\n\n"
        "lake: %s # the folder of the lake\n"
        "# commit_interval: 1s # how often changes become visible\n"
        "# memory_limit: 512MiB\n"
        "# http: 127.0.0.1:8181 # take changes, schemas and record deletes over HTTP (docs/http.md)\n"
        "http_token: %s # what its clients must send; so nobody else may read this file\n\n"
        "sources:\n"
        "  %s: # datasets are named %s.<table>\n"
        "    type: %s\n"
        "    %s: %s\n",
        folder, token, s->name, s->name, s->type, place_option(s), s->written);
    free(folder);
    if (status == DM_OK && strcmp(s->type, "postgres") == 0 &&
        strstr(s->place, "sslmode=verify-full") == NULL)
        status = dm_buffer_printf(
            out, err,
            "    # Over a network, add sslmode=verify-full to url: (docs/postgres.md, Encryption)\n");
    if (status == DM_OK && tables != NULL)
        status = write_tables(tables, out, err);
    if (status != DM_OK)
        return DM_FAIL;
    return dm_buffer_printf(out, err,
                            "    # exclude: ['*tmp*'] # tables to leave out\n"
                            "    # history: true      # also keep <table>__history, one row per change\n");
}
