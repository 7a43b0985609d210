/* erase_match.h — is this stored row one that an order means? By its key, or by what it refers to.
 *
 * An order knows a row by the hash of a tuple of its columns: of its key, or (columns given by their field ids) of the columns of a relationship. The first kind is what
 * suppression keeps; the second takes a mark of its columns into the hash, so one set of hashes holds both and no value of one can pass for the other.
 *
 *     struct dm_erase_match *match = dm_erase_match_new(dataset->schema, file_schema, set, lists, n);
 *     dm_parquet_scan(…, dm_erase_match_columns(match), …);
 *     dm_erase_match_batch(match, batch, err); … dm_erase_match_has(match, row)
 *     dm_erase_match_free(match);
 */
#ifndef DM_MIRROR_ERASE_MATCH_H
#define DM_MIRROR_ERASE_MATCH_H

#include "mirror/hygiene/suppression.h"

/* Columns that stand together, by field id. */
struct dm_column_list {
    size_t n;
    int32_t *ids;
};
void dm_column_list_release(struct dm_column_list *l);
/* "3,7", as catalog.db has it. The text is malloc'ed. */
char *dm_column_list_text(const struct dm_column_list *l);
struct dm_column_list dm_column_list_read(const char *text);

/* Hashes of tuples of these columns; `tuples` is a batch of them alone. Rows with a null are left out. *hashes is malloc'ed. */
enum dm_status dm_erase_hash_tuples(const struct dm_suppression *s, const struct dm_column_list *columns,
                                    const struct dm_batch *tuples, struct dm_key_hash **hashes, size_t *n,
                                    struct dm_error *err) DM_MUST_USE;

struct dm_erase_match;
/* For files of the schema `stored` (the dataset's own, or a side dataset's). The set is borrowed. Tuples of which `stored` lacks a column cannot match. */
struct dm_erase_match *dm_erase_match_new(const struct dm_schema *dataset, const struct dm_schema *stored,
                                          const struct dm_suppressed *set, const struct dm_column_list *lists,
                                          size_t n);
void dm_erase_match_free(struct dm_erase_match *m); /* NULL is fine */
/* What has to be read of each row. No fields: no row can match. */
const struct dm_schema *dm_erase_match_columns(const struct dm_erase_match *m);
/* Looks at a batch of these columns; then asks row by row. */
enum dm_status dm_erase_match_batch(struct dm_erase_match *m, const struct dm_batch *batch,
                                    struct dm_error *err) DM_MUST_USE;
bool dm_erase_match_has(struct dm_erase_match *m, size_t row);

#endif
