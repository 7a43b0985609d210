/* deep_check.h — `doctor --deep`: every data file of the current snapshots is read to its last byte, every column decoded.
 *
 * A damage that still decodes (a flipped bit in uncompressed bytes, and the file carries no checksums) is not seen; `verify` compares values.
 */
#ifndef DM_MIRROR_DEEP_CHECK_H
#define DM_MIRROR_DEEP_CHECK_H

#include "engine/engine.h"
#include "lake/lake.h"

/* Each damaged file calls fn. What cannot be loaded at all is dm_lake_check's to find. */
enum dm_status dm_deep_check(struct dm_lake *lake, struct dm_engine *engine, dm_lake_finding fn, void *ctx,
                             struct dm_error *err) DM_MUST_USE;

#endif
