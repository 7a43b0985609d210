/* Globs of table names: `*` any run of characters, `?` one character (of UTF-8).
 *
 * Matching backtracks to the last `*` only, which is enough for globs, so it takes at most glob × text steps. */
#include <string.h>

#include "config/config.h"

static const char *next_character(const char *c)
{
    c++;
    while (((unsigned char)*c & 0xC0u) == 0x80u)
        c++;
    return c;
}

/* As dm_glob_match for parts of texts, which end at glob_end and text_end. */
static bool match_range(const char *glob, const char *glob_end, const char *text, const char *text_end)
{
    const char *star = NULL, *retry = NULL;
    while (text < text_end) {
        if (glob < glob_end && *glob == '*') {
            star = glob++;
            retry = text;
        } else if (glob < glob_end && *glob == '?') {
            glob++;
            text = next_character(text);
        } else if (glob < glob_end && *glob == *text) {
            glob++;
            text++;
        } else if (star != NULL) {
            glob = star + 1;
            retry = next_character(retry);
            text = retry;
        } else {
            return false;
        }
    }
    while (glob < glob_end && *glob == '*')
        glob++;
    return glob == glob_end;
}

bool dm_glob_match(const char *glob, const char *text)
{
    return match_range(glob, glob + strlen(glob), text, text + strlen(text));
}

bool dm_table_glob_match(const char *glob, const char *schema, const char *table)
{
    if (schema[0] == '\0')
        return dm_glob_match(glob, table);
    const char *dot = strchr(glob, '.');
    if (dot == NULL)
        return strcmp(schema, "public") == 0 && dm_glob_match(glob, table);
    return match_range(glob, dot, schema, schema + strlen(schema)) && dm_glob_match(dot + 1, table);
}

const struct dm_table_config *dm_config_table(const struct dm_source_config *source, const char *schema,
                                              const char *table)
{
    for (size_t i = 0; i < source->n_tables; i++)
        if (dm_table_glob_match(source->tables[i].glob, schema, table))
            return &source->tables[i];
    return NULL;
}
