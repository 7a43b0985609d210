/* parquet_pages.h — inside engine/ only: verifies the checksums of the pages of a Parquet file, where its writer made some. DuckDB does not.
 *
 * Every page of every column is looked at, dictionaries and data of both versions. Of a page without CRC only the header is read, so a file without them costs
 * next to nothing. A file whose pages cannot be walked (what stands there is no page header) is left to DuckDB, which knows more about why.
 * Failure: a DATA error that names column and place of the page whose bytes are not those that were written.
 */
#ifndef DM_ENGINE_PARQUET_PAGES_H
#define DM_ENGINE_PARQUET_PAGES_H

#include "format/parquet_footer.h"

/* end: where the footer begins in the file; footer, n: the footer itself, and its schema. */
enum dm_status dm_parquet_pages_check(int fd, uint64_t end, const uint8_t *footer, size_t n,
                                      const struct dm_parquet_schema *schema,
                                      struct dm_error *err) DM_MUST_USE;

#endif
