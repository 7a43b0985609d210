/* record_delete_rows.h — one dataset of an order of deletion: what goes of it (counted for a preview, or taken out in the order's commit), and what is remembered.
 * Private to record_delete*.c; lake mutex held. */
#ifndef DM_MIRROR_RECORD_DELETE_ROWS_H
#define DM_MIRROR_RECORD_DELETE_ROWS_H

#include "mirror/hygiene/erase.h"
#include "mirror/hygiene/record_delete_search.h"

struct dm_deleting {
    struct dm_delete_part *part; /* borrowed */
    struct dm_key_list keys;
    size_t n_hashes;
    struct dm_key_hash *hashes; /* of the keys, then of what former rows referred to */
    size_t n_lists;
    struct dm_column_list *lists; /* the key, then the columns of the latter; owned */
    struct dm_suppressed *set;    /* of all hashes */
    size_t n_marked; /* what is suppressed, with marks: keys, and former versions of rows that stay */
    struct dm_marked_hashes {
        struct dm_column_list columns;
        size_t n;
        struct dm_key_hash *hashes;
    } * marked;
    uint64_t rows, history, tombstones;
    size_t n_ids;
    int64_t *ids; /* rows in quarantine that go, ascending */
};

enum dm_status dm_deleting_prepare(struct dm_mirror *m, struct dm_delete_part *part, struct dm_deleting *out,
                                   struct dm_error *err) DM_MUST_USE;
void dm_deleting_release(struct dm_deleting *g);
/* Children in quarantine that wait for one of the deleted rows, whatever their relationship has become; those that are in nobody's list go into this part's. */
enum dm_status dm_deleting_add_waiting(struct dm_mirror *m, struct dm_deleting *all, size_t n, size_t which,
                                       struct dm_error *err) DM_MUST_USE;

/* commit NULL: only counts history and tombstones. Else an index transaction is open, and rows are counted, too. */
enum dm_status dm_deleting_rows(struct dm_mirror *m, struct dm_commit *commit, struct dm_deleting *g,
                                struct dm_error *err) DM_MUST_USE;
/* The keys, and what is no more of rows that stay, are suppressed from here on
 * (or, with `back`, the keys no more). */
void dm_deleting_stage(struct dm_suppression *s, const struct dm_deleting *g, int64_t order, bool back);
/* In the commit's catalog transaction: quarantine, and with `erasing` the keys of the order. */
enum dm_status dm_deleting_save(struct sqlite3 *db, int64_t order, bool erasing, const struct dm_deleting *g,
                                struct dm_error *err) DM_MUST_USE;

#endif
