/* identity.h — the documented identities of a record delete, as keys and conditions of datasets.
 *
 * Two documented forms:
 *   "identities":           [{"namespace": {"code": "email"}, "id": "a@example.com"}, …]
 *   "namespacesIdentities": [{"namespace": {"code": "email"}, "IDs": ["a@example.com", …]}, …]
 *
 * There are no identity namespaces here; a code means a column:
 *   - the primary key, when it is the name of the one key column, or "primaryKey", or there is no namespace. Then the id is a key, as in `datamirror delete`;
 *   - else the column of that name (in any case, hyphens for underscores): rows in which it has the id as its text.
 * For one dataset the column must be there. For all datasets, those that have it take part, by what they hold now; a dataset that has it and no key is
 * noted, and so is a code that no dataset has (an error when there is none at all).
 *
 * Pure; CONFIG errors that name the element.
 *
 *     dm_identities_to_targets(&schemas, NULL, body, &targets, &notes, err);
 */
#ifndef DM_MIRROR_IDENTITY_H
#define DM_MIRROR_IDENTITY_H

#include <jansson.h>

#include "registry/relational_schema.h"

/* `only` NULL: all datasets. *targets: the array that the order "delete" takes, new; *notes: array of texts, new. */
enum dm_status dm_identities_to_targets(const struct dm_relational_schemas *all,
                                        const struct dm_relational_schema *only, const json_t *body,
                                        json_t **targets, json_t **notes, struct dm_error *err) DM_MUST_USE;

#endif
