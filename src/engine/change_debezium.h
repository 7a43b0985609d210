/* change_debezium.h — inside engine/ only: how Debezium and Kafka Connect encode values, by the schema that an event may carry.
 *
 * {"schema": {...}, "payload": {...}}: the schema says which integers are days, milliseconds or nanoseconds and which texts are the bytes of
 * a decimal. Without it (schemas.enable=false) nobody can tell, and values are taken as they are: a decimal should then be sent as text or
 * number (decimal.handling.mode) and times as ISO texts.
 *
 * The schema is the same in event after event: it is parsed when it changes. One thread.
 */
#ifndef DM_ENGINE_CHANGE_DEBEZIUM_H
#define DM_ENGINE_CHANGE_DEBEZIUM_H

#include "base/json_scan.h"
#include "engine/change_row.h"

struct dm_debezium_field {
    uint8_t encoding;
    int scale;
};

struct dm_debezium {
    char *schema_text; /* that `fields` were made from */
    size_t schema_n;
    struct dm_debezium_field *fields; /* one a field of the dataset; NULL: none known */
    bool any;                         /* one at least is encoded */
};

void dm_debezium_release(struct dm_debezium *d);
/* A schema that cannot be understood tells nothing. */
void dm_debezium_learn(struct dm_debezium *d, const struct dm_schema *schema,
                       const struct dm_json_slice *text);
/* Spells the encoded cells of the row as plain values, in `scratch` (which must not move what the cells point to). A cell that is not what its
 * schema says stays as it is. */
enum dm_status dm_debezium_decode(const struct dm_debezium *d, struct dm_change_row *row,
                                  struct dm_buffer *scratch, struct dm_error *err) DM_MUST_USE;

#endif
