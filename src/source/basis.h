/* basis.h — what the rows of a mirrored table rest on, as a list of facts that can be stored and compared.
 *
 * A database tells of rows by events, but not of everything that makes a row what it is: a label of an enum is renamed, a table leaves the publication
 * and comes back, the URL leads to another server. So a source describes, for itself and for each table, what it knows of such things as facts
 * (member, subject, value). The mirror stores them with the dataset, in the commit of the copy they belong to, and compares them with the present
 * ones at each start and each look at the source. One table (dm_basis_rule) says for every member what follows when it differs, and one
 * pure function (dm_basis_compare) says what is the strongest of that.
 *
 * A fact without a counterpart on the other side says nothing, unless its rule says otherwise: facts can be left out when they are not known, and
 * a lake that lacks them takes them over as they are. Values are compared by bytes; they are for people, too.
 *
 * Ownership: a basis owns its facts; zeroed is empty. One thread at a time. Failure: only dm_basis_parse, on text that is no basis.
 *
 *     struct dm_basis now = {0};
 *     dm_basis_add(&now, DM_BASIS_IDENTITY, NULL, "key");
 *     dm_basis_add(&now, DM_BASIS_TYPE, "3", "%u:%d", oid, modifier);
 *     dm_basis_compare(&stored, &now, &(struct dm_basis_look){.when = DM_BASIS_AT_LOOK}, &verdict);
 *     dm_basis_release(&now);
 */
#ifndef DM_SOURCE_BASIS_H
#define DM_SOURCE_BASIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What follows from a difference, weakest first. */
enum dm_basis_effect {
    DM_BASIS_NOTHING,
    DM_BASIS_EVOLVE, /* the stream brings it, in its order, and the dataset follows */
    DM_BASIS_REKEY,  /* the same, and the key index is made anew from the lake's rows */
    DM_BASIS_COPY,   /* the table is copied again */
    DM_BASIS_REFUSE, /* the table is not mirrored until it is mended; then it is copied */
    DM_BASIS_STOP,   /* the source stops with an error: going on would mix two histories */
};

enum dm_basis_scope {
    DM_SCOPE_SERVER,
    DM_SCOPE_PUBLICATION,
    DM_SCOPE_IDENTITY,
    DM_SCOPE_COLUMNS,
    DM_SCOPE_STORAGE,
    DM_SCOPE_SECURITY,
    DM_SCOPE_CONFIGURATION,
};

enum dm_basis_member {
    /* of the source as a whole */
    DM_BASIS_SYSTEM,   /* PostgreSQL: the cluster's system identifier; SQLite: which file it is */
    DM_BASIS_TIMELINE, /* "1@23456,2": past timelines and where they ended, then the present one */
    DM_BASIS_DATABASE,
    DM_BASIS_ENCODING,
    DM_BASIS_LOG_END, /* a position, decimal */
    DM_BASIS_SLOT,    /* "there" or "none" */
    /* of a table; where a subject is given it is the column's or the type's number (or name) */
    DM_BASIS_PUBLISHED,   /* its entry in the publication, a number that never comes again; "none" */
    DM_BASIS_OPERATIONS,  /* that the publication publishes */
    DM_BASIS_ROW_FILTER,  /* as the server has it */
    DM_BASIS_COLUMN_LIST, /* as the server has it */
    DM_BASIS_VIA_ROOT,
    DM_BASIS_IDENTITY, /* what an old row carries: "key", "index" (these the stream tells), "row", "nothing", "capture" */
    DM_BASIS_KEY,       /* its columns, in order */
    DM_BASIS_GUARD,     /* the constraint that keeps it unique */
    DM_BASIS_NAME,      /* subject: column */
    DM_BASIS_TYPE,      /* subject: column */
    DM_BASIS_GENERATED, /* subject: column; "generated" or "no" */
    DM_BASIS_FILL, /* subject: column; how rows that were there before it got their value: "none", "said", "unsaid", "itself" */
    DM_BASIS_BENEATH,      /* subject: type; what a type is made of */
    DM_BASIS_LABEL,        /* subject: type and label; of an enum */
    DM_BASIS_STORAGE,      /* where the rows are stored: changes when they are written anew */
    DM_BASIS_READABLE,     /* "yes" or "no" */
    DM_BASIS_ROW_SECURITY, /* "off", or "on": rows are hidden from the mirror */
    DM_BASIS_TAKEN,        /* subject: column; by columns: and exclude_columns:, "taken" or "left out" */
    DM_BASIS_FILTER,       /* filter: */
    DM_BASIS_DECIMALS,     /* decimals: */
    DM_BASIS_TIMESTAMP,    /* timestamp:, the column's number; "none" */
    DM_BASIS_TIME_AS,      /* time_as:, of a table that has such columns */
    DM_BASIS_APPEND_ONLY,
    DM_BASIS_MEMBERS
};

struct dm_basis_rule {
    const char *name;  /* as stored */
    const char *words; /* in a sentence: "the key" */
    enum dm_basis_scope scope;
    enum dm_basis_effect effect; /* the strongest that a difference has */
};
const struct dm_basis_rule *dm_basis_rule(enum dm_basis_member member);
const char *dm_basis_effect_name(enum dm_basis_effect effect); /* "copy again" */

struct dm_basis_fact {
    enum dm_basis_member member;
    char *subject; /* "": the table or source itself */
    char *value;
};

struct dm_basis {
    size_t n;
    struct dm_basis_fact *facts;
};

void dm_basis_release(struct dm_basis *b);
struct dm_basis dm_basis_copy(const struct dm_basis *b);
/* subject NULL: "". printf style value. */
void dm_basis_add(struct dm_basis *b, enum dm_basis_member member, const char *subject, const char *fmt, ...)
    DM_PRINTF(4, 5);
/* The value, borrowed; NULL: not known. */
const char *dm_basis_get(const struct dm_basis *b, enum dm_basis_member member, const char *subject);
bool dm_basis_equal(const struct dm_basis *a, const struct dm_basis *b);

/* {"key": "1", "type": {"1": "23:-1"}} and back; members that this version does not know are passed over. */
char *dm_basis_print(const struct dm_basis *b);
enum dm_status dm_basis_parse(const char *text, struct dm_basis *out, struct dm_error *err) DM_MUST_USE;

/* When and from where the present is looked at. */
enum dm_basis_when {
    DM_BASIS_AT_START, /* since the stored basis nobody looked */
    DM_BASIS_AT_LOOK,  /* while the stream runs, which tells of what it can tell of by itself */
    DM_BASIS_IN_STREAM, /* by the source, to tell of it: between two looks, were the stored rows written anew? */
};
struct dm_basis_look {
    enum dm_basis_when when;
    uint64_t at; /* the position that the lake stands at; 0: none yet */
};
struct dm_basis_verdict {
    enum dm_basis_effect effect;
    enum dm_basis_member member; /* that has it */
    char text[400];              /* "the key changed from 1 to 1,2" */
};
void dm_basis_compare(const struct dm_basis *stored, const struct dm_basis *present,
                      const struct dm_basis_look *look, struct dm_basis_verdict *out);

#endif
