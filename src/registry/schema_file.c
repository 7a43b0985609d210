#include "registry/schema_file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/utf8.h"

static const char *const dialects[] = {
    [DM_DIALECT_AUTO] = "auto",
    [DM_DIALECT_POSTGRES] = "postgres",
    [DM_DIALECT_MYSQL] = "mysql",
    [DM_DIALECT_SNOWFLAKE] = "snowflake",
    [DM_DIALECT_DATABRICKS] = "databricks",
    [DM_DIALECT_BIGQUERY] = "bigquery",
};

bool dm_ddl_dialect_find(const char *word, enum dm_ddl_dialect *out)
{
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
        if (strcasecmp(dialects[i], word) == 0) {
            *out = (enum dm_ddl_dialect)i;
            return true;
        }
    bool other = strcasecmp(word, "postgresql") == 0 || strcasecmp(word, "mariadb") == 0;
    if (other)
        *out = tolower((unsigned char)word[0]) == 'p' ? DM_DIALECT_POSTGRES : DM_DIALECT_MYSQL;
    return other;
}

const char *dm_ddl_dialect_name(enum dm_ddl_dialect dialect)
{
    return dialects[dialect];
}

bool dm_schema_format_find(const char *word, enum dm_schema_format *out)
{
    static const char *const words[] = {"auto", "yaml", "json", "ddl"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(words[i], word) == 0) {
            *out = (enum dm_schema_format)i;
            return true;
        }
    if (strcasecmp(word, "sql") == 0)
        *out = DM_SCHEMA_DDL;
    return strcasecmp(word, "sql") == 0;
}

static bool ends_with(const char *file, const char *ending)
{
    size_t n = file != NULL ? strlen(file) : 0, m = strlen(ending);
    return n > m && strcasecmp(file + n - m, ending) == 0;
}

static enum dm_schema_format format_by_name(const char *file)
{
    if (ends_with(file, ".yaml") || ends_with(file, ".yml"))
        return DM_SCHEMA_YAML;
    if (ends_with(file, ".json"))
        return DM_SCHEMA_JSON;
    if (ends_with(file, ".sql") || ends_with(file, ".ddl"))
        return DM_SCHEMA_DDL;
    return DM_SCHEMA_AUTO;
}

/* YAML keys never begin a line with CREATE, COMMENT or a SQL comment; JSON begins with a bracket. */
static enum dm_schema_format format_by_content(const char *text, size_t n)
{
    static const char *const sql[] = {"create", "comment on", "--",    "/*",    "set ",
                                      "use ",   "begin",      "drop ", "alter "};
    size_t i = 0;
    while (i < n && isspace((unsigned char)text[i]))
        i++;
    if (i < n && text[i] == '{')
        return DM_SCHEMA_JSON;
    if (i < n && text[i] == '[')
        return memchr(text + i, '"', n - i) != NULL ? DM_SCHEMA_JSON : DM_SCHEMA_YAML;
    for (size_t k = 0; k < sizeof sql / sizeof *sql; k++) {
        size_t m = strlen(sql[k]);
        if (n - i >= m && strncasecmp(text + i, sql[k], m) == 0 &&
            !(n - i >= 3 && memcmp(text + i, "---", 3) == 0))
            return DM_SCHEMA_DDL;
    }
    return DM_SCHEMA_YAML;
}

/* Lines are checked one by one, so that the message can name the bad one. */
static enum dm_status check_text(const char *text, size_t n, const char *file, struct dm_error *err)
{
    if (n > DM_SCHEMA_TEXT_MAX)
        return dm_fail(err, DM_ERROR_CONFIG, "split it", "%s: it is larger than %zu MiB", file,
                       DM_SCHEMA_TEXT_MAX >> 20);
    size_t line = 1;
    for (const char *p = text, *end = text + n; p < end; line++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t length = (size_t)((newline != NULL ? newline : end) - p);
        if (!dm_utf8_valid((const uint8_t *)p, length))
            return dm_fail(err, DM_ERROR_CONFIG, "save it as UTF-8", "%s:%zu: this is not UTF-8 text", file,
                           line);
        if (memchr(p, '\0', length) != NULL)
            return dm_fail(err, DM_ERROR_CONFIG, "is it the right file?", "%s:%zu: there is a NUL byte", file,
                           line);
        p += length + 1;
    }
    return DM_OK;
}

enum dm_status dm_schema_text_read(const char *text, size_t n, const struct dm_schema_read_options *o,
                                   struct dm_relational_schemas *out, struct dm_names *notes,
                                   struct dm_error *err)
{
    if (check_text(text, n, o->file != NULL ? o->file : "text", err) != DM_OK)
        return DM_FAIL;
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        text += 3;
        n -= 3;
    }
    enum dm_schema_format format = o->format;
    if (format == DM_SCHEMA_AUTO)
        format = format_by_name(o->file);
    if (format == DM_SCHEMA_AUTO)
        format = format_by_content(text, n);
    switch (format) {
    case DM_SCHEMA_JSON: return dm_schema_json_read(text, n, o, out, notes, err);
    case DM_SCHEMA_DDL: return dm_schema_ddl_read(text, n, o, out, notes, err);
    default: return dm_schema_yaml_read(text, n, o, out, notes, err);
    }
}

enum dm_status dm_schema_file_read(const char *path, const struct dm_schema_read_options *o,
                                   struct dm_relational_schemas *out, struct dm_names *notes,
                                   struct dm_error *err)
{
    struct dm_buffer b;
    struct dm_schema_read_options with_file = *o;
    with_file.file = path;
    dm_buffer_init(&b, DM_SCHEMA_TEXT_MAX + 1);
    enum dm_status status = dm_file_read(path, &b, err);
    if (status != DM_OK && err->class != DM_ERROR_TRANSIENT)
        err->class = DM_ERROR_CONFIG;
    if (status == DM_OK)
        status = dm_schema_text_read(b.data != NULL ? (const char *)b.data : "", b.len, &with_file, out,
                                     notes, err);
    dm_buffer_release(&b);
    return status;
}
