/* The metadata file: parsed with jansson, printed from parts so that a commit does not print old snapshots anew.
 * One array element a line, for people and for diff. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lake/iceberg/day_spec.h"
#include "lake/iceberg/metadata.h"

/* ---- print ---- */

static enum dm_status print_text(struct dm_buffer *out, const char *key, const char *value,
                                 struct dm_error *err)
{
    json_t *text = json_string(value);
    char *quoted = text == NULL ? NULL : json_dumps(text, JSON_ENCODE_ANY);
    json_decref(text);
    if (quoted == NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "the value of %s is not valid UTF-8", key);
    enum dm_status status = dm_buffer_printf(out, err, "\"%s\":%s", key, quoted);
    free(quoted);
    return status;
}

static enum dm_status print_schemas(const struct dm_metadata *m, struct dm_buffer *out, struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(out, err, "\"schemas\":[");
    for (size_t i = 0; i < m->n_schemas && status == DM_OK; i++) {
        char *text = NULL;
        status = dm_schema_json(m->schemas[i], m->format_version, &text, err);
        if (status == DM_OK)
            status = dm_buffer_printf(out, err, "%s\n%s", i == 0 ? "" : ",", text);
        free(text);
    }
    return status == DM_OK ? dm_buffer_printf(out, err, "],\n") : status;
}

static enum dm_status print_spec(const struct dm_metadata *m, struct dm_buffer *out, struct dm_error *err)
{
    struct dm_day_spec spec = {0};
    dm_day_spec_init(&spec, dm_metadata_schema(m), m->day_source_id);
    char *fields = dm_day_spec_json(&spec);
    enum dm_status status =
        dm_buffer_printf(out, err,
                         "\"default-spec-id\":0,\n\"partition-specs\":[{\"spec-id\":0,\"fields\":%s}],\n"
                         "\"last-partition-id\":%d,\n\"default-sort-order-id\":0,\n"
                         "\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],\n",
                         fields, spec.source_id != 0 ? DM_DAY_FIELD_ID : DM_DAY_FIELD_ID - 1);
    free(fields);
    dm_day_spec_release(&spec);
    return status;
}

static enum dm_status print_properties(const struct dm_metadata *m, struct dm_buffer *out,
                                       struct dm_error *err)
{
    json_t *o = json_object();
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < m->n_properties && status == DM_OK; i++)
        if (json_object_set_new(o, m->properties[i].key, json_string(m->properties[i].value)) != 0)
            status =
                dm_fail(err, DM_ERROR_DATA, NULL, "the property %s is not valid UTF-8", m->properties[i].key);
    char *text = status == DM_OK ? json_dumps(o, JSON_COMPACT) : NULL;
    if (status == DM_OK)
        status = dm_buffer_printf(out, err, "\"properties\":%s,\n", text);
    free(text);
    json_decref(o);
    return status;
}

static enum dm_status print_snapshots(const struct dm_metadata *m, struct dm_buffer *out,
                                      struct dm_error *err)
{
    enum dm_status status = DM_OK;
    if (m->current_snapshot_id != 0)
        status = dm_buffer_printf(out, err,
                                  "\"current-snapshot-id\":%" PRId64 ",\n"
                                  "\"refs\":{\"main\":{\"snapshot-id\":%" PRId64 ",\"type\":\"branch\"}},\n",
                                  m->current_snapshot_id, m->current_snapshot_id);
    else
        status = dm_buffer_printf(out, err, "\"refs\":{},\n");
    if (status == DM_OK)
        status = dm_buffer_printf(out, err, "\"snapshots\":[");
    for (size_t i = 0; i < m->n_snapshots && status == DM_OK; i++)
        status = dm_buffer_printf(out, err, "%s\n%s", i == 0 ? "" : ",", m->snapshots[i].json);
    if (status == DM_OK)
        status = dm_buffer_printf(out, err, "],\n\"statistics\":[],\n\"snapshot-log\":[");
    for (size_t i = 0; i < m->n_snapshot_log && status == DM_OK; i++)
        status = dm_buffer_printf(out, err, "%s\n{\"timestamp-ms\":%" PRId64 ",\"snapshot-id\":%" PRId64 "}",
                                  i == 0 ? "" : ",", m->snapshot_log[i].timestamp_ms,
                                  m->snapshot_log[i].snapshot_id);
    return status == DM_OK ? dm_buffer_printf(out, err, "],\n") : status;
}

static enum dm_status print_log(const struct dm_metadata *m, struct dm_buffer *out, struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(out, err, "\"metadata-log\":[");
    for (size_t i = 0; i < m->n_metadata_log && status == DM_OK; i++) {
        status = dm_buffer_printf(out, err, "%s\n{\"timestamp-ms\":%" PRId64 ",", i == 0 ? "" : ",",
                                  m->metadata_log[i].timestamp_ms);
        if (status == DM_OK)
            status = print_text(out, "metadata-file", m->metadata_log[i].file, err);
        if (status == DM_OK)
            status = dm_buffer_printf(out, err, "}");
    }
    return status == DM_OK ? dm_buffer_printf(out, err, "]\n}\n") : status;
}

enum dm_status dm_metadata_print(const struct dm_metadata *m, struct dm_buffer *out, struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(out, err, "{\n\"format-version\":%d,\n\"table-uuid\":\"%s\",\n",
                                             m->format_version, m->uuid);
    if (status == DM_OK)
        status = print_text(out, "location", m->location, err);
    if (status == DM_OK)
        status = dm_buffer_printf(out, err,
                                  ",\n\"last-sequence-number\":%" PRId64 ",\n\"last-updated-ms\":%" PRId64
                                  ",\n\"last-column-id\":%" PRId32 ",\n\"current-schema-id\":%" PRId32 ",\n",
                                  m->last_sequence_number, m->last_updated_ms, m->last_column_id,
                                  m->current_schema_id);
    if (status == DM_OK)
        status = print_schemas(m, out, err);
    if (status == DM_OK)
        status = print_spec(m, out, err);
    if (status == DM_OK && m->format_version >= 3)
        status = dm_buffer_printf(out, err, "\"next-row-id\":%" PRId64 ",\n", m->next_row_id);
    if (status == DM_OK)
        status = print_properties(m, out, err);
    if (status == DM_OK)
        status = print_snapshots(m, out, err);
    if (status == DM_OK)
        status = print_log(m, out, err);
    return status;
}

/* ---- parse ---- */

static enum dm_status get_integer(const json_t *o, const char *key, int64_t *out, struct dm_error *err)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v))
        return dm_fail(err, DM_ERROR_DATA, NULL, "\"%s\" is missing or not a number", key);
    *out = json_integer_value(v);
    return DM_OK;
}

static enum dm_status parse_schemas(struct dm_metadata *m, const json_t *root, struct dm_error *err)
{
    const json_t *list = json_object_get(root, "schemas");
    size_t n = json_array_size(list);
    m->schemas = dm_xzalloc(n + 1, sizeof *m->schemas);
    for (size_t i = 0; i < n; i++) {
        if (dm_metadata_schema_from_json(json_array_get(list, i), &m->schemas[i], err) != DM_OK)
            return DM_FAIL;
        m->n_schemas++;
    }
    for (size_t i = 0; i < n; i++)
        if (m->schemas[i]->schema_id == m->current_schema_id)
            return dm_schema_apply_columns(m->schemas[i], dm_metadata_property(m, "datamirror.columns"),
                                           dm_metadata_property(m, "datamirror.key"), err);
    return dm_fail(err, DM_ERROR_DATA, NULL, "the current schema %d is not in the file",
                   m->current_schema_id);
}

static enum dm_status parse_properties(struct dm_metadata *m, json_t *root, struct dm_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(root, "properties"), key, value)
    {
        if (!json_is_string(value))
            return dm_fail(err, DM_ERROR_DATA, NULL, "the property %s is not text", key);
        dm_metadata_set_property(m, key, json_string_value(value));
    }
    const char *next = dm_metadata_property(m, "datamirror.next-file");
    if (next == NULL)
        return dm_fail(err, DM_ERROR_DATA,
                       "the table was not written by Data Mirror; move it to another lake",
                       "the property datamirror.next-file is missing");
    char *end = NULL;
    unsigned long number = strtoul(next, &end, 10);
    if (*next == '\0' || *end != '\0' || number == 0 || number > UINT32_MAX)
        return dm_fail(err, DM_ERROR_DATA, NULL,
                       "the property datamirror.next-file is not a file number: '%s'", next);
    m->next_file = (uint32_t)number;
    return DM_OK;
}

static enum dm_status parse_snapshots(struct dm_metadata *m, const json_t *root, struct dm_error *err)
{
    const json_t *list = json_object_get(root, "snapshots");
    size_t n = json_array_size(list);
    m->snapshots = dm_xzalloc(n + 1, sizeof *m->snapshots);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(list, i);
        const char *manifests = json_string_value(json_object_get(o, "manifest-list"));
        struct dm_snapshot *s = &m->snapshots[i];
        if (get_integer(o, "snapshot-id", &s->id, err) != DM_OK ||
            get_integer(o, "timestamp-ms", &s->timestamp_ms, err) != DM_OK ||
            get_integer(o, "sequence-number", &s->sequence_number, err) != DM_OK)
            return DM_FAIL;
        if (manifests == NULL)
            return dm_fail(err, DM_ERROR_DATA, NULL, "a snapshot has no manifest-list");
        s->schema_id = (int32_t)json_integer_value(json_object_get(o, "schema-id"));
        s->manifest_list = dm_xstrdup(manifests);
        s->json = json_dumps(o, JSON_COMPACT);
        m->n_snapshots++;
    }
    if (m->current_snapshot_id != 0 && dm_metadata_snapshot(m, m->current_snapshot_id) == NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "the current snapshot is not in the file");
    const json_t *log = json_object_get(root, "snapshot-log");
    m->n_snapshot_log = json_array_size(log);
    m->snapshot_log = dm_xzalloc(m->n_snapshot_log + 1, sizeof *m->snapshot_log);
    for (size_t i = 0; i < m->n_snapshot_log; i++) {
        const json_t *o = json_array_get(log, i);
        if (get_integer(o, "timestamp-ms", &m->snapshot_log[i].timestamp_ms, err) != DM_OK ||
            get_integer(o, "snapshot-id", &m->snapshot_log[i].snapshot_id, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

static enum dm_status parse_log(struct dm_metadata *m, const json_t *root, struct dm_error *err)
{
    const json_t *log = json_object_get(root, "metadata-log");
    size_t n = json_array_size(log);
    m->metadata_log = dm_xzalloc(n + 1, sizeof *m->metadata_log);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(log, i);
        const char *file = json_string_value(json_object_get(o, "metadata-file"));
        if (file == NULL)
            return dm_fail(err, DM_ERROR_DATA, NULL, "a line of the metadata-log has no metadata-file");
        if (get_integer(o, "timestamp-ms", &m->metadata_log[i].timestamp_ms, err) != DM_OK)
            return DM_FAIL;
        m->metadata_log[i].file = dm_xstrdup(file);
        m->n_metadata_log++;
    }
    return DM_OK;
}

/* The spec is empty or by the day of one column; reading other tables as if they had none would be wrong. */
static enum dm_status parse_spec(struct dm_metadata *m, const json_t *root, struct dm_error *err)
{
    const json_t *specs = json_object_get(root, "partition-specs");
    for (size_t i = 0; i < json_array_size(specs); i++) {
        const json_t *fields = json_object_get(json_array_get(specs, i), "fields");
        const json_t *f = json_array_get(fields, 0);
        const char *transform = json_string_value(json_object_get(f, "transform"));
        json_int_t source = json_integer_value(json_object_get(f, "source-id"));
        json_int_t id = json_integer_value(json_object_get(f, "field-id"));
        if (json_array_size(fields) == 0)
            continue;
        if (json_array_size(specs) > 1 || json_array_size(fields) > 1 || transform == NULL ||
            strcmp(transform, "day") != 0 || id != DM_DAY_FIELD_ID || source <= 0 || source > INT32_MAX ||
            dm_schema_find_id(dm_metadata_schema(m), (int32_t)source) < 0)
            return dm_fail(err, DM_ERROR_DATA,
                           "only the mirror may change the tables of its lake; resync the dataset",
                           "the table is partitioned in a way that Data Mirror's tables never are");
        m->day_source_id = (int32_t)source;
    }
    return DM_OK;
}

static enum dm_status parse_root(struct dm_metadata *m, json_t *root, struct dm_error *err)
{
    const char *uuid = json_string_value(json_object_get(root, "table-uuid"));
    const char *location = json_string_value(json_object_get(root, "location"));
    int64_t version = 0, column = 0, schema = 0;
    if (get_integer(root, "format-version", &version, err) != DM_OK)
        return DM_FAIL;
    if (version != 2 && version != 3)
        return dm_fail(err, DM_ERROR_DATA, NULL, "format version %" PRId64 " is not supported", version);
    if (uuid == NULL || strlen(uuid) != 36 || location == NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "\"table-uuid\" or \"location\" is missing");
    m->format_version = (int)version;
    memcpy(m->uuid, uuid, 37);
    m->location = dm_xstrdup(location);
    if (get_integer(root, "last-sequence-number", &m->last_sequence_number, err) != DM_OK ||
        get_integer(root, "last-updated-ms", &m->last_updated_ms, err) != DM_OK ||
        get_integer(root, "last-column-id", &column, err) != DM_OK ||
        get_integer(root, "current-schema-id", &schema, err) != DM_OK ||
        (version >= 3 && get_integer(root, "next-row-id", &m->next_row_id, err) != DM_OK))
        return DM_FAIL;
    if (column < 0 || column > INT32_MAX || schema < 0 || schema > INT32_MAX)
        return dm_fail(err, DM_ERROR_DATA, NULL, "an id is out of range");
    m->last_column_id = (int32_t)column;
    m->current_schema_id = (int32_t)schema;
    m->current_snapshot_id = json_integer_value(json_object_get(root, "current-snapshot-id"));
    if (m->current_snapshot_id < 0)
        m->current_snapshot_id = 0; /* older writers say -1 for none */
    enum dm_status status = parse_properties(m, root, err);
    if (status == DM_OK)
        status = parse_schemas(m, root, err);
    if (status == DM_OK)
        status = parse_spec(m, root, err);
    if (status == DM_OK)
        status = parse_snapshots(m, root, err);
    if (status == DM_OK)
        status = parse_log(m, root, err);
    return status;
}

enum dm_status dm_metadata_parse(const char *text, size_t n, const char *name, struct dm_metadata **out,
                                 struct dm_error *err)
{
    json_error_t where;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(root)) {
        json_decref(root);
        return dm_fail(err, DM_ERROR_DATA, "the file is damaged; restore it, or drop and resync the dataset",
                       "%s, line %d: not a table metadata file (%s)", name, where.line, where.text);
    }
    struct dm_metadata *m = dm_xzalloc(1, sizeof *m);
    enum dm_status status = parse_root(m, root, err);
    json_decref(root);
    if (status != DM_OK) {
        dm_error_prefix(err, "%s", name);
        dm_metadata_free(m);
        return status;
    }
    *out = m;
    return DM_OK;
}
