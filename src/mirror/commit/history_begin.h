/* history_begin.h — when the history of a declared dataset begins and ends (history.h says what is in it).
 *
 * It begins with the dataset as it is then: each row (op upsert, or copy where a row per change is kept) with its version, and each deletion that is still
 * remembered. From there on it goes with its dataset: its schema is changed in the same commit. Where it cannot go on, since its rows are of another kind, by
 * another key or by another version, and where it had been switched off, what there is keeps its rows under the name
 * `<table>__history_<snapshot>` (an archive: nothing is added to it, deletion and erasing know it), the number of its last snapshot in
 * hexadecimal digits, and another one begins.
 */
#ifndef DM_MIRROR_HISTORY_BEGIN_H
#define DM_MIRROR_HISTORY_BEGIN_H

#include "mirror/commit/apply_rows.h"
#include "registry/relational_schema.h"

/* The schema of the history that goes with the dataset's; NULL: mode DM_HISTORY_NONE. */
struct dm_schema *dm_history_wanted(enum dm_history_mode mode, const struct dm_schema *schema, int version);
/* Can the history that is there be carried on with the schema that is wanted? (Whether it is by the same version its schema does not say.) */
bool dm_history_goes_on(const struct dm_schema *there, const struct dm_schema *wanted);
/* The name that this history gets as an archive, malloc'ed; NULL: it never had a row. */
char *dm_history_archive_name(const struct dm_dataset *history);
/* Is this such a name, behind the dataset's? (`<table>__history_2023__history` is that of another dataset's history.) */
bool dm_history_is_archive(const char *tail);
/* In a commit: what there is becomes an archive; one that never had a row is dropped. */
enum dm_status dm_history_archive(struct dm_commit *commit, const struct dm_dataset *history,
                                  struct dm_error *err) DM_MUST_USE;

/* In an open commit and index transaction, before the commit changes the dataset: when the settings ask for a history and there is none that goes on, it
 * begins. Nothing to do otherwise, which is found out fast. The key index must be up to date. */
enum dm_status dm_history_begin(struct dm_apply_context *a, const struct dm_target *t,
                                struct dm_error *err) DM_MUST_USE;
/* The same in a commit of its own, for a dataset that has had rows. No commit and no index transaction may be open. */
enum dm_status dm_history_catch_up(struct dm_mirror *m, const struct dm_target *t,
                                   struct dm_error *err) DM_MUST_USE;

#endif
