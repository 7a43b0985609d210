/* order_kinds.h — the kinds of orders that order_kinds.c lists, each defined (and its JSON described) in order_<name>.c. */
#ifndef DM_MIRROR_ORDER_KINDS_H
#define DM_MIRROR_ORDER_KINDS_H

#include "mirror/order/order.h"

extern const struct dm_order_kind dm_order_ingest;
extern const struct dm_order_kind dm_order_schema_apply;
extern const struct dm_order_kind dm_order_schema_drop;
extern const struct dm_order_kind dm_order_sql;

/* {"class": n, "message": …, "hint": …}: an error inside a result. */
json_t *dm_order_error_json(const struct dm_error *err);

/* What came of one intake: its counts, notes and error (null: none). A new object. */
struct dm_intake_job;
json_t *dm_order_intake_json(const struct dm_intake_job *job);

#endif
