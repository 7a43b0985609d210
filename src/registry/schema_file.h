/* schema_file.h — relational schemas from a text: YAML for people, the documented JSON, or DDL of five dialects.
 *
 * What the readers have in common. A reader adds the schemas it finds to `out` (unresolved, unchecked: schema_rules.h) and leaves things to know in `notes`.
 * Errors are CONFIG and begin with "file:line: ". On DM_FAIL `out` may hold some schemas; the caller releases it in any case.
 * Threads: no state.
 *
 *     struct dm_schema_read_options o = {.file = "orders.sql", .version = "updated_at"};
 *     dm_schema_text_read(text, n, &o, &schemas, &notes, err);
 */
#ifndef DM_REGISTRY_SCHEMA_FILE_H
#define DM_REGISTRY_SCHEMA_FILE_H

#include "registry/relational_schema.h"

#define DM_SCHEMA_TEXT_MAX ((size_t)64 << 20)
#define DM_SCHEMA_COLUMNS_MAX 10000
#define DM_SCHEMAS_MAX 100000 /* of one text */

enum dm_schema_format { DM_SCHEMA_AUTO = 0, DM_SCHEMA_YAML, DM_SCHEMA_JSON, DM_SCHEMA_DDL };
enum dm_ddl_dialect {
    DM_DIALECT_AUTO = 0,
    DM_DIALECT_POSTGRES,
    DM_DIALECT_MYSQL,
    DM_DIALECT_SNOWFLAKE,
    DM_DIALECT_DATABRICKS,
    DM_DIALECT_BIGQUERY,
};

struct dm_schema_read_options {
    const char *file; /* for messages, and for the format by its ending */
    enum dm_schema_format format;
    enum dm_ddl_dialect dialect;
    const char *version;   /* DDL: the version column of tables that do not say theirs; NULL: none */
    const char *timestamp; /* DDL: tables that have it as a time are time-series by it; NULL: none */
    const char *namespace; /* DDL: of tables without one; NULL: "default" */
    const struct dm_relational_schemas *known; /* JSON: schemas that descriptors may refer to; may be NULL */
};

enum dm_status dm_schema_text_read(const char *text, size_t n, const struct dm_schema_read_options *o,
                                   struct dm_relational_schemas *out, struct dm_names *notes,
                                   struct dm_error *err) DM_MUST_USE;
enum dm_status dm_schema_file_read(const char *path, const struct dm_schema_read_options *o,
                                   struct dm_relational_schemas *out, struct dm_names *notes,
                                   struct dm_error *err) DM_MUST_USE;

/* "yaml", "json", "ddl"; "postgres", "mysql", … False: unknown word. */
bool dm_schema_format_find(const char *word, enum dm_schema_format *out);
bool dm_ddl_dialect_find(const char *word, enum dm_ddl_dialect *out);
const char *dm_ddl_dialect_name(enum dm_ddl_dialect dialect);

/* The readers themselves. */
enum dm_status dm_schema_yaml_read(const char *text, size_t n, const struct dm_schema_read_options *o,
                                   struct dm_relational_schemas *out, struct dm_names *notes,
                                   struct dm_error *err) DM_MUST_USE;
enum dm_status dm_schema_json_read(const char *text, size_t n, const struct dm_schema_read_options *o,
                                   struct dm_relational_schemas *out, struct dm_names *notes,
                                   struct dm_error *err) DM_MUST_USE;
enum dm_status dm_schema_ddl_read(const char *text, size_t n, const struct dm_schema_read_options *o,
                                  struct dm_relational_schemas *out, struct dm_names *notes,
                                  struct dm_error *err) DM_MUST_USE;

#endif
