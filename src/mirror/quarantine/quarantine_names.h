/* quarantine_names.h — rows in quarantine follow the names of their dataset's columns.
 *
 * A row is kept as it was spelled, by the names that the columns had then. What a name meant is its field's id, which never changes: when columns are renamed or
 * dropped, the commit that does it remembers for the rows of until then which name was which id (table dm_quarantine_names; dm_quarantine.names points to it; NULL: the names
 * of now), and which id has which name since. Whoever reads a row gets it by the names of now; a value whose column is gone is left out, so
 * that it never appears under a new column of that name. In rows that are events (Debezium) the same holds for the images inside.
 *
 *     dm_quarantine_names_change(db, dataset, old_schema, new_schema, err);      in the transaction of the change
 *     dm_quarantine_names_translate(&out, raw, then, now, err);                  texts of dm_quarantine_names.fields
 *
 * No state of its own; any thread, on the caller's connection.
 */
#ifndef DM_MIRROR_QUARANTINE_NAMES_H
#define DM_MIRROR_QUARANTINE_NAMES_H

#include "base/buffer.h"
#include "column/schema.h"

struct sqlite3;

enum dm_status dm_quarantine_names_create(struct sqlite3 *db, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_quarantine_names_change(struct sqlite3 *db, uint32_t dataset, const struct dm_schema *from,
                                          const struct dm_schema *to, struct dm_error *err) DM_MUST_USE;
/* Appends the row `raw` by the names of now, and a 0 that does not count. What is no JSON object stays as it is. */
enum dm_status dm_quarantine_names_translate(struct dm_buffer *out, const char *raw,
                                             const struct dm_schema *then, const struct dm_schema *now,
                                             struct dm_error *err) DM_MUST_USE;
/* The fields of a text in dm_quarantine_names: names and ids only. dm_schema_unref. */
struct dm_schema *dm_quarantine_names_parse(const char *fields);

#endif
