/* schema_diff.h — what lies between the schema that a dataset has and the one that is wanted: the plan of an evolution.
 *
 * Each difference is one change with a verdict: free (metadata only, nothing is lost), to be checked against the stored rows first, or refused with the way
 * out. Nothing is looked up here; whoever carries the plan out (mirror/declare/declared.c) asks the data:
 *
 *   DM_CHECK_ROWS     no stored row may satisfy the SQL condition `bad_rows` (columns by their old names, quoted)
 *   DM_CHECK_UNIQUE   the columns `columns` (old names) are never null and together unique
 *   DM_CHECK_EMPTY    the dataset has no rows
 *
 *     struct dm_schema_changes plan;
 *     dm_schema_diff(stored, wanted, &plan);
 *     if (dm_schema_changes_refused(&plan, err) != DM_OK) …
 *     for (i …) if (plan.items[i].verdict == DM_CHANGE_CHECKED) … ask the data …
 *     dm_schema_changes_release(&plan);
 */
#ifndef DM_REGISTRY_SCHEMA_DIFF_H
#define DM_REGISTRY_SCHEMA_DIFF_H

#include "registry/relational_schema.h"

enum dm_change_kind {
    DM_CHANGE_CREATE = 1, /* the schema is new; the only change then */
    DM_CHANGE_ADD_COLUMN,
    DM_CHANGE_RENAME_COLUMN,
    DM_CHANGE_DROP_COLUMN,
    DM_CHANGE_TYPE,     /* widened, or refused */
    DM_CHANGE_OPTIONAL, /* no longer required */
    DM_CHANGE_REQUIRED,
    DM_CHANGE_VALUES, /* enum, lengths */
    DM_CHANGE_ORDER,  /* of columns */
    DM_CHANGE_KEY,
    DM_CHANGE_VERSION,
    DM_CHANGE_TIMESTAMP,
    DM_CHANGE_BEHAVIOR,
    DM_CHANGE_RELATIONSHIP,
    DM_CHANGE_SETTING,
    DM_CHANGE_TEXT, /* titles, descriptions, formats */
};

enum dm_change_verdict { DM_CHANGE_FREE = 0, DM_CHANGE_CHECKED, DM_CHANGE_REFUSED };
enum dm_data_check { DM_CHECK_NOTHING = 0, DM_CHECK_ROWS, DM_CHECK_UNIQUE, DM_CHECK_EMPTY };

struct dm_schema_change {
    enum dm_change_kind kind;
    enum dm_change_verdict verdict;
    enum dm_data_check check;
    char *what;              /* for people: "add column note string" */
    char *hint;              /* refused or checked: the way out; else NULL */
    char *bad_rows;          /* DM_CHECK_ROWS */
    struct dm_names columns; /* old names of the columns concerned (of new ones: the new name) */
    bool reindex; /* the key index of the dataset must be built anew (key or version column changed) */
};

struct dm_schema_changes {
    char *schema;
    size_t n; /* 0: equal */
    struct dm_schema_change *items;
};

/* `from` NULL: a new schema; incomplete: it has no dataset, so all is free. Both resolved (schema_rules.h). A column with renamed_from that `from` does not have, but whose new name it has, was renamed
 * before: no change. */
void dm_schema_diff(const struct dm_relational_schema *from, const struct dm_relational_schema *to,
                    struct dm_schema_changes *out);
void dm_schema_changes_release(struct dm_schema_changes *changes);
/* CONFIG error for the first refused change, with its way out; DM_OK when there is none. */
enum dm_status dm_schema_changes_refused(const struct dm_schema_changes *changes,
                                         const struct dm_relational_schema *to,
                                         struct dm_error *err) DM_MUST_USE;
/* True when only registry entries change: no column, key, version or behaviour (the dataset itself need not be touched). */
bool dm_schema_changes_registry_only(const struct dm_schema_changes *changes);

#endif
