#include "mirror/hygiene/column_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void dm_column_list_add(struct dm_column_list *l, int32_t id)
{
    l->ids = dm_xrealloc(l->ids, l->n + 1, sizeof *l->ids);
    l->ids[l->n++] = id;
}

struct dm_column_list dm_column_list_copy(const struct dm_column_list *l)
{
    struct dm_column_list copy = {0};
    for (size_t i = 0; i < l->n; i++)
        dm_column_list_add(&copy, l->ids[i]);
    return copy;
}

struct dm_column_list dm_column_list_of_key(const struct dm_schema *s)
{
    struct dm_column_list l = {0};
    for (size_t k = 0; k < s->n_keys; k++)
        dm_column_list_add(&l, s->fields[s->keys[k]].id);
    return l;
}

void dm_column_list_release(struct dm_column_list *l)
{
    free(l->ids);
    *l = (struct dm_column_list){0};
}

bool dm_column_list_equal(const struct dm_column_list *a, const struct dm_column_list *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->ids, b->ids, a->n * sizeof *a->ids) == 0);
}

char *dm_column_list_text(const struct dm_column_list *l)
{
    char *text = dm_xstrdup("");
    for (size_t i = 0; i < l->n; i++) {
        char *longer = dm_xasprintf("%s%s%d", text, i > 0 ? "," : "", (int)l->ids[i]);
        free(text);
        text = longer;
    }
    return text;
}

struct dm_column_list dm_column_list_read(const char *text)
{
    struct dm_column_list l = {0};
    while (text != NULL && *text != '\0') {
        char *end;
        long id = strtol(text, &end, 10);
        if (end == text)
            break;
        dm_column_list_add(&l, (int32_t)id);
        text = *end == ',' ? end + 1 : end;
    }
    return l;
}
