/* version_rule.h — which change of a key wins when changes come in any order: a pure function.
 *
 * State per key: (version, live or deleted). Versions are order-preserving bytes (column/key.h): a shorter one that is a prefix comes first.
 *   higher version than the state's (or no state): applied
 *   equal: a delete beats an upsert; among upserts the later arrival wins; a second delete changes nothing
 *   lower: stale, dropped
 *
 *     switch (dm_version_decide(&state, version, len)) …
 */
#ifndef DM_APPLY_VERSION_RULE_H
#define DM_APPLY_VERSION_RULE_H

#include <stdbool.h>

#include "apply/key_sort.h"

struct dm_version_state {
    const uint8_t *version; /* NULL: nothing is known of the key */
    uint32_t len;
    bool live; /* false with a version: a tombstone */
};

enum dm_verdict {
    DM_VERDICT_APPLY,     /* a higher version, or the first */
    DM_VERDICT_TIE_APPLY, /* an equal version that wins */
    DM_VERDICT_TIE_DROP,  /* an equal version that loses, or says the same */
    DM_VERDICT_STALE,
};

static inline bool dm_verdict_applies(enum dm_verdict v)
{
    return v == DM_VERDICT_APPLY || v == DM_VERDICT_TIE_APPLY;
}

/* Upserts and deletes are judged alike: after a delete nothing of its version changes the state any more; while the key is live, an equal version always does (a delete
 * beats the upsert, a later upsert replaces it). */
static inline enum dm_verdict dm_version_decide(const struct dm_version_state *state, const uint8_t *version,
                                                uint32_t len)
{
    if (state->version == NULL)
        return DM_VERDICT_APPLY;
    int order = dm_key_compare(version, len, state->version, state->len);
    if (order != 0)
        return order > 0 ? DM_VERDICT_APPLY : DM_VERDICT_STALE;
    return state->live ? DM_VERDICT_TIE_APPLY : DM_VERDICT_TIE_DROP;
}

#endif
