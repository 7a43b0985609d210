/* evolved.h — datasets of a source whose columns, key or rows become other ones in the open commit: what is in quarantine follows in its catalog transaction.
 *
 * Zeroed struct is empty. The committing thread.
 *
 *     dm_evolved_note(&list, dataset, before, after);      a schema changed; NULL, NULL: the rows were copied again
 *     dm_evolved_save(&list, db, err);
 *     dm_evolved_clear(&list);
 */
#ifndef DM_MIRROR_EVOLVED_H
#define DM_MIRROR_EVOLVED_H

#include "base/error.h"
#include "column/schema.h"

struct sqlite3;

struct dm_evolved {
    size_t n;
    struct {
        uint32_t dataset;
        const struct dm_schema *before, *after; /* owned references; NULL: only the rows */
    } * items;
};

void dm_evolved_note(struct dm_evolved *list, uint32_t dataset, const struct dm_schema *before,
                     const struct dm_schema *after);
/* Before this commit's own rows go into quarantine: they have the new names. */
enum dm_status dm_evolved_save(const struct dm_evolved *list, struct sqlite3 *db,
                               struct dm_error *err) DM_MUST_USE;
void dm_evolved_clear(struct dm_evolved *list);

#endif
