/* ddl_token.h — SQL text into tokens, tolerantly: the quoting styles, strings and comments of five dialects. Internal to the registry.
 *
 * Tokens are looked at where they stand in the text (nothing is copied); the lexer is two words of state, so looking ahead is taking a copy of it.
 * Anything that is not a word, number, string or quoted name is a token of one character. The text ends with DM_DDL_END for ever.
 *
 *     struct dm_ddl_lexer lexer = {.text = text, .end = text + n, .line = 1};
 *     for (struct dm_ddl_token t = dm_ddl_next(&lexer); t.kind != DM_DDL_END; t = dm_ddl_next(&lexer)) …
 */
#ifndef DM_REGISTRY_DDL_TOKEN_H
#define DM_REGISTRY_DDL_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

enum dm_ddl_kind { DM_DDL_END = 0, DM_DDL_WORD, DM_DDL_NUMBER, DM_DDL_STRING, DM_DDL_QUOTED, DM_DDL_SIGN };

struct dm_ddl_token {
    enum dm_ddl_kind kind;
    const char *text; /* of strings and quoted names: what is inside the quotes, escapes as written */
    size_t n;
    size_t line;
    char sign;    /* DM_DDL_SIGN: the character; else the quote */
    bool escapes; /* STRING: backslashes escape */
    bool open;    /* STRING, QUOTED: the text ended before the closing quote */
};

struct dm_ddl_lexer {
    const char *text; /* from here on */
    const char *end;
    size_t line;
    bool backslash; /* backslashes escape in strings (MySQL, BigQuery, Databricks) */
};

struct dm_ddl_token dm_ddl_next(struct dm_ddl_lexer *lexer);
/* Without regard to case; `word` is lower case. */
bool dm_ddl_is(const struct dm_ddl_token *t, const char *word);
/* Name or string with escapes undone, malloc'ed. */
char *dm_ddl_text(const struct dm_ddl_token *t);
/* Skips to behind the line that is `line` alone (the end of COPY data); the end when there is none. */
void dm_ddl_skip_past_line(struct dm_ddl_lexer *lexer, const char *line);

#endif
