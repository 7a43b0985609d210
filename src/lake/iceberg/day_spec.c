#include "lake/iceberg/day_spec.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static char *field_name(const struct dm_schema *schema, const char *column)
{
    char *name = dm_xasprintf("%s_day", column);
    while (dm_schema_find(schema, name) >= 0) {
        char *longer = dm_xasprintf("%s_", name);
        free(name);
        name = longer;
    }
    return name;
}

/* Avro names are [A-Za-z_][A-Za-z0-9_]*; Iceberg's Java library writes other bytes as _xHH, too. */
static char *avro_name(const char *name)
{
    char *out = dm_xalloc(strlen(name) * 4 + 2), *at = out;
    if (isdigit((unsigned char)*name))
        *at++ = '_';
    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;
        if (c < 0x80 && (isalnum(c) || c == '_')) {
            *at++ = (char)c;
        } else {
            *at++ = '_';
            *at++ = 'x';
            *at++ = "0123456789ABCDEF"[c >> 4];
            *at++ = "0123456789ABCDEF"[c & 15];
        }
    }
    *at = '\0';
    return out;
}

void dm_day_spec_init(struct dm_day_spec *spec, const struct dm_schema *schema, int32_t source_id)
{
    int at = source_id == 0 ? -1 : dm_schema_find_id(schema, source_id);
    *spec = (struct dm_day_spec){0};
    if (at < 0)
        return;
    spec->source_id = source_id;
    spec->name = field_name(schema, schema->fields[at].name);
    spec->avro_name = avro_name(spec->name);
}

void dm_day_spec_release(struct dm_day_spec *spec)
{
    free(spec->name);
    free(spec->avro_name);
    *spec = (struct dm_day_spec){0};
}

char *dm_day_spec_json(const struct dm_day_spec *spec)
{
    if (spec->source_id == 0)
        return dm_xstrdup("[]");
    json_t *fields = json_pack("[{s:s, s:s, s:i, s:i}]", "name", spec->name, "transform", "day", "source-id",
                               (int)spec->source_id, "field-id", DM_DAY_FIELD_ID);
    char *text = json_dumps(fields, JSON_COMPACT);
    json_decref(fields);
    return text;
}

/* Bounds of times are eight bytes, little-endian (appendix D, "Single-value serialization"). */
static int64_t bound(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return (int64_t)value;
}

enum dm_status dm_day_of_file(const struct dm_schema *schema, int32_t source_id,
                              const struct dm_parquet_result *result, int32_t *day, struct dm_error *err)
{
    int at = dm_schema_find_id(schema, source_id);
    if (at < 0 || !dm_day_has(schema->fields[at].type))
        return dm_fail(err, DM_ERROR_FATAL, NULL, "a dataset that is divided by day has no time column %d",
                       source_id);
    for (size_t i = 0; i < result->n_stats; i++) {
        const struct dm_column_stats *s = &result->stats[i];
        if (s->field_id != source_id)
            continue;
        bool some = s->has_bounds && s->lower_len == 8 && s->upper_len == 8;
        int32_t first = some ? dm_day_of(schema->fields[at].type, bound(s->lower)) : DM_NO_DAY;
        int32_t last = some ? dm_day_of(schema->fields[at].type, bound(s->upper)) : DM_NO_DAY;
        if (first != last || (some && s->nulls > 0))
            return dm_fail(err, DM_ERROR_FATAL, NULL, "a data file with rows of several days of \"%s\"",
                           schema->fields[at].name);
        *day = first;
        return DM_OK;
    }
    return dm_fail(err, DM_ERROR_FATAL, NULL, "a data file without statistics of \"%s\"",
                   schema->fields[at].name);
}
