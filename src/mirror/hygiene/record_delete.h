/* record_delete.h — rows that a person wants deleted, for good: the orders "delete" and "unsuppress".
 *
 *   delete      {"dataset": "shop.customers", "token": "<unique>", "keys": [["42"], …] | "where": "SQL condition",
 *                "related": true, "until_erased": true, "dry_run": true, "name": …, "description": …}     (all but dataset, token and one of keys, where optional)
 *                or, for several datasets: "targets": [{"dataset": …, "keys": … | "where": …}, …]. "erase_later": the running mirror erases by itself
 *               → {"order": 7, "status": "applied", "datasets": [{"dataset", "via", "keys", "rows", "history_rows", …}], "references": [{"dataset",
 *                  "relationship", "rows"}], "notes": […], …}; a dry run: the same without "order"
 *   unsuppress  {"dataset": …, "keys": […]} → {"dataset": …, "keys": n, "unsuppressed": n}
 *
 * One commit does it all, in all datasets: rows out of the dataset and its history, tombstones out, rows in quarantine out, keys suppressed (suppression.h), the
 * order written (work_order.h). With until_erased, erase.h follows. An order that is given again (its token is known) is not done again: it is finished, if
 * need be, and its report is given.
 */
#ifndef DM_MIRROR_RECORD_DELETE_H
#define DM_MIRROR_RECORD_DELETE_H

#include "mirror/order/order.h"

extern const struct dm_order_kind dm_order_delete;
extern const struct dm_order_kind dm_order_unsuppress;

#endif
