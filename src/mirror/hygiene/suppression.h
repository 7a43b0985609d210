/* suppression.h — keys that a person ordered deleted, and that no source may bring back.
 *
 * Remembered in catalog.db (dm_suppression) as 128-bit keyed hashes of the key's order-preserving bytes (column/key.h), with the lake's secret (lake_secret.h), so
 * that no byte of the key itself has to stay. Loaded when the lake is opened; a dataset without suppressed keys costs one look at an empty list.
 *
 * Each key is there twice: as it is, for the key of the day, and with a mark of its columns, since a dataset may get another key; then rows are known by the columns of
 * the key that they were deleted by.
 *
 * struct dm_suppressed is the set of one dataset at one time: immutable, shared by reference, so that a copy may use it without any lock. The functions of
 * struct dm_suppression may be called from any thread.
 *
 * Changes: dm_suppression_stage puts a new set in place at once; dm_suppression_save (in the catalog transaction of the commit) makes it durable, and
 * dm_suppression_settle says how that ended. All three under the lake mutex: whoever does not hold it never sees what was given up, except that a copy may
 * have left out a row for nothing, which the next check of the generation notices.
 *
 *     struct dm_suppressed *set = dm_suppression_of(m->suppression, dataset);     // NULL: none
 *     if (dm_suppressed_has(set, key, len)) …
 *     dm_suppressed_unref(set);
 */
#ifndef DM_MIRROR_SUPPRESSION_H
#define DM_MIRROR_SUPPRESSION_H

#include "column/batch.h"
#include "column/key.h"
#include "mirror/hygiene/column_list.h"

struct sqlite3;
struct dm_suppression;
struct dm_suppressed;
struct dm_mirror;
struct dm_target;

struct dm_key_hash {
    uint8_t bytes[16];
};

/* Makes the tables when they are not there, and loads all sets. A connection that may not write: `create` false, and a lake without the tables has none.
 * `lake`: its folder, for the secret; NULL: the sets can only be counted. */
enum dm_status dm_suppression_open(struct sqlite3 *db, const char *lake, bool create,
                                   struct dm_suppression **out, struct dm_error *err) DM_MUST_USE;
void dm_suppression_close(struct dm_suppression *s); /* NULL is fine */

/* A reference to the dataset's set; NULL: nothing of it is suppressed. s may be NULL. */
struct dm_suppressed *dm_suppression_of(struct dm_suppression *s, uint32_t dataset);
void dm_suppressed_unref(struct dm_suppressed *set); /* NULL is fine */
bool dm_suppressed_has(const struct dm_suppressed *set, const uint8_t *key, size_t len);
size_t dm_suppressed_count(const struct dm_suppressed *set); /* keys; NULL: 0 */
/* Besides the hashes of the dataset's present key: hashes that are marked with the columns that they are of (erase_match.h), which another key leaves as they are. NULL:
 * none. Borrowed. */
const struct dm_suppressed *dm_suppressed_marked(const struct dm_suppressed *set);
/* What of the set holds on under the key of `next` (of a copy), when the dataset has that of `now` (NULL: none yet). Takes the reference and gives one; NULL: nothing. */
struct dm_suppressed *dm_suppressed_under(struct dm_suppressed *take, const struct dm_schema *now,
                                          const struct dm_schema *next);
struct dm_suppressed *dm_suppressed_marked_alone(struct dm_suppressed *take);
const struct dm_column_list *dm_suppressed_lists(const struct dm_suppressed *marked, size_t *n);
/* A number that is never the same for two sets of a process; 0: NULL. */
uint64_t dm_suppressed_generation(const struct dm_suppressed *set);

void dm_suppression_hash(const struct dm_suppression *s, const uint8_t *key, size_t len,
                         struct dm_key_hash *out);
/* A set of its own with these hashes (the keys of one order); a reference. */
struct dm_suppressed *dm_suppressed_new(const struct dm_suppression *s, const struct dm_key_hash *hashes,
                                        size_t n);

/* ---- changes; see above ---- */

/* `order`: the work order that it comes from; 0: a key that a suppressed row took on. Hashes that are there already are fine. */
void dm_suppression_stage(struct dm_suppression *s, uint32_t dataset, const struct dm_key_hash *hashes,
                          size_t n, int64_t order);
void dm_suppression_stage_removal(struct dm_suppression *s, uint32_t dataset,
                                  const struct dm_key_hash *hashes, size_t n);
/* The same with a mark, of these columns. */
void dm_suppression_stage_marked(struct dm_suppression *s, uint32_t dataset,
                                 const struct dm_column_list *columns, const struct dm_key_hash *hashes,
                                 size_t n);
void dm_suppression_stage_marked_removal(struct dm_suppression *s, uint32_t dataset,
                                         const struct dm_key_hash *hashes, size_t n);
/* The dataset gets another key: what has a mark holds on, the rest meant values of the former one. */
void dm_suppression_stage_rekey(struct dm_suppression *s, uint32_t dataset);
/* Its columns are numbered anew: marks mean nothing any more. */
void dm_suppression_stage_renumbering(struct dm_suppression *s, uint32_t dataset);
/* Whichever of the two it is, if any, when the dataset's columns become those of `next`. `now` NULL: it is made anew. */
void dm_suppression_follow(struct dm_suppression *s, uint32_t dataset, const struct dm_schema *now,
                           const struct dm_schema *next);
/* CONFIG error when the change would end a suppression. */
enum dm_status dm_suppression_check(struct dm_suppression *s, uint32_t dataset, const char *name,
                                    const struct dm_schema *now, const struct dm_schema *next,
                                    struct dm_error *err) DM_MUST_USE;
enum dm_status dm_suppression_save(struct dm_suppression *s, struct sqlite3 *db,
                                   struct dm_error *err) DM_MUST_USE;
void dm_suppression_settle(struct dm_suppression *s,
                           bool committed); /* s may be NULL; nothing staged is fine */

/* ---- where rows come in ---- */

/* Takes the rows of suppressed keys out of a batch of changes; *kept: a new batch without them, or NULL when there are none (the usual case). Counts them
 * as received and suppressed in the target's state. A suppressed row that takes on another key takes its suppression along. Under the lake mutex, in a
 * commit whose owner calls save and settle. `txns`: of the batch's unit. */
enum dm_status dm_suppress_rows(struct dm_mirror *m, struct dm_target *t, const struct dm_txn *txns,
                                const struct dm_batch *batch, struct dm_batch **kept,
                                struct dm_error *err) DM_MUST_USE;
/* Chooses the rows of a batch (of a copy) that are not suppressed: `selection` has room for all. *n: how many. *suppressed is added to. */
enum dm_status dm_suppress_select(const struct dm_suppressed *set, const struct dm_batch *batch,
                                  uint32_t *selection, size_t *n, uint64_t *suppressed,
                                  struct dm_error *err) DM_MUST_USE;
/* The files of a finished copy: when keys were suppressed since it chose its rows, their rows are taken out (the files are written anew). Counts in the
 * target's state. Under the lake mutex. */
struct dm_copied_table;
enum dm_status dm_suppress_copied(struct dm_mirror *m, struct dm_target *t, struct dm_copied_table *copied,
                                  struct dm_error *err) DM_MUST_USE;
/* On its way to quarantine: is it one of a suppressed key (then it is counted, and must not be kept)? Under the lake mutex. */
bool dm_suppress_bad_row(struct dm_mirror *m, struct dm_target *t, const struct dm_bad_row *row);
/* Is this bad row one of a suppressed key? By its raw content (JSON by column name), else by its key as text. */
bool dm_suppressed_bad_row(const struct dm_suppressed *set, const struct dm_schema *schema, const char *raw,
                           const char *key);

#endif
