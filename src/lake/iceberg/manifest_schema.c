#include "lake/iceberg/manifest_schema.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"

/* The schemas are laid out as one field a line, which a formatter would undo. */
/* clang-format off */
#define FIELD(name, id, type) "{\"name\":\"" name "\",\"field-id\":" #id ",\"type\":" type "}"
#define OPTIONAL(name, id, type) \
    "{\"name\":\"" name "\",\"field-id\":" #id ",\"type\":[\"null\"," type "],\"default\":null}"
#define INT "\"int\""
#define LONG "\"long\""
#define STRING "\"string\""
#define BYTES "\"bytes\""
#define BOOLEAN "\"boolean\""
#define LIST(element_id, type) "{\"type\":\"array\",\"element-id\":" #element_id ",\"items\":" type "}"
#define RECORD(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"
/* Maps with integer keys: an array of pairs. */
#define MAP(key_id, value_id, type) \
    "{\"type\":\"array\",\"logicalType\":\"map\",\"items\":" \
    RECORD("k" #key_id "_v" #value_id, FIELD("key", key_id, INT) "," FIELD("value", value_id, type)) "}"

#define DATA_FILE_FIELDS \
    FIELD("content", 134, INT) "," \
    FIELD("file_path", 100, STRING) "," \
    FIELD("file_format", 101, STRING) "," \
    FIELD("partition", 102, RECORD("r102", "%s%s%s")) "," \
    FIELD("record_count", 103, LONG) "," \
    FIELD("file_size_in_bytes", 104, LONG) "," \
    OPTIONAL("column_sizes", 108, MAP(117, 118, LONG)) "," \
    OPTIONAL("value_counts", 109, MAP(119, 120, LONG)) "," \
    OPTIONAL("null_value_counts", 110, MAP(121, 122, LONG)) "," \
    OPTIONAL("nan_value_counts", 137, MAP(138, 139, LONG)) "," \
    OPTIONAL("lower_bounds", 125, MAP(126, 127, BYTES)) "," \
    OPTIONAL("upper_bounds", 128, MAP(129, 130, BYTES)) "," \
    OPTIONAL("key_metadata", 131, BYTES) "," \
    OPTIONAL("split_offsets", 132, LIST(133, LONG)) "," \
    OPTIONAL("equality_ids", 135, LIST(136, INT)) "," \
    OPTIONAL("sort_order_id", 140, INT)

#define DATA_FILE_FIELDS_V2 \
    DATA_FILE_FIELDS "," \
    OPTIONAL("referenced_data_file", 143, STRING)

#define DATA_FILE_FIELDS_V3 \
    DATA_FILE_FIELDS "," \
    OPTIONAL("first_row_id", 142, LONG) "," \
    OPTIONAL("referenced_data_file", 143, STRING) "," \
    OPTIONAL("content_offset", 144, LONG) "," \
    OPTIONAL("content_size_in_bytes", 145, LONG)

#define ENTRY(data_file_fields) \
    RECORD("manifest_entry", \
        FIELD("status", 0, INT) "," \
        OPTIONAL("snapshot_id", 1, LONG) "," \
        OPTIONAL("sequence_number", 3, LONG) "," \
        OPTIONAL("file_sequence_number", 4, LONG) "," \
        FIELD("data_file", 2, RECORD("r2", data_file_fields)))

#define PARTITION_SUMMARY \
    RECORD("r508", \
        FIELD("contains_null", 509, BOOLEAN) "," \
        OPTIONAL("contains_nan", 518, BOOLEAN) "," \
        OPTIONAL("lower_bound", 510, BYTES) "," \
        OPTIONAL("upper_bound", 511, BYTES))

#define LIST_FIELDS \
    FIELD("manifest_path", 500, STRING) "," \
    FIELD("manifest_length", 501, LONG) "," \
    FIELD("partition_spec_id", 502, INT) "," \
    FIELD("content", 517, INT) "," \
    FIELD("sequence_number", 515, LONG) "," \
    FIELD("min_sequence_number", 516, LONG) "," \
    FIELD("added_snapshot_id", 503, LONG) "," \
    FIELD("added_files_count", 504, INT) "," \
    FIELD("existing_files_count", 505, INT) "," \
    FIELD("deleted_files_count", 506, INT) "," \
    FIELD("added_rows_count", 512, LONG) "," \
    FIELD("existing_rows_count", 513, LONG) "," \
    FIELD("deleted_rows_count", 514, LONG) "," \
    OPTIONAL("partitions", 507, LIST(508, PARTITION_SUMMARY)) "," \
    OPTIONAL("key_metadata", 519, BYTES)
/* clang-format on */

/* The partition's field around its name: a day is an Avro date. */
#define DAY_BEFORE "{\"name\":\""
#define DAY_AFTER \
    "\",\"field-id\":1000,\"type\":[\"null\",{\"type\":\"int\",\"logicalType\":\"date\"}],\"default\":null}"

char *dm_manifest_schema(int format_version, const char *day_name)
{
    bool day = day_name != NULL;
    const char *before = day ? DAY_BEFORE : "", *name = day ? day_name : "", *after = day ? DAY_AFTER : "";
    return format_version >= 3 ? dm_xasprintf(ENTRY(DATA_FILE_FIELDS_V3), before, name, after)
                               : dm_xasprintf(ENTRY(DATA_FILE_FIELDS_V2), before, name, after);
}

const char *dm_manifest_list_schema(int format_version)
{
    return format_version >= 3 ? RECORD("manifest_file", LIST_FIELDS "," OPTIONAL("first_row_id", 520, LONG))
                               : RECORD("manifest_file", LIST_FIELDS);
}
