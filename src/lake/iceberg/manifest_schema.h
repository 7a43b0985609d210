/* manifest_schema.h — the Avro schemas of Iceberg manifests and manifest lists, and their field ids.
 *
 * Source: Iceberg table spec, "Manifests", "Manifest Lists", and Appendix A (Avro). The writers
 * (manifest_write.c, manifest_list.c) put values in exactly the order of these texts; readers go by field id.
 *
 *     dm_avro_writer_begin(&w, out, dm_manifest_list_schema(3), …);
 */
#ifndef DM_LAKE_ICEBERG_MANIFEST_SCHEMA_H
#define DM_LAKE_ICEBERG_MANIFEST_SCHEMA_H

/* Value ids of the maps are their key ids plus one. */
enum dm_manifest_field {
    DM_FIELD_STATUS = 0,
    DM_FIELD_SNAPSHOT_ID = 1,
    DM_FIELD_DATA_FILE = 2,
    DM_FIELD_SEQUENCE_NUMBER = 3,
    DM_FIELD_FILE_SEQUENCE_NUMBER = 4,
    DM_FIELD_FILE_PATH = 100,
    DM_FIELD_FILE_FORMAT = 101,
    DM_FIELD_PARTITION = 102,
    DM_FIELD_RECORD_COUNT = 103,
    DM_FIELD_FILE_SIZE = 104,
    DM_FIELD_VALUE_COUNTS = 109,
    DM_FIELD_VALUE_COUNTS_KEY = 119,
    DM_FIELD_NULL_COUNTS = 110,
    DM_FIELD_NULL_COUNTS_KEY = 121,
    DM_FIELD_LOWER_BOUNDS = 125,
    DM_FIELD_LOWER_BOUNDS_KEY = 126,
    DM_FIELD_UPPER_BOUNDS = 128,
    DM_FIELD_UPPER_BOUNDS_KEY = 129,
    DM_FIELD_KEY_METADATA = 131,
    DM_FIELD_CONTENT = 134,
    DM_FIELD_NAN_COUNTS = 137,
    DM_FIELD_NAN_COUNTS_KEY = 138,
    DM_FIELD_FIRST_ROW_ID = 142,
    DM_FIELD_REFERENCED_DATA_FILE = 143,
    DM_FIELD_CONTENT_OFFSET = 144,
    DM_FIELD_CONTENT_SIZE = 145,
};

enum dm_manifest_list_field {
    DM_LIST_PATH = 500,
    DM_LIST_LENGTH = 501,
    DM_LIST_ADDED_SNAPSHOT = 503,
    DM_LIST_ADDED_FILES = 504,
    DM_LIST_EXISTING_FILES = 505,
    DM_LIST_DELETED_FILES = 506,
    DM_LIST_PARTITIONS = 507,
    DM_LIST_CONTAINS_NULL = 509,
    DM_LIST_LOWER_BOUND = 510,
    DM_LIST_UPPER_BOUND = 511,
    DM_LIST_ADDED_ROWS = 512,
    DM_LIST_EXISTING_ROWS = 513,
    DM_LIST_DELETED_ROWS = 514,
    DM_LIST_SEQUENCE_NUMBER = 515,
    DM_LIST_MIN_SEQUENCE_NUMBER = 516,
    DM_LIST_CONTENT = 517,
    DM_LIST_KEY_METADATA = 519,
    DM_LIST_FIRST_ROW_ID = 520,
};

/* format_version: 2 or 3. day_name: the Avro name of the partition field; NULL: unpartitioned. malloc. */
char *dm_manifest_schema(int format_version, const char *day_name);
const char *dm_manifest_list_schema(int format_version);

#endif
