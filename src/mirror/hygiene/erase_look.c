#include "mirror/hygiene/erase_look.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"
#include "mirror/hygiene/erase_files.h"

enum dm_status dm_erase_wanted_load(struct dm_mirror *m, int64_t order, uint32_t dataset,
                                    struct dm_erase_wanted *out, struct dm_error *err)
{
    struct dm_key_hash *hashes = NULL;
    size_t n = 0;
    struct sqlite3 *db = dm_lake_sqlite(m->lake);
    *out = (struct dm_erase_wanted){0};
    (void)pthread_mutex_lock(&m->lake_mutex);
    enum dm_status status = dm_work_order_keys(db, order, dataset, &hashes, &n, err);
    if (status == DM_OK)
        status = dm_work_order_columns(db, order, dataset, &out->lists, &out->n_lists, err);
    if (status == DM_OK) { /* and the key */
        out->lists = dm_xrealloc(out->lists, out->n_lists + 1, sizeof *out->lists);
        out->lists[out->n_lists++] = (struct dm_column_list){0};
    }
    (void)pthread_mutex_unlock(&m->lake_mutex);
    if (status == DM_OK)
        out->set = dm_suppressed_new(m->suppression, hashes, n);
    free(hashes);
    return status;
}

void dm_erase_wanted_release(struct dm_erase_wanted *w)
{
    dm_suppressed_unref(w->set);
    for (size_t i = 0; i < w->n_lists; i++)
        dm_column_list_release(&w->lists[i]);
    free(w->lists);
    *w = (struct dm_erase_wanted){0};
}

void dm_erase_look_release(struct dm_erase_look *l)
{
    free(l->known);
    *l = (struct dm_erase_look){0};
}

static struct dm_erase_match *match_for(const struct dm_erase_look *l, const struct dm_schema *dataset,
                                        const struct dm_schema *stored)
{
    return dm_erase_match_new(&(struct dm_erase_match_options){.dataset = dataset,
                                                               .stored = stored,
                                                               .set = l->wanted->set,
                                                               .n_lists = l->wanted->n_lists,
                                                               .lists = l->wanted->lists});
}

static uint32_t name_hash(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name != '\0'; name++)
        h = (h ^ (uint8_t)*name) * 16777619u;
    return h;
}

static struct dm_known_file *find_known(const struct dm_erase_look *l, const char *name, uint32_t number)
{
    uint32_t hash = name_hash(name);
    for (size_t i = 0; i < l->n; i++)
        if (l->known[i].member_hash == hash && l->known[i].number == number)
            return &l->known[i];
    return NULL;
}

static void make_dirty(void *ctx, uint32_t file, uint32_t position)
{
    (void)position;
    ((bool *)ctx)[file] = true;
}

/* Looks at files, all rows of them. `dirty` runs parallel. */
static enum dm_status look_at(struct dm_erase_look *l, struct dm_erase_match *match,
                              struct dm_scan_file *files, size_t n, bool *dirty, struct dm_error *err)
{
    for (size_t i = 0; i < n; i++)
        files[i].number = (uint32_t)i;
    return dm_erase_find(l->m->engine, files, n, true, match, make_dirty, dirty, err);
}

/* A member's files as they are, for a look without the mutex. */
struct member_copy {
    char *name;
    struct dm_erase_match *match;
    size_t n;
    struct dm_scan_file *files;
    uint32_t *numbers;
};

static void copies_free(struct member_copy *copies, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < copies[i].n; k++)
            free((void *)(uintptr_t)copies[i].files[k].path);
        free(copies[i].files);
        free(copies[i].numbers);
        free(copies[i].name);
        dm_erase_match_free(copies[i].match);
    }
    free(copies);
}

static struct member_copy *copy_family(const struct dm_erase_look *l, const struct dm_family *f)
{
    struct member_copy *copies = dm_xzalloc(f->n + 1, sizeof *copies);
    for (size_t i = 0; i < f->n; i++) {
        const struct dm_dataset *d = f->members[i];
        struct member_copy *c = &copies[i];
        c->name = dm_xstrdup(d->name);
        c->match = match_for(l, f->members[0]->schema, d->schema);
        c->n = d->n_files;
        c->files = dm_xzalloc(d->n_files + 1, sizeof *c->files);
        c->numbers = dm_xzalloc(d->n_files + 1, sizeof *c->numbers);
        for (size_t k = 0; k < d->n_files; k++) {
            c->files[k] =
                (struct dm_scan_file){.path = dm_xstrdup(d->files[k].path), .rows = d->files[k].rows};
            c->numbers[k] = d->files[k].number;
        }
    }
    return copies;
}

enum dm_status dm_erase_look_ahead(struct dm_erase_look *l, const struct dm_dataset_state *state,
                                   struct dm_error *err)
{
    struct dm_error none = {0};
    struct dm_family family = {0};
    (void)pthread_mutex_lock(&l->m->lake_mutex);
    enum dm_status status = dm_family_load(l->m, state, &family, err);
    size_t n = status == DM_OK ? family.n : 0;
    struct member_copy *copies = n > 0 ? copy_family(l, &family) : NULL;
    dm_family_release(&family);
    (void)pthread_mutex_unlock(&l->m->lake_mutex);
    for (size_t i = 0; i < n && (l->stop == NULL || *l->stop == 0); i++) {
        struct member_copy *c = &copies[i];
        bool *dirty = dm_xzalloc(c->n + 1, sizeof *dirty);
        if (look_at(l, c->match, c->files, c->n, dirty, &none) == DM_OK) {
            l->known = dm_xrealloc(l->known, l->n + c->n + 1, sizeof *l->known);
            for (size_t k = 0; k < c->n; k++)
                l->known[l->n++] = (struct dm_known_file){name_hash(c->name), c->numbers[k], dirty[k]};
        } /* a file that was merged away meanwhile: all are looked at when they are asked for */
        free(dirty);
    }
    copies_free(copies, n);
    return status;
}

/* What is known, and a look at the files that came since. */
enum dm_status dm_erase_look_member(struct dm_erase_look *l, const struct dm_schema *dataset,
                                    const struct dm_dataset *d, bool *dirty, struct dm_error *err)
{
    struct dm_erase_match *match = match_for(l, dataset, d->schema);
    struct dm_scan_file *fresh = dm_xzalloc(d->n_files + 1, sizeof *fresh);
    size_t *of = dm_xzalloc(d->n_files + 1, sizeof *of);
    bool *fresh_dirty = dm_xzalloc(d->n_files + 1, sizeof *fresh_dirty);
    size_t n = 0;
    for (size_t i = 0; i < d->n_files; i++) {
        const struct dm_known_file *k = find_known(l, d->name, d->files[i].number);
        dirty[i] = k != NULL && k->dirty;
        if (k != NULL)
            continue;
        of[n] = i;
        fresh[n++] = (struct dm_scan_file){.path = d->files[i].path, .rows = d->files[i].rows};
    }
    enum dm_status status = look_at(l, match, fresh, n, fresh_dirty, err);
    for (size_t i = 0; i < n; i++)
        dirty[of[i]] = fresh_dirty[i];
    dm_erase_match_free(match);
    free(fresh);
    free(of);
    free(fresh_dirty);
    return status;
}
