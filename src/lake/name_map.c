#include "lake/name_map.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"

static size_t slot_of(const struct dm_name_map *m, const char *namespace, const char *name)
{
    XXH64_hash_t seed = XXH3_64bits(namespace, strlen(namespace));
    return (size_t)XXH3_64bits_withSeed(name, strlen(name), seed) & (m->slots - 1);
}

/* The entry of the key, or the free slot where it would go. */
static struct dm_name_entry *find(const struct dm_name_map *m, const char *namespace, const char *name)
{
    size_t i = slot_of(m, namespace, name);
    while (m->table[i].namespace != NULL &&
           (strcmp(m->table[i].namespace, namespace) != 0 || strcmp(m->table[i].name, name) != 0))
        i = (i + 1) & (m->slots - 1);
    return &m->table[i];
}

void dm_name_map_release(struct dm_name_map *m)
{
    for (size_t i = 0; i < m->slots; i++) {
        free(m->table[i].namespace);
        free(m->table[i].name);
    }
    free(m->table);
    *m = (struct dm_name_map){0};
}

void *dm_name_map_get(const struct dm_name_map *m, const char *namespace, const char *name)
{
    return m->n == 0 ? NULL : find(m, namespace, name)->value; /* a free slot has a NULL value */
}

static void grow(struct dm_name_map *m)
{
    struct dm_name_map bigger = {.slots = m->slots == 0 ? 16 : m->slots * 2, .n = m->n};
    bigger.table = dm_xzalloc(bigger.slots, sizeof *bigger.table);
    for (size_t i = 0; i < m->slots; i++)
        if (m->table[i].namespace != NULL)
            *find(&bigger, m->table[i].namespace, m->table[i].name) = m->table[i];
    free(m->table);
    *m = bigger;
}

void dm_name_map_put(struct dm_name_map *m, const char *namespace, const char *name, void *value)
{
    if ((m->n + 1) * 4 > m->slots * 3)
        grow(m);
    struct dm_name_entry *e = find(m, namespace, name);
    if (e->namespace == NULL) {
        e->namespace = dm_xstrdup(namespace);
        e->name = dm_xstrdup(name);
        m->n++;
    }
    e->value = value;
}

void *dm_name_map_remove(struct dm_name_map *m, const char *namespace, const char *name)
{
    if (m->n == 0)
        return NULL;
    struct dm_name_entry *e = find(m, namespace, name);
    if (e->namespace == NULL)
        return NULL;
    void *value = e->value;
    free(e->namespace);
    free(e->name);
    *e = (struct dm_name_entry){0};
    m->n--;
    /* Linear probing: what follows without a gap may have been pushed past the slot that is free now. */
    for (size_t i = ((size_t)(e - m->table) + 1) & (m->slots - 1); m->table[i].namespace != NULL;
         i = (i + 1) & (m->slots - 1)) {
        struct dm_name_entry moved = m->table[i];
        m->table[i] = (struct dm_name_entry){0};
        *find(m, moved.namespace, moved.name) = moved;
    }
    return value;
}
