/* Any bytes as a JSON file of changes: see change_target.h. */
#include "change_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return change_target(data, size, DM_CHANGES_JSON);
}
