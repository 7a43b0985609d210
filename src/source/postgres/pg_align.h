/* pg_align.h — which attribute number each column of a Relation message is.
 *
 * The message carries names and types in attribute order, but no numbers; the catalog, which has them, may be
 * newer: columns may have been added, renamed or dropped since. Columns only append at the end, drop anywhere
 * and rename in place, so the right answer is a rising sequence; of all rising sequences the one is taken
 * whose names (as known before, as they are now) and types fit best. The age of an attribute's catalog row
 * says much: what was dropped after the message is in it, what was dropped before is not, and what was not
 * touched since has kept its name. Pure function, thread safe.
 */
#ifndef DM_SOURCE_POSTGRES_PG_ALIGN_H
#define DM_SOURCE_POSTGRES_PG_ALIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An attribute as the catalog has it now and as the last message had it. */
struct pg_attribute {
    int32_t attnum;
    const char *name_now;    /* NULL: dropped */
    const char *name_before; /* NULL: not known before */
    uint32_t type_now, type_before;
    bool changed_since; /* its catalog row is younger than the message: added, renamed, dropped, altered */
};

struct pg_message_column {
    const char *name;
    uint32_t type;
    int32_t modifier;
    bool identity; /* part of the replica identity */
};

/* Fills attnums[n]. attributes rise by attnum. uncommitted: the message may show columns that no committed
 * catalog has (a transaction that is streamed while it runs); such get numbers above all others. False: the
 * message has more columns than there can be. */
bool pg_align(const struct pg_message_column *columns, size_t n, const struct pg_attribute *attributes,
              size_t m, bool uncommitted, int32_t *attnums);
/* Is one of the columns known by its place alone while another attribute, changed since too, could be it as well? (A column that was
 * renamed after the message, and beside it one that was dropped.) */
bool pg_align_guessed(const struct pg_message_column *columns, size_t n,
                      const struct pg_attribute *attributes, size_t m, const int32_t *attnums);

#endif
