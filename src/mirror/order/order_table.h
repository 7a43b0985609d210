/* order_table.h — table dm_order in the lake's catalog.db: what commands ask a running mirror for, and its answers.
 *
 * An order goes asked → running → answered; the asker removes it when it has read the answer. Each side has its own connection (catalog_side.h);
 * statements are short, so none holds up a commit. Texts in a struct dm_order_row are owned (dm_order_row_release).
 */
#ifndef DM_MIRROR_ORDER_TABLE_H
#define DM_MIRROR_ORDER_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct sqlite3;

enum dm_order_state { DM_ORDER_ASKED = 1, DM_ORDER_RUNNING, DM_ORDER_ANSWERED };

struct dm_order_row {
    int64_t id;
    enum dm_order_state state;
    char *kind;
    char *body;                 /* the order as JSON text */
    char *answer;               /* the result as JSON text; NULL: it failed, `error` says why */
    struct dm_error error;      /* of a failed order */
    uint64_t rows, done, total; /* progress */
    bool cancelled;             /* the asker does not want it any more */
};
void dm_order_row_release(struct dm_order_row *row);

enum dm_status dm_order_table_create(struct sqlite3 *db, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_order_add(struct sqlite3 *db, const char *kind, const char *body, int64_t *id,
                            struct dm_error *err) DM_MUST_USE;
/* DM_END: gone. Without kind and body. */
enum dm_status dm_order_look(struct sqlite3 *db, int64_t id, struct dm_order_row *out,
                             struct dm_error *err) DM_MUST_USE;
/* The oldest order that is not answered becomes running. DM_END: there is none. */
enum dm_status dm_order_take(struct sqlite3 *db, struct dm_order_row *out, struct dm_error *err) DM_MUST_USE;
/* Writes how far it is, and reads whether the asker has cancelled it (also when it is gone). */
enum dm_status dm_order_tell(struct sqlite3 *db, int64_t id, uint64_t rows, uint64_t done, uint64_t total,
                             bool *cancelled, struct dm_error *err) DM_MUST_USE;
/* answer NULL: it failed with `why`. */
enum dm_status dm_order_answer(struct sqlite3 *db, int64_t id, const char *answer, const struct dm_error *why,
                               struct dm_error *err) DM_MUST_USE;
enum dm_status dm_order_cancel(struct sqlite3 *db, int64_t id, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_order_remove(struct sqlite3 *db, int64_t id, struct dm_error *err) DM_MUST_USE;
/* Answers that nobody fetched within an hour. */
enum dm_status dm_order_remove_old(struct sqlite3 *db, struct dm_error *err) DM_MUST_USE;

#endif
