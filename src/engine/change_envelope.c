#include "engine/change_envelope.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/memory.h"

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

void dm_change_envelope_init(struct dm_change_envelope *e, const struct dm_schema *schema)
{
    static const char *const parts[] = {"source", "transaction"};
    static const char *const own[] = {"op", "ts_ms", "ts_us", "ts_ns"};
    *e = (struct dm_change_envelope){0};
    for (size_t i = 0; i < schema->n_fields; i++) {
        const char *name = schema->fields[i].name;
        if (!begins(name, "__") || name[2] == '\0')
            continue;
        struct dm_envelope_column c = {.field = i, .part = parts[0], .name = name + 2};
        for (size_t k = 0; k < sizeof own / sizeof *own; k++)
            if (strcmp(c.name, own[k]) == 0)
                c.part = NULL;
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            size_t len = strlen(parts[k]);
            if (begins(name + 2, parts[k]) && name[2 + len] == '_') {
                c.part = parts[k];
                c.name = name + 2 + len + 1;
            }
        }
        e->columns = dm_xrealloc(e->columns, e->n + 1, sizeof *e->columns);
        e->columns[e->n++] = c;
    }
}

void dm_change_envelope_release(struct dm_change_envelope *e)
{
    free(e->columns);
    *e = (struct dm_change_envelope){0};
}

static bool is_named(const struct dm_json_slice *key, const char *name)
{
    return !key->escaped && key->n == strlen(name) && memcmp(key->text, name, key->n) == 0;
}

static void fill_from(const struct dm_change_envelope *e, const char *part, const char *text, size_t n,
                      struct dm_change_cell *cells)
{
    struct dm_json_scan s = dm_json_scan_of(text, n);
    struct dm_json_slice key, v;
    bool first = true, more = true;
    if (!dm_json_scan_open(&s, '{'))
        return;
    while (dm_json_scan_member(&s, &first, &more, &key, &v) && more) {
        for (size_t i = 0; i < e->n; i++) {
            const struct dm_envelope_column *c = &e->columns[i];
            struct dm_change_cell *cell = &cells[c->field];
            if (c->part == part && cell->kind == DM_CELL_ABSENT && !v.escaped && is_named(&key, c->name))
                *cell = (struct dm_change_cell){
                    .text = v.text, .n = v.n, .kind = v.kind == DM_JSON_NULL ? DM_CELL_NULL : DM_CELL_TEXT};
            else if (part == NULL && c->part != NULL && v.kind == DM_JSON_OBJECT && is_named(&key, c->part) &&
                     cell->kind == DM_CELL_ABSENT)
                fill_from(e, c->part, v.text, v.n, cells);
        }
    }
}

void dm_change_envelope_fill(const struct dm_change_envelope *e, const char *text, size_t n,
                             struct dm_change_cell *cells)
{
    fill_from(e, NULL, text, n, cells);
}
