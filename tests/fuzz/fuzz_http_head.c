/* Any bytes as the head of a request. What is taken for whole stays so with anything behind it, and none of its beginnings is refused. */
#include <stdint.h>
#include <stdlib.h>

#include "http/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dm_error err = {0};
    enum dm_status whole = dm_http_head_check((const char *)data, size, &err);
    enum dm_status half = dm_http_head_check((const char *)data, size / 2, &err);
    if ((half == DM_OK && whole != DM_OK) || (half == DM_FAIL && whole != DM_FAIL))
        abort();
    return 0;
}
