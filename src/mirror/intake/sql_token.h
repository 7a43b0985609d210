/* sql_token.h — DuckDB's SQL into tokens, as far as finding the parts of a statement needs it. Internal to sql_script.c.
 *
 * Strings ('…' with doubled quotes, E'…' with backslashes, $tag$…$tag$), quoted names ("…") and comments (-- and nested block comments) are skipped as wholes, so
 * that what stands in them is never taken for SQL. Tokens point into the text. After the end every call gives DM_SQL_END.
 */
#ifndef DM_MIRROR_SQL_TOKEN_H
#define DM_MIRROR_SQL_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

enum dm_sql_kind { DM_SQL_END = 0, DM_SQL_WORD, DM_SQL_QUOTED, DM_SQL_STRING, DM_SQL_SIGN };

struct dm_sql_token {
    enum dm_sql_kind kind;
    size_t at;   /* offset in the text */
    size_t n;    /* bytes, quotes included */
    size_t line; /* from 1 */
    char sign;   /* DM_SQL_SIGN */
    bool open;   /* the text ended before the closing quote, or inside a comment (then DM_SQL_END) */
};

struct dm_sql_scan {
    const char *text;
    size_t n;
    size_t at;
    size_t line;
};

struct dm_sql_token dm_sql_token_next(struct dm_sql_scan *scan);
/* A word that is not quoted, without regard to case; `word` is lower case. */
bool dm_sql_token_is(const struct dm_sql_scan *scan, const struct dm_sql_token *t, const char *word);
/* A name: a word as it is, a quoted one with its quotes undone; malloc'ed. */
char *dm_sql_token_name(const struct dm_sql_scan *scan, const struct dm_sql_token *t);

#endif
