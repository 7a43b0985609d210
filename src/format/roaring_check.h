/* roaring_check.h — checks a serialized 32-bit roaring bitmap (portable form) before the library sees it.
 *
 * The bitmap library checks lengths but not contents: unsorted keys or values, or a wrong cardinality, would
 * give a bitmap whose later use is undefined. Accepts exactly what a sound writer makes. No allocation;
 * thread safe; failure is a DATA error.
 * Source: Roaring format spec, "General layout".
 *
 *     size_t used;
 *     if (dm_roaring_check(bytes, n, &used, err) != DM_OK) return DM_FAIL;
 *     roaring_bitmap_t *b = roaring_bitmap_portable_deserialize_safe((const char *)bytes, used);
 */
#ifndef DM_FORMAT_ROARING_CHECK_H
#define DM_FORMAT_ROARING_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* *used: the bytes that the bitmap takes, at most n. */
enum dm_status dm_roaring_check(const uint8_t *bytes, size_t n, size_t *used,
                                struct dm_error *err) DM_MUST_USE;

#endif
