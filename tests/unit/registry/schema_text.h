/* schema_text.h — for the tests of the registry: texts into schemas, and texts that must be refused with certain words. */
#ifndef DM_TEST_SCHEMA_TEXT_H
#define DM_TEST_SCHEMA_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "registry/schema_diff.h"
#include "registry/schema_json.h"
#include "registry/schema_rules.h"

/* Read, resolved and checked against `known` (may be NULL). The test fails when it is refused. */
static inline struct dm_relational_schemas schemas_of(const char *text,
                                                      const struct dm_schema_read_options *o)
{
    struct dm_relational_schemas out = {0};
    struct dm_names notes = {0};
    struct dm_error err = {0};
    if (dm_schema_text_read(text, strlen(text), o, &out, &notes, &err) != DM_OK ||
        dm_schemas_resolve(&out, o->known, &err) != DM_OK || dm_schemas_check(&out, o->known, &err) != DM_OK)
        fail_msg("%s (%s) in: %s", err.message, err.hint, text);
    dm_names_release(&notes);
    return out;
}

/* Refused as CONFIG, by reader or rules, with these words in message and hint (hint NULL: any). */
static inline void refused_with(const char *text, const struct dm_schema_read_options *o, const char *message,
                                const char *hint)
{
    struct dm_relational_schemas out = {0};
    struct dm_names notes = {0};
    struct dm_error err = {0};
    if (dm_schema_text_read(text, strlen(text), o, &out, &notes, &err) == DM_OK &&
        dm_schemas_resolve(&out, o->known, &err) == DM_OK && dm_schemas_check(&out, o->known, &err) == DM_OK)
        fail_msg("accepted: %s", text);
    dm_relational_schemas_release(&out);
    dm_names_release(&notes);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    if (strstr(err.message, message) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, message);
    if (hint != NULL && strstr(err.hint, hint) == NULL)
        fail_msg("the hint \"%s\" of \"%s\" lacks \"%s\"", err.hint, err.message, hint);
}

static inline const struct dm_relational_column *column_of(const struct dm_relational_schema *s,
                                                           const char *name)
{
    int at = dm_relational_schema_find(s, name);
    if (at < 0)
        fail_msg("%s has no column %s", s->name, name);
    return &s->columns[at];
}

static inline void assert_type(const struct dm_relational_schema *s, const char *name, const char *type)
{
    char text[64];
    const char *found = dm_type_name(column_of(s, name)->type, text, sizeof text);
    if (strcmp(found, type) != 0)
        fail_msg("%s.%s is %s, not %s", s->name, name, found, type);
}

/* Equal in everything that is kept. */
static inline void assert_same_schema(const struct dm_relational_schema *a,
                                      const struct dm_relational_schema *b)
{
    struct dm_schema_changes changes;
    dm_schema_diff(a, b, &changes);
    if (changes.n > 0)
        fail_msg("%s: %s", a->name, changes.items[0].what);
    dm_schema_changes_release(&changes);
}

#endif
