/* schema_request.h — one schema or one descriptor made, replaced or taken out, as the HTTP API's requests ask for it.
 *
 * The bodies are the documented ones (registry/schema_json.h). Each request is an edit of what the registry has at that moment, under the lake mutex, and then
 * goes the way of `schema apply` (declared.h): the same rules, plan, checks against the rows and commit. A schema comes first and its descriptors one by
 * one; until it has what it needs it is an entry of the registry without a dataset, and the descriptor that completes it makes the dataset.
 *
 * Threads: any; requests wait for each other at the lake mutex, which is not held by the caller. Errors: CONFIG for a body that breaks a rule, CONFLICT for
 * what is there already or stands in the way; `not_found` besides when the reference means nothing.
 *
 *     struct dm_schema_request r = {.body = body};
 *     if (dm_schema_create(m, &r, err) == DM_OK) … r.answer …
 *     dm_schema_request_release(&r);
 */
#ifndef DM_MIRROR_SCHEMA_REQUEST_H
#define DM_MIRROR_SCHEMA_REQUEST_H

#include <jansson.h>

#include "mirror/target.h"

struct dm_schema_request {
    const json_t *body;    /* borrowed */
    const char *reference; /* which one: $id, meta:altId or name of a schema, @id or number of a descriptor */
    bool dry_run;          /* all checks, and nothing is changed */
    bool drop_columns;     /* columns that a schema lacks may go with their values */
    bool drop_rows;        /* a schema may go with the rows of its dataset */
    /* what becomes of it */
    json_t *answer;  /* the body as it is now; NULL: taken out. Owned */
    json_t *changes; /* array of texts: what was done. Owned */
    bool not_found;
};
void dm_schema_request_release(struct dm_schema_request *r);

enum dm_status dm_schema_create(struct dm_mirror *m, struct dm_schema_request *r,
                                struct dm_error *err) DM_MUST_USE;
/* Columns and settings as the body says; descriptors are resources of their own and stay. */
enum dm_status dm_schema_replace(struct dm_mirror *m, struct dm_schema_request *r,
                                 struct dm_error *err) DM_MUST_USE;
enum dm_status dm_schema_delete(struct dm_mirror *m, struct dm_schema_request *r,
                                struct dm_error *err) DM_MUST_USE;
enum dm_status dm_descriptor_create(struct dm_mirror *m, struct dm_schema_request *r,
                                    struct dm_error *err) DM_MUST_USE;
enum dm_status dm_descriptor_replace(struct dm_mirror *m, struct dm_schema_request *r,
                                     struct dm_error *err) DM_MUST_USE;
enum dm_status dm_descriptor_delete(struct dm_mirror *m, struct dm_schema_request *r,
                                    struct dm_error *err) DM_MUST_USE;

#endif
