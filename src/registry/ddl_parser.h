/* ddl_parser.h — the parts of the DDL reader: recursive descent over tokens, tolerant of all that it need not understand. Internal to the registry.
 *
 *   schema_ddl.c   statements     ddl_table.c   CREATE TABLE, ALTER TABLE … ADD CONSTRAINT     ddl_type.c   column types
 *   ddl_token.c    tokens         ddl_dialect.c   which dialect
 */
#ifndef DM_REGISTRY_DDL_PARSER_H
#define DM_REGISTRY_DDL_PARSER_H

#include "registry/ddl_token.h"
#include "registry/schema_file.h"

/* A type that the file itself declares: CREATE TYPE … AS ENUM, CREATE DOMAIN. */
struct dm_ddl_named_type {
    char *name; /* its last part */
    struct dm_type type;
    uint32_t max_length;
    struct dm_names allowed;
};

struct dm_ddl_parser {
    const struct dm_schema_read_options *o;
    struct dm_ddl_lexer lexer;
    struct dm_ddl_token token; /* the present one */
    enum dm_ddl_dialect dialect;
    struct dm_relational_schemas *out;
    size_t first; /* of the schemas in `out`, the first of this text */
    struct dm_names *notes;
    size_t n_types;
    struct dm_ddl_named_type *types;
};

enum dm_ddl_dialect dm_ddl_guess(const char *text, size_t n);

/* CONFIG error "file:line: …". Returns DM_FAIL. */
enum dm_status dm_ddl_fail(const struct dm_ddl_parser *p, size_t line, struct dm_error *err, const char *hint,
                           const char *fmt, ...) DM_PRINTF(5, 6);
/* The same text is noted once. */
void dm_ddl_note(struct dm_ddl_parser *p, const char *fmt, ...) DM_PRINTF(2, 3);

void dm_ddl_advance(struct dm_ddl_parser *p);
struct dm_ddl_token dm_ddl_peek(const struct dm_ddl_parser *p); /* the one behind the present */
bool dm_ddl_word(const struct dm_ddl_parser *p, const char *word);
bool dm_ddl_sign(const struct dm_ddl_parser *p, char sign);
bool dm_ddl_accept(struct dm_ddl_parser *p, const char *word); /* advances when it is that word */
bool dm_ddl_accept_sign(struct dm_ddl_parser *p, char sign);
void dm_ddl_skip_group(struct dm_ddl_parser *p); /* at "(": to behind its ")" */
bool dm_ddl_is_name(const struct dm_ddl_parser *p);

/* One name; malloc'ed. */
enum dm_status dm_ddl_read_name(struct dm_ddl_parser *p, const char *what, char **out,
                                struct dm_error *err) DM_MUST_USE;
/* a.b.c: the last two parts as "b.c" (the only one alone); malloc'ed. */
enum dm_status dm_ddl_read_table_name(struct dm_ddl_parser *p, char **out, struct dm_error *err) DM_MUST_USE;
/* ('a', 'b') */
enum dm_status dm_ddl_read_strings(struct dm_ddl_parser *p, struct dm_names *out,
                                   struct dm_error *err) DM_MUST_USE;

struct dm_ddl_type {
    struct dm_type type;
    uint32_t max_length;
    struct dm_names allowed;
};
enum dm_status dm_ddl_read_type(struct dm_ddl_parser *p, const char *column, struct dm_ddl_type *out,
                                struct dm_error *err) DM_MUST_USE;
void dm_ddl_type_release(struct dm_ddl_type *t);

/* Behind CREATE … TABLE. */
enum dm_status dm_ddl_create_table(struct dm_ddl_parser *p, struct dm_error *err) DM_MUST_USE;
/* Behind ALTER TABLE: constraints are taken, other actions noted. */
enum dm_status dm_ddl_alter_table(struct dm_ddl_parser *p, struct dm_error *err) DM_MUST_USE;
/* The schema of this text with that table name (also in another case), or NULL. */
struct dm_relational_schema *dm_ddl_find_table(const struct dm_ddl_parser *p, const char *name);
/* Index of the column, also in another case; or -1. */
int dm_ddl_find_column(const struct dm_relational_schema *s, const char *name);
/* Takes "datamirror:…" words out of a comment: version, timestamp, time-series, renamed_from=…; the rest becomes the description. column -1: of the table. */
void dm_ddl_take_comment(struct dm_relational_schema *s, int column, const char *comment);

#endif
