/* work_order.h — tables dm_work_order, dm_work_order_key and dm_work_order_columns in the lake's catalog.db: deletions that people ordered, and how far they are.
 *
 * An order is written by the very commit that carries it out, so there are no half ones:
 *   applied   rows are deleted and their keys suppressed; bytes may still be in older files
 *   erasing   the same, and the bytes are to go: taken up again after a crash until it is …
 *   erased    … done, at erased_us
 * No key and no condition is kept: while an order is erasing its keys are there as hashes (suppression.h), after that they are not even that here.
 * The functions run on the caller's connection, inside its transaction if one is open. Texts in struct dm_work_order are owned.
 */
#ifndef DM_MIRROR_WORK_ORDER_H
#define DM_MIRROR_WORK_ORDER_H

#include <jansson.h>

#include "mirror/hygiene/erase_match.h"

struct sqlite3;

struct dm_work_order {
    int64_t id;  /* > 0 */
    char *token; /* the asker's own: an order that is given twice is done once */
    char *name;  /* may be NULL */
    char *description;
    char *action; /* delete */
    char *status; /* applied, erasing, erased */
    char *detail; /* erasing: what it waits for; else NULL */
    int64_t created_us, erased_us;
    json_t *report; /* an object */
};
void dm_work_order_release(struct dm_work_order *o);

struct dm_work_orders {
    size_t n;
    struct dm_work_order *items;
};
void dm_work_orders_release(struct dm_work_orders *list);

enum dm_status dm_work_order_create_tables(struct sqlite3 *db, struct dm_error *err) DM_MUST_USE;
/* The number that the next order gets. */
enum dm_status dm_work_order_next(struct sqlite3 *db, int64_t *id, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_work_order_insert(struct sqlite3 *db, const struct dm_work_order *o,
                                    struct dm_error *err) DM_MUST_USE;
/* Status, detail, times and report. */
enum dm_status dm_work_order_update(struct sqlite3 *db, const struct dm_work_order *o,
                                    struct dm_error *err) DM_MUST_USE;
/* Its texts; NULL: as it is. DM_END: there is no such order. */
enum dm_status dm_work_order_rename(struct sqlite3 *db, int64_t id, const char *name, const char *description,
                                    struct dm_error *err) DM_MUST_USE;
/* By id, or by token, or (id 0, token NULL, status given) all of a status; all three none: all. Newest first. A catalog without the tables gives none. */
enum dm_status dm_work_order_list(struct sqlite3 *db, int64_t id, const char *token, const char *status,
                                  struct dm_work_orders *out, struct dm_error *err) DM_MUST_USE;
/* For people and programs. */
json_t *dm_work_order_json(const struct dm_work_order *o);

/* Keys of an order that is erasing. */
enum dm_status dm_work_order_put_keys(struct sqlite3 *db, int64_t id, uint32_t dataset,
                                      const struct dm_key_hash *hashes, size_t n,
                                      struct dm_error *err) DM_MUST_USE;
/* *datasets: malloc'ed numbers of the datasets that have some. */
enum dm_status dm_work_order_datasets(struct sqlite3 *db, int64_t id, uint32_t **datasets, size_t *n,
                                      struct dm_error *err) DM_MUST_USE;
enum dm_status dm_work_order_keys(struct sqlite3 *db, int64_t id, uint32_t dataset, struct dm_key_hash **out,
                                  size_t *n, struct dm_error *err) DM_MUST_USE;
/* Columns whose tuples are among the hashes, besides the key (erase_match.h). */
enum dm_status dm_work_order_put_columns(struct sqlite3 *db, int64_t id, uint32_t dataset,
                                         const struct dm_column_list *columns,
                                         struct dm_error *err) DM_MUST_USE;
enum dm_status dm_work_order_columns(struct sqlite3 *db, int64_t id, uint32_t dataset,
                                     struct dm_column_list **out, size_t *n,
                                     struct dm_error *err) DM_MUST_USE;
enum dm_status dm_work_order_drop_keys(struct sqlite3 *db, int64_t id, struct dm_error *err) DM_MUST_USE;

#endif
