/* change_envelope.h — inside engine/ only: columns of the dataset that an event's envelope holds, not its row.
 *
 * A row's own columns need not tell which change is the latest, and the "before" of a delete has only the key. Debezium's envelope does: source.lsn,
 * source.ts_ms, ts_ms … A dataset takes them by having columns of the names that Debezium itself gives them in flattened events (add.fields): "__ts_ms" is the
 * envelope's, "__source_lsn" is source.lsn, "__transaction_id" transaction.id, and any other name is the source's: "__lsn" is source.lsn as well. So
 * one schema takes both forms of events.
 *
 *     dm_change_envelope_init(&e, schema);
 *     if (e.n > 0) dm_change_envelope_fill(&e, text, n, cells);    // the event's text; cells that the row did not fill
 */
#ifndef DM_ENGINE_CHANGE_ENVELOPE_H
#define DM_ENGINE_CHANGE_ENVELOPE_H

#include "engine/change_row.h"

struct dm_envelope_column {
    size_t field;
    const char *part; /* a literal: "source", "transaction"; NULL: the envelope itself */
    const char *name; /* of the schema's */
};

struct dm_change_envelope {
    size_t n;
    struct dm_envelope_column *columns;
};

void dm_change_envelope_init(struct dm_change_envelope *e, const struct dm_schema *schema);
void dm_change_envelope_release(struct dm_change_envelope *e);
/* Texts with escapes are left out: positions and times have none. */
void dm_change_envelope_fill(const struct dm_change_envelope *e, const char *text, size_t n,
                             struct dm_change_cell *cells);

#endif
