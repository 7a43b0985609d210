/* type_words.h — the words for column types, in YAML and in the SQL dialects, into types and back.
 *
 * One table of words for reading; what a word means in a dialect that disagrees (TIMESTAMP, NUMERIC without precision) is decided here and nowhere else.
 * Threads: no state.
 *
 *     struct dm_type_reading r;
 *     dm_type_words_read("decimal(12,2)", DM_DIALECT_AUTO, &r);   // r.type
 */
#ifndef DM_REGISTRY_TYPE_WORDS_H
#define DM_REGISTRY_TYPE_WORDS_H

#include "registry/schema_file.h"

/* A type as written: its words, upper or lower case, single spaces, without what is in parentheses. */
struct dm_type_spelling {
    char words[64]; /* "double precision", "bigint unsigned", "timestamp with time zone" */
    int n_numbers;  /* in parentheses: varchar(20), numeric(12,2) */
    int64_t numbers[2];
};

struct dm_type_reading {
    struct dm_type type;
    uint32_t max_length; /* varchar(20) */
    char note[160];      /* what a person should know: "jsonb is kept as text"; empty: nothing */
};

/* False: no such type (reading->note says what is wrong when the word is known but its numbers are not good). */
bool dm_type_words_find(const struct dm_type_spelling *spelling, enum dm_ddl_dialect dialect,
                        struct dm_type_reading *reading);
/* The same from one text, list types included: "list<string>", "text[]". For YAML and JSON. */
bool dm_type_words_read(const char *text, struct dm_type_reading *reading);
/* How the type is written in YAML: "int64", "decimal(12, 2)", "list<string>". >= 48 bytes; returns out. */
const char *dm_type_words_yaml(struct dm_type type, char *out, size_t size);
/* How a column of the type is written in a dialect. max_length 0: none. Returns out. */
const char *dm_type_words_ddl(struct dm_type type, uint32_t max_length, enum dm_ddl_dialect dialect,
                              char *out, size_t size);
/* The nearest known word, for "did you mean"; NULL: none is near. */
const char *dm_type_words_near(const char *word);

#endif
