#include "apply/index_sum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"

enum { piece = 1 << 20 };

static enum dm_status add_all(XXH3_state_t *state, int fd, uint64_t bytes, char *buffer, struct dm_error *err)
{
    for (uint64_t at = 0; at < bytes;) {
        size_t want = bytes - at < piece ? (size_t)(bytes - at) : piece;
        ssize_t n = pread(fd, buffer, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dm_fail_errno(err, "cannot read the key index");
        if (n == 0)
            return dm_fail(err, DM_ERROR_DATA, NULL, "the key index ends at %" PRIu64 " of %" PRIu64 " bytes",
                           at, bytes);
        (void)XXH3_64bits_update(state, buffer, (size_t)n);
        at += (uint64_t)n;
    }
    return DM_OK;
}

enum dm_status dm_index_sum(int fd, uint64_t bytes, uint64_t *sum, struct dm_error *err)
{
    XXH3_state_t *state = XXH3_createState();
    if (state == NULL)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "out of memory");
    (void)XXH3_64bits_reset(state);
    char *buffer = dm_xalloc(piece);
    enum dm_status status = add_all(state, fd, bytes, buffer, err);
    *sum = XXH3_64bits_digest(state);
    free(buffer);
    (void)XXH3_freeState(state);
    return status;
}
