/* Any bytes as a text of statements: an answer or a CONFIG error, never a crash or a leak; a query holds nothing that the text did not. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/intake/sql_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const char *text, size_t n, const char *into)
{
    struct dm_sql_script script;
    struct dm_error err = {0};
    if (dm_sql_script_parse(text, n, into, &script, &err) != DM_OK) {
        if (err.class != DM_ERROR_CONFIG || err.message[0] == '\0' || script.n != 0)
            abort();
        return;
    }
    for (size_t i = 0; i < script.n; i++) {
        struct dm_sql_statement *s = &script.statements[i];
        if (s->line == 0 || s->dataset == NULL || strlen(s->query) > n + 32)
            abort();
        if (s->line > 10000)
            continue;
        char *query = dm_sql_statement_query(s);
        if (strlen(query) != s->line - 1 + strlen(s->query))
            abort();
        free(query);
    }
    dm_sql_script_release(&script);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* exactly sized, so that reading past the end is seen */
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    parse(text, size, NULL);
    parse(text, size, "sales.orders");
    free(text);
    return 0;
}
