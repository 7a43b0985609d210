/* day_spec.h — the one partitioning that the lake writes: by the day of a time column.
 *
 * A table has it from its first metadata file on (spec 0, partition field 1000) or never. All rows of a data file have one day, so a file's day is
 * known from the bounds of its time column. The partition field is called <column>_day, as readers expect; when a column has that name, with a "_"
 * more. The name is made from the current schema each time: readers go by ids.
 * No I/O, no threads. Source: Iceberg table spec, "Partitioning", "Partition Transforms" (day), appendix C "Partition Specs".
 *
 *     struct dm_day_spec spec = {0};
 *     dm_day_spec_init(&spec, schema, m->day_source_id);
 *     …
 *     dm_day_spec_release(&spec);
 */
#ifndef DM_LAKE_ICEBERG_DAY_SPEC_H
#define DM_LAKE_ICEBERG_DAY_SPEC_H

#include "column/day.h"
#include "column/schema.h"
#include "engine/parquet_write.h"

#define DM_DAY_FIELD_ID 1000

struct dm_day_spec {
    int32_t
        source_id;   /* field id of the time column; 0: the table is not partitioned, and the rest is NULL */
    char *name;      /* of the partition field */
    char *avro_name; /* the same as Avro allows it */
};

/* source_id 0, or a field that the schema has. */
void dm_day_spec_init(struct dm_day_spec *spec, const struct dm_schema *schema, int32_t source_id);
void dm_day_spec_release(struct dm_day_spec *spec);
/* The spec's list of fields as JSON, "[]" without days. malloc. */
char *dm_day_spec_json(const struct dm_day_spec *spec);
/* The one day that all rows of a file have, from its statistics. FATAL error (our own bug): several, or none is known. */
enum dm_status dm_day_of_file(const struct dm_schema *schema, int32_t source_id,
                              const struct dm_parquet_result *result, int32_t *day,
                              struct dm_error *err) DM_MUST_USE;

#endif
