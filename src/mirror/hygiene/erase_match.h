/* erase_match.h — is this stored row one that an order means? By its key, or by
 * what it refers to.
 *
 * An order knows a row by the hash of a tuple of its columns: of its key, or
 * (columns given by their field ids) of those of a relationship. The second
 * kind takes a mark of its columns into the hash, so one set of hashes holds
 * both and no value of one can pass for the other. Suppression marks all its
 * hashes so: when a dataset gets another key, rows are still known by the
 * columns of the key that they were deleted by.
 *
 *     struct dm_erase_match *match = dm_erase_match_new(&(struct
 * dm_erase_match_options){.dataset = …, .stored = …, .set = …});
 *     dm_parquet_scan(…, dm_erase_match_columns(match), …);
 *     dm_erase_match_batch(match, batch, err); … dm_erase_match_has(match, row)
 *     dm_erase_match_free(match);
 */
#ifndef DM_MIRROR_ERASE_MATCH_H
#define DM_MIRROR_ERASE_MATCH_H

#include "mirror/hygiene/column_list.h"
#include "mirror/hygiene/suppression.h"

/* Hashes of tuples of these columns; `tuples` is a batch of them alone. Rows with a null are left out. *hashes is malloc'ed. */
enum dm_status dm_erase_hash_tuples(const struct dm_suppression *s, const struct dm_column_list *columns,
                                    const struct dm_batch *tuples, struct dm_key_hash **hashes, size_t *n,
                                    struct dm_error *err) DM_MUST_USE;

struct dm_erase_match;
struct dm_erase_match_options {
    const struct dm_schema *dataset;
    const struct dm_schema *stored;  /* of the files or batches: the dataset's own,
                                     or a side dataset's */
    const struct dm_suppressed *set; /* borrowed */
    size_t n_lists;
    const struct dm_column_list *lists; /* marked tuples; an empty list, and no
                                         list at all: the key, without a mark */
    bool whole_rows;                    /* batches have all columns of `stored` */
};
/* Tuples of which `stored` lacks a column cannot match. */
struct dm_erase_match *dm_erase_match_new(const struct dm_erase_match_options *o);
/* Whole rows on their way in: is one suppressed? */
struct dm_erase_match *dm_suppressed_match(const struct dm_suppressed *set, const struct dm_schema *schema);
void dm_erase_match_free(struct dm_erase_match *m); /* NULL is fine */
/* What has to be read of each row. No fields: no row can match. */
const struct dm_schema *dm_erase_match_columns(const struct dm_erase_match *m);
/* Looks at a batch of these columns; then asks row by row. */
enum dm_status dm_erase_match_batch(struct dm_erase_match *m, const struct dm_batch *batch,
                                    struct dm_error *err) DM_MUST_USE;
bool dm_erase_match_has(struct dm_erase_match *m, size_t row);
/* What a row in quarantine says of the tuples (bad_row_key.h). */
bool dm_erase_match_bad_row(struct dm_erase_match *m, const char *raw, const char *key);

#endif
