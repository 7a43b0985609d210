/* schema_json_reader.h — what the readers of schema bodies and of descriptors share. Internal to the registry. */
#ifndef DM_REGISTRY_SCHEMA_JSON_READER_H
#define DM_REGISTRY_SCHEMA_JSON_READER_H

#include "registry/schema_json.h"

/* CONFIG error "file: path: …". Returns DM_FAIL. */
enum dm_status dm_json_fail(const struct dm_schema_read_options *o, const char *path, struct dm_error *err,
                            const char *hint, const char *fmt, ...) DM_PRINTF(5, 6);

#endif
