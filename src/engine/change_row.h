/* change_row.h — inside engine/ only: one row of text cells, from whatever format, into a batch; or to the bad rows with its reason.
 *
 * The reader of a format sets `line`, `control` and `cells` (one a field of the schema), and calls dm_change_row_add. Here are the rules
 * that all formats share: what kind of change it is, what a delete needs, which values must be there, the columns' own rules.
 * Cells are borrowed for the call. One thread. A DM_FAIL is the bad-row function's own, or memory.
 */
#ifndef DM_ENGINE_CHANGE_ROW_H
#define DM_ENGINE_CHANGE_ROW_H

#include <string.h>

#include "base/buffer.h"
#include "engine/change_reader.h"

enum dm_cell_kind { DM_CELL_ABSENT = 0, DM_CELL_NULL, DM_CELL_TEXT };

struct dm_change_cell {
    const char *text;
    size_t n;
    enum dm_cell_kind kind;
};

enum dm_change_control {
    DM_CONTROL_NONE = 0,
    DM_CONTROL_REQUEST,
    DM_CONTROL_ROW_MARKER,
    DM_CONTROL_TYPE,
    DM_CONTROL_DEBEZIUM, /* "__op" of a flattened event */
    DM_CONTROL_DELETED,  /* "__deleted" of one, which may stand beside another */
};

/* Which control column a name is; any case of letters. */
enum dm_change_control dm_change_control_of(const char *name, size_t n);
/* UPDATE (an upsert) or DELETE; 0: no such kind of change. */
enum dm_op dm_change_op(enum dm_change_control control, const char *text, size_t n);
/* What "__deleted" makes of it; `told`: another column said `op`. 0: it is neither true nor false, or says otherwise. */
enum dm_op dm_change_deleted(enum dm_op op, bool told, const char *text, size_t n);

/* What Delta's change feed says of a row before an update: nothing that the row behind it does not say. */
bool dm_change_is_preimage(enum dm_change_control control, const char *text, size_t n);

/* What a field asks of its values; several at once. */
enum { DM_FIELD_KEY = 1, DM_FIELD_VERSION = 2, DM_FIELD_REQUIRED = 4, DM_FIELD_RULE = 8 };

struct dm_change_row {
    const struct dm_schema *schema;
    const struct dm_change_options *options;
    uint8_t *fields; /* DM_FIELD_… of each field */
    struct dm_change_cell *cells;
    enum dm_change_control control_kind;
    struct dm_change_cell control;
    struct dm_change_cell deleted; /* "__deleted" */
    uint64_t line;
    uint64_t nth; /* the row is the n-th of several on its line; 0: it is alone there */
    /* Appends the row as JSON text, for the quarantine. */
    enum dm_status (*write_raw)(void *ctx, struct dm_buffer *out, struct dm_error *err);
    void *raw_ctx;
    dm_bad_change_fn bad; /* of the present call of dm_change_reader_next */
    void *bad_ctx;
    struct dm_buffer raw;
    uint64_t raw_bytes;       /* of the row being reported, when write_raw keeps only a part of it; else 0 */
    struct dm_batch *key_row; /* to spell the key of a bad row */
    uint64_t preimages;       /* passed over */
};

void dm_change_row_init(struct dm_change_row *r, const struct dm_schema *schema,
                        const struct dm_change_options *options);
void dm_change_row_release(struct dm_change_row *r);
/* Forgets the cells. */
static inline void dm_change_row_clear(struct dm_change_row *r)
{
    memset(r->cells, 0, r->schema->n_fields * sizeof *r->cells);
    r->control.kind = r->deleted.kind = DM_CELL_ABSENT;
}

enum dm_status dm_change_row_add(struct dm_change_row *r, struct dm_batch *batch,
                                 struct dm_error *err) DM_MUST_USE;
/* The present row is bad; nothing of it may be in a batch any more. `keyed`: the cells hold its key, if it has one. */
enum dm_status dm_change_row_bad(struct dm_change_row *r, const char *reason, bool keyed, enum dm_op op,
                                 struct dm_error *err, const char *fmt, ...) DM_PRINTF(6, 7) DM_MUST_USE;
/* The same with the key's text (NULL: unknown). */
enum dm_status dm_change_row_report(struct dm_change_row *r, const char *reason, const char *key,
                                    enum dm_op op, const char *message, struct dm_error *err) DM_MUST_USE;
/* Is the text one that the field's rule allows? Otherwise the reason, and a message. */
bool dm_change_rule(const struct dm_column_rule *rule, const char *text, size_t n, const char **reason,
                    char *message, size_t size);

/* A JSON string of any bytes: those that are not UTF-8 become \udcXX, which no reader takes for a character. More than `limit` bytes are
 * cut with "…". */
enum dm_status dm_raw_string(struct dm_buffer *out, const char *text, size_t n, size_t limit,
                             struct dm_error *err) DM_MUST_USE;

#endif
