/* index_sum.h — the checksum of the key index's data file, taken when it is closed and compared before it is opened again. Private to apply/.
 *
 * LMDB believes every page it reads: one flipped bit in a page number sends it outside of the map (SIGSEGV), a file that was cut ends in SIGBUS, and a
 * flipped bit in a key or a place gives wrong rows without a word. So the file is looked at before LMDB sees it.
 *
 * Cost: one sequential pass at each end, about 5 GB/s of what the page cache has; a file of more than DM_INDEX_SUM_MOST has no sum,
 * because a start would wait for the disk too long: then only its length is compared.
 */
#ifndef DM_APPLY_INDEX_SUM_H
#define DM_APPLY_INDEX_SUM_H

#include <stdint.h>

#include "base/error.h"

#define DM_INDEX_SUM_MOST (UINT64_C(4) << 30) /* some 80 million keys */

/* XXH3 of the first `bytes` bytes; there are that many. Thread safe. */
enum dm_status dm_index_sum(int fd, uint64_t bytes, uint64_t *sum, struct dm_error *err) DM_MUST_USE;

#endif
