/* relational_schema.h — a relational schema: columns plus the descriptors that define what the dataset does with changes.
 *
 * The model only: parsing it from YAML, JSON or DDL is schema_yaml.h, schema_json.h and schema_ddl.h; its rules are schema_rules.h; where it is
 * kept is registry.h. A schema is named like its dataset, "namespace.table"; a name without a dot is in namespace "default".
 * It is either declared by a person (origin "declared") or was found in a source (origin: the source's name), where key, columns and
 * foreign keys are the source's and only relationships and settings may be declared on top.
 *
 * Ownership: a schema owns everything in it; NULL texts mean "not given". One thread at a time.
 *
 *     struct dm_relational_schema *s = dm_relational_schema_new("sales.orders");
 *     struct dm_relational_column *c = dm_relational_schema_add(s, "order_id", dm_type_of(DM_INT64));
 *     c->required = true;
 *     dm_names_add(&s->key, "order_id");
 *     dm_relational_schema_free(s);
 */
#ifndef DM_REGISTRY_RELATIONAL_SCHEMA_H
#define DM_REGISTRY_RELATIONAL_SCHEMA_H

#include "base/error.h"
#include "column/schema.h"

/* A list of owned texts. Zeroed struct is empty. */
struct dm_names {
    size_t n;
    char **items;
};
void dm_names_add(struct dm_names *names, const char *name);
void dm_names_release(struct dm_names *names);
int dm_names_find(const struct dm_names *names, const char *name); /* index or -1 */
bool dm_names_equal(const struct dm_names *a, const struct dm_names *b);
char *dm_names_joined(const struct dm_names *names); /* "a, b"; malloc'ed */

enum dm_behavior { DM_BEHAVIOR_RECORD = 0, DM_BEHAVIOR_TIME_SERIES };

enum dm_cardinality { DM_ONE_TO_ONE = 1, DM_ONE_TO_ZERO, DM_MANY_TO_ONE, DM_MANY_TO_ZERO };
const char *dm_cardinality_text(enum dm_cardinality c); /* "M:1" */
bool dm_cardinality_find(const char *text, enum dm_cardinality *out);

struct dm_relational_column {
    char *name;
    struct dm_type type;
    bool required;
    char *title;
    char *description;
    char *format;            /* as declared: "email", "date-time"; informational */
    struct dm_names allowed; /* enum values; empty: any. STRING columns only */
    uint32_t min_length;     /* STRING: in code points; 0: none */
    uint32_t max_length;     /* STRING: in code points (varchar(n), maxLength); 0: none */
    char *renamed_from;      /* evolution: the name it had; not kept */
    size_t line;             /* where it was declared, for messages; 0: unknown; not kept */
};

struct dm_relationship {
    int64_t id;  /* of its descriptor in the registry; 0: not kept yet */
    size_t line; /* as in struct dm_relational_column */
    char *name;  /* unique in its schema; made of the columns and the target when not given */
    struct dm_names columns;
    char *target;                   /* schema name */
    struct dm_names target_columns; /* empty until resolved: the target's primary key */
    enum dm_cardinality cardinality;
    char *forward_name; /* xdm:sourceToDestinationName */
    char *backward_name;
    bool discovered; /* from a foreign key of the source */
    bool enforced;   /* on_orphan: quarantine — a child waits for its parent */
};

enum dm_history_mode { DM_HISTORY_NONE = 0, DM_HISTORY_CHANGES, DM_HISTORY_SCD2 };

/* How the dataset treats changes. Zero means the default. */
struct dm_dataset_settings {
    enum dm_history_mode history;
    bool ignore_null_updates; /* a null in an upsert keeps the stored value */
    char *
        unavailable_value; /* what stands for a value that did not change, besides Debezium's; NULL: nothing */
    int64_t tombstone_retention_ms; /* 0: default, 7 days; -1: forever */
    char *expire; /* ISO-8601 period, "P3M"; NULL: never. By timestamp, else by a version that is a time */
    uint64_t max_quarantined;     /* rows of one ingestion that stop it; 0: no limit */
    double max_quarantined_share; /* 0 < x < 1 of one ingestion's rows; 0: no limit */
};

struct dm_relational_schema {
    int64_t id;                               /* in the registry; 0: not kept yet */
    int64_t key_id, version_id, timestamp_id; /* of the descriptors in the registry; 0: none */
    char *name;                               /* "sales.orders": always with its namespace */
    char *title;
    char *description;
    char *origin; /* "declared", or the source's name */
    enum dm_behavior behavior;
    size_t n_columns;
    struct dm_relational_column *columns;
    struct dm_names key;
    char *version;   /* column; NULL: the source's position (only for schemas found in a source) */
    char *timestamp; /* column; time-series only */
    size_t n_relationships;
    struct dm_relationship *relationships;
    struct dm_dataset_settings settings;
    struct dm_names
        dropped; /* evolution: columns that may go, with their values; "*": any that is missing; not kept */
    bool
        partial; /* its form has no words for all of it (DDL, plain documented JSON): what it does not say stays as it is; not kept */
    bool draft;  /* descriptors come one at a time: those that it lacks are no breach of a rule; not kept */
    uint64_t source_id; /* found in a source: the table's stable id there; 0: none */
    int64_t created_us, updated_us;
    char *file; /* where it was declared, for messages; NULL: unknown; not kept */
    size_t line;
};

#define DM_ORIGIN_DECLARED "declared"
bool dm_relational_schema_is_declared(const struct dm_relational_schema *s);
/* The descriptors that a declared schema needs and does not have yet: "primary key, version"; "" when it is complete. A schema whose descriptors
 * come one at a time (HTTP API) is kept without a dataset until it has them all. */
enum { DM_MISSING_MAX = 40 };
const char *dm_relational_schema_missing(const struct dm_relational_schema *s, char out[DM_MISSING_MAX]);
bool dm_relational_schema_is_complete(const struct dm_relational_schema *s);
/* CONFIG error that says what the incomplete schema lacks, and how to give it. Returns DM_FAIL. */
enum dm_status dm_relational_schema_incomplete(const struct dm_relational_schema *s, struct dm_error *err);
/* Key, version, timestamp and relationships of `from`, under the names that renamed columns have in `to`, which has none of its own. */
void dm_relational_schema_take_descriptors(struct dm_relational_schema *to,
                                           const struct dm_relational_schema *from);

/* "orders" → "default.orders", "sales.orders" stays; malloc'ed. All names in the registry are in this form. */
char *dm_relational_schema_name(const char *name);
/* Origin "declared". The name is completed as by dm_relational_schema_name. */
struct dm_relational_schema *dm_relational_schema_new(const char *name);
void dm_relational_schema_free(struct dm_relational_schema *s); /* NULL is fine */
struct dm_relational_schema *dm_relational_schema_copy(const struct dm_relational_schema *s);
/* Valid until the next add. */
struct dm_relational_column *dm_relational_schema_add(struct dm_relational_schema *s, const char *name,
                                                      struct dm_type type);
struct dm_relationship *dm_relational_schema_relate(struct dm_relational_schema *s, const char *target);
/* What a foreign key over these columns says: many to one, unless they are the key; a nullable reference may point nowhere (…:0). */
enum dm_cardinality dm_relational_schema_cardinality(const struct dm_relational_schema *s,
                                                     const struct dm_names *columns);
void dm_relational_schema_unrelate(struct dm_relational_schema *s, size_t i); /* takes relationship i out */
void dm_relational_schema_clear_columns(struct dm_relational_schema *s);
/* Into a new column or relationship: deep copies of all but the name, or the target. */
void dm_relational_column_assign(struct dm_relational_column *to, const struct dm_relational_column *from);
void dm_relationship_assign(struct dm_relationship *to, const struct dm_relationship *from);
void dm_relationship_release(struct dm_relationship *r);
int dm_relational_schema_find(const struct dm_relational_schema *s, const char *column); /* or -1 */
/* "sales.orders" → namespace and table, malloc'ed; without a dot: "default". */
void dm_relational_schema_split(const char *name, char **namespace, char **table);

struct dm_relational_schemas {
    size_t n;
    struct dm_relational_schema **items;
};
void dm_relational_schemas_add(struct dm_relational_schemas *list, struct dm_relational_schema *take);
void dm_relational_schemas_release(struct dm_relational_schemas *list);
struct dm_relational_schema *dm_relational_schemas_find(const struct dm_relational_schemas *list,
                                                        const char *name); /* NULL: none */

/* The dataset's columns for dm_schema_evolve: ids 0, required as declared, key set. `stored` are the dataset's present columns (NULL: a new
 * dataset): a column with renamed_from takes over the field of that name (when `stored` still has it: applying twice is fine).
 * Each has a source_ref, a number that stays with the column through renames (the lake keeps it). One reference. */
enum dm_status dm_relational_schema_columns(const struct dm_relational_schema *s,
                                            const struct dm_schema *stored, struct dm_schema **out,
                                            struct dm_error *err) DM_MUST_USE;

#endif
