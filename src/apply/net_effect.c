#include "apply/net_effect.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "apply/key_sort.h"
#include "apply/net_links.h"
#include "base/memory.h"

_Static_assert(offsetof(struct dm_net_change, key) == offsetof(struct dm_keyed, key) &&
                   offsetof(struct dm_net_change, key_len) == offsetof(struct dm_keyed, key_len),
               "dm_key_sort sorts net changes");

/* What a REKEY row leaves for the UPDATE behind it: where the old key's values are. */
struct rekey {
    bool open;
    struct dm_net_origin origin;
};

void dm_net_effect_release(struct dm_net_effect *net)
{
    dm_key_list_release(&net->keys);
    free(net->changes);
    free(net->missing);
    free(net->slots);
    dm_net_links_release(net);
    *net = (struct dm_net_effect){0};
}

/* Secret per process, so that nobody can choose keys that collide. */
static uint64_t hash_seed(void)
{
    static _Atomic uint64_t seed;
    uint64_t now = seed;
    if (now != 0)
        return now;
    uint64_t fresh = 0;
    if (getrandom(&fresh, sizeof fresh, GRND_NONBLOCK) != (ssize_t)sizeof fresh || fresh == 0)
        fresh = (uint64_t)(uintptr_t)&seed ^ UINT64_C(0x9e3779b97f4a7c15);
    return atomic_compare_exchange_strong(&seed, &now, fresh) ? fresh : now;
}

/* At most half full, so probing is short. */
static void prepare(struct dm_net_effect *net, size_t rows)
{
    size_t slots = 64;
    while (slots < rows * 2)
        slots *= 2;
    if (net->n_slots != slots) {
        free(net->slots);
        net->slots = dm_xalloc(slots * sizeof *net->slots);
        net->n_slots = slots;
    }
    memset(net->slots, 0, slots * sizeof *net->slots);
    if (net->changes_capacity < rows) {
        net->changes = dm_xrealloc(net->changes, rows, sizeof *net->changes);
        net->changes_capacity = rows;
    }
    net->n_changes = net->n_missing = 0;
    net->n_upserts = net->n_deletes = net->n_superseded = 0;
    net->needs_finish = false;
}

static bool key_equal(const struct dm_net_change *c, const uint8_t *key, uint32_t key_len)
{
    if (c->key_len != key_len)
        return false;
    if (key_len == 8) {
        uint64_t a, b;
        memcpy(&a, c->key, 8);
        memcpy(&b, key, 8);
        return a == b;
    }
    return memcmp(c->key, key, key_len) == 0;
}

/* The change of this key; *known says that there was one before. */
static struct dm_net_change *find_or_add(struct dm_net_effect *net, const uint8_t *key, uint32_t key_len,
                                         uint64_t seed, bool *known)
{
    uint64_t hash = XXH3_64bits_withSeed(key, key_len, seed);
    uint64_t tag = hash & UINT64_C(0xffffffff00000000);
    size_t mask = net->n_slots - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        uint64_t slot = net->slots[at];
        if (slot == 0) {
            net->slots[at] = tag | (net->n_changes + 1);
            struct dm_net_change *c = &net->changes[net->n_changes++];
            *c = (struct dm_net_change){.key = key, .key_len = key_len};
            *known = false;
            return c;
        }
        struct dm_net_change *c = &net->changes[(uint32_t)slot - 1];
        if ((slot & UINT64_C(0xffffffff00000000)) == tag && key_equal(c, key, key_len)) {
            *known = true;
            return c;
        }
    }
}

static int compare_subxids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Rows of one subtransaction come in runs, so the last answer is mostly the next one. */
struct aborted_set {
    const uint32_t *subxids;
    size_t n;
    uint32_t last;
    bool last_answer;
};

static bool is_aborted(struct aborted_set *set, uint32_t subxid)
{
    if (set->n == 0)
        return false;
    if (subxid != set->last) {
        set->last = subxid;
        set->last_answer = bsearch(&subxid, set->subxids, set->n, sizeof subxid, compare_subxids) != NULL;
    }
    return set->last_answer;
}

static enum dm_status null_key(const struct dm_batch *batch, size_t row, struct dm_error *err)
{
    char key[128];
    return dm_fail(err, DM_ERROR_DATA, NULL, "row %zu of the batch has no complete key: %s", row,
                   dm_key_text(batch, row, key, sizeof key));
}

static enum dm_status apply_row(struct dm_net_effect *net, struct dm_batch *batch, size_t i, bool linked,
                                uint64_t seed, struct rekey *rekey, struct dm_error *err)
{
    const uint8_t *key = net->keys.bytes.data + net->keys.offsets[i];
    uint32_t key_len = (uint32_t)(net->keys.offsets[i + 1] - net->keys.offsets[i]);
    enum dm_op op = (enum dm_op)batch->ops[i];
    if (key_len == 0)
        return null_key(batch, i, err);
    if (rekey->open && op != DM_OP_UPDATE)
        return dm_fail(err, DM_ERROR_FATAL, NULL,
                       "row %zu of the batch must be the UPDATE of the REKEY before it", i);

    bool known;
    struct dm_net_change *c = find_or_add(net, key, key_len, seed, &known);
    struct dm_net_origin own = {.key = key,
                                .key_len = key_len,
                                .row = known ? c->row : 0,
                                .where = !known    ? DM_NET_STORED
                                         : c->live ? DM_NET_IN_BATCH
                                                   : DM_NET_GONE};
    bool upsert = op == DM_OP_COPY || op == DM_OP_INSERT || op == DM_OP_UPDATE;
    if (!upsert && op != DM_OP_DELETE && op != DM_OP_REKEY)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "row %zu of the batch has the unknown operation %d", i, op);
    if (linked && upsert &&
        dm_net_links_add(net, batch, (uint32_t)i, rekey->open ? &rekey->origin : &own, err) != DM_OK)
        return DM_FAIL;
    *rekey = (struct rekey){.open = op == DM_OP_REKEY, .origin = own};
    if (known)
        net->n_superseded++;
    else
        c->fresh = op == DM_OP_INSERT;
    c->row = (uint32_t)i;
    c->live = upsert;
    return DM_OK;
}

enum dm_status dm_net_effect_compute(struct dm_net_effect *net, struct dm_batch *batch,
                                     const uint32_t *aborted, size_t n_aborted, struct dm_error *err)
{
    if (batch->rows >= DM_NET_NONE)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a batch of %zu rows is too large", batch->rows);
    prepare(net, batch->rows);
    if (dm_key_list_encode(&net->keys, batch, err) != DM_OK)
        return DM_FAIL;
    bool linked = dm_net_links_prepare(net, batch);
    uint64_t seed = hash_seed();
    struct aborted_set set = {.subxids = aborted, .n = n_aborted};
    struct rekey rekey = {0};
    for (size_t i = 0; i < batch->rows; i++) {
        if (is_aborted(&set, batch->subxids[i]))
            continue;
        if (apply_row(net, batch, i, linked, seed, &rekey, err) != DM_OK) {
            net->n_changes = 0;
            return DM_FAIL;
        }
    }
    if (rekey.open) {
        net->n_changes = 0;
        return dm_fail(err, DM_ERROR_FATAL, NULL, "the batch ends between a REKEY and its UPDATE");
    }
    for (size_t i = 0; i < net->n_changes; i++)
        net->n_upserts += net->changes[i].live;
    net->n_deletes = net->n_changes - net->n_upserts;
    if (linked)
        dm_net_links_collect(net, batch);
    dm_key_sort(net->changes, net->n_changes, sizeof *net->changes);
    return DM_OK;
}
