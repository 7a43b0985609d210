#include "lake/path_set.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"

static uint64_t hash_of(const char *path)
{
    uint64_t h = XXH3_64bits(path, strlen(path));
    return h == 0 ? 1 : h;
}

static size_t slot_of(const struct dm_path_set *s, uint64_t h)
{
    size_t i = (size_t)h & (s->slots - 1);
    while (s->table[i] != 0 && s->table[i] != h)
        i = (i + 1) & (s->slots - 1);
    return i;
}

bool dm_path_set_has(const struct dm_path_set *s, const char *path)
{
    return s->n > 0 && s->table[slot_of(s, hash_of(path))] != 0;
}

bool dm_path_set_add(struct dm_path_set *s, const char *path)
{
    if ((s->n + 1) * 4 > s->slots * 3) {
        struct dm_path_set bigger = {.n = s->n, .slots = s->slots == 0 ? 64 : s->slots * 2};
        bigger.table = dm_xzalloc(bigger.slots, sizeof *bigger.table);
        for (size_t i = 0; i < s->slots; i++)
            if (s->table[i] != 0)
                bigger.table[slot_of(&bigger, s->table[i])] = s->table[i];
        free(s->table);
        *s = bigger;
    }
    uint64_t h = hash_of(path);
    size_t at = slot_of(s, h);
    if (s->table[at] != 0)
        return false;
    s->table[at] = h;
    s->n++;
    return true;
}

void dm_path_set_release(struct dm_path_set *s)
{
    free(s->table);
    *s = (struct dm_path_set){0};
}
