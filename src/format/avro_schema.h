/* avro_schema.h — an Avro schema, parsed from the JSON in a file's header, as a graph of types.
 *
 * The schema owns all its types; pointers into it are valid until dm_avro_schema_release. A named type that
 * is referred to again is the same object, so the graph may have cycles: whoever walks data along it needs a
 * depth limit (avro_read.h has one).
 * Immutable after parsing, so threads may share it.
 * Failure: anything that Avro does not allow, or more than DM_AVRO_MAX_TYPES types or DM_AVRO_MAX_DEPTH
 * levels of nesting, is a DATA error.
 * Source: Apache Avro specification, "Schema Declaration"; the attribute field-id is Iceberg's (table spec,
 * Appendix A).
 *
 *     struct dm_avro_schema s = {0};
 *     if (dm_avro_schema_parse(&s, json, n, err) != DM_OK) ...
 *     for (size_t i = 0; i < s.root->n_members; i++) use(s.root->members[i].id, s.root->members[i].type);
 *     dm_avro_schema_release(&s);
 */
#ifndef DM_FORMAT_AVRO_SCHEMA_H
#define DM_FORMAT_AVRO_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DM_AVRO_MAX_TYPES 4096
#define DM_AVRO_MAX_DEPTH 64

enum dm_avro_kind {
    DM_AVRO_NULL,
    DM_AVRO_BOOLEAN,
    DM_AVRO_INT,
    DM_AVRO_LONG,
    DM_AVRO_FLOAT,
    DM_AVRO_DOUBLE,
    DM_AVRO_BYTES,
    DM_AVRO_STRING,
    DM_AVRO_FIXED,
    DM_AVRO_ENUM,
    DM_AVRO_RECORD, /* members: its fields */
    DM_AVRO_UNION,  /* members: its branches, without names */
    DM_AVRO_ARRAY,  /* members[0]: its items */
    DM_AVRO_MAP,    /* members[0]: its values; keys are strings */
};

struct dm_avro_type;

struct dm_avro_member {
    char *name; /* record fields; else NULL */
    int32_t id; /* record fields: Iceberg field-id; -1 when there is none */
    const struct dm_avro_type *type;
};

struct dm_avro_type {
    enum dm_avro_kind kind;
    uint32_t size; /* FIXED: bytes; ENUM: number of symbols */
    size_t n_members;
    struct dm_avro_member *members;
    char *name; /* RECORD, FIXED, ENUM: full name; else NULL */
};

struct dm_avro_schema {
    size_t n_types;
    size_t capacity;
    struct dm_avro_type **types; /* all of them, as they were met */
    const struct dm_avro_type *root;
};

/* `s` is zeroed. On failure it holds nothing. */
enum dm_status dm_avro_schema_parse(struct dm_avro_schema *s, const char *json, size_t n,
                                    struct dm_error *err) DM_MUST_USE;
void dm_avro_schema_release(struct dm_avro_schema *s);
/* "record", "long", … for messages. */
const char *dm_avro_kind_name(enum dm_avro_kind kind);

#endif
