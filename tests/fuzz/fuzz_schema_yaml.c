/* Any bytes as a file of relational schemas (YAML): schemas or a CONFIG error, never a crash or a leak. */
#include "schema_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_any(data, size, DM_SCHEMA_YAML);
}
