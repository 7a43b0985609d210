/* The documented JSON of a schema: its body and its descriptors. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/schema_json.h"
#include "registry/type_words.h"

char *dm_schema_urn(const char *name)
{
    char *full = dm_relational_schema_name(name);
    char *urn = dm_xasprintf("urn:datamirror:schema:%s", full);
    free(full);
    return urn;
}

static void put_text(json_t *o, const char *key, const char *text)
{
    if (text != NULL)
        json_object_set_new(o, key, json_string(text));
}

/* ---- columns ---- */

static void put_integer_range(json_t *o, struct dm_type type)
{
    if (type.id != DM_INT32)
        return;
    json_object_set_new(o, "minimum", json_integer(INT32_MIN));
    json_object_set_new(o, "maximum", json_integer(INT32_MAX));
}

/* The documented words for a type; what they cannot say stands in datamirror:type. */
static void put_type(json_t *o, struct dm_type type)
{
    static const struct {
        const char *type, *format, *xdm;
    } documented[] = {
        [DM_BOOL] = {"boolean", NULL, "boolean"},
        [DM_INT32] = {"integer", NULL, "int"},
        [DM_INT64] = {"integer", NULL, "long"},
        [DM_FLOAT32] = {"number", NULL, "double"},
        [DM_FLOAT64] = {"number", NULL, "double"},
        [DM_DECIMAL] = {"number", NULL, "double"},
        [DM_DATE] = {"string", "date", "date"},
        [DM_TIME] = {"string", "time", "string"},
        [DM_TIMESTAMP] = {"string", "date-time", "date-time"},
        [DM_TIMESTAMPTZ] = {"string", "date-time", "date-time"},
        [DM_TIMESTAMP_NS] = {"string", "date-time", "date-time"},
        [DM_STRING] = {"string", NULL, "string"},
        [DM_BINARY] = {"string", NULL, "string"},
        [DM_UUID] = {"string", "uuid", "string"},
    };
    if (type.id == DM_LIST) {
        json_t *items = json_object();
        put_type(items, dm_type_element(type));
        put_text(o, "type", "array");
        json_object_set_new(o, "items", items);
        return;
    }
    char exact[48];
    put_text(o, "type", documented[type.id].type);
    put_text(o, "format", documented[type.id].format);
    put_integer_range(o, type);
    put_text(o, "meta:xdmType", documented[type.id].xdm);
    put_text(o, "datamirror:type", dm_type_words_yaml(type, exact, sizeof exact));
}

static json_t *column_json(const struct dm_relational_column *c)
{
    json_t *o = json_object();
    put_text(o, "title", c->title);
    put_text(o, "description", c->description);
    put_type(o, c->type);
    put_text(o, "format", c->format);
    if (c->min_length > 0)
        json_object_set_new(o, "minLength", json_integer(c->min_length));
    if (c->max_length > 0)
        json_object_set_new(o, "maxLength", json_integer(c->max_length));
    if (c->allowed.n > 0) {
        json_t *allowed = json_array();
        for (size_t i = 0; i < c->allowed.n; i++)
            json_array_append_new(allowed, json_string(c->allowed.items[i]));
        json_object_set_new(o, "enum", allowed);
    }
    put_text(o, "datamirror:renamedFrom", c->renamed_from);
    return o;
}

/* ---- the body ---- */

static void put_time(json_t *o, const char *key, int64_t us)
{
    if (us != 0)
        json_object_set_new(o, key, json_integer(us));
}

/* The descriptors that it waits for. */
static void put_missing(json_t *o, const struct dm_relational_schema *s)
{
    json_t *missing = json_array();
    if (s->key.n == 0)
        json_array_append_new(missing, json_string("xdm:descriptorPrimaryKey"));
    if (s->version == NULL)
        json_array_append_new(missing, json_string("xdm:descriptorVersion"));
    if (s->timestamp == NULL && s->behavior == DM_BEHAVIOR_TIME_SERIES)
        json_array_append_new(missing, json_string("xdm:descriptorTimestamp"));
    if (!dm_relational_schema_is_complete(s))
        json_object_set(o, "datamirror:missing", missing);
    json_decref(missing);
}

/* What only we know of it. Settings are written even when there are none: a body without them leaves those that there are. */
static void put_own(json_t *o, const struct dm_relational_schema *s)
{
    json_t *settings = dm_settings_to_json(&s->settings);
    if (s->partial && json_object_size(settings) == 0)
        json_decref(settings);
    else
        json_object_set_new(o, "datamirror:settings", settings);
    if (!dm_relational_schema_is_declared(s))
        put_text(o, "datamirror:origin", s->origin);
    if (s->title != NULL)
        put_text(o, "datamirror:title", s->title);
    if (s->dropped.n > 0) {
        json_t *dropped = json_array();
        for (size_t i = 0; i < s->dropped.n; i++)
            json_array_append_new(dropped, json_string(s->dropped.items[i]));
        json_object_set_new(o, "datamirror:dropColumns", dropped);
    }
    put_missing(o, s);
    put_time(o, "datamirror:createdMicros", s->created_us);
    put_time(o, "datamirror:updatedMicros", s->updated_us);
    if (s->file != NULL) {
        put_text(o, "datamirror:file", s->file);
        json_object_set_new(o, "datamirror:line", json_integer((json_int_t)s->line));
    }
}

json_t *dm_schema_to_json(const struct dm_relational_schema *s)
{
    char *urn = dm_schema_urn(s->name);
    json_t *properties = json_object(), *required = json_array(), *o = json_object();
    for (size_t i = 0; i < s->n_columns; i++) {
        json_object_set_new(properties, s->columns[i].name, column_json(&s->columns[i]));
        if (s->columns[i].required)
            json_array_append_new(required, json_string(s->columns[i].name));
    }
    put_text(o, "$id", urn);
    put_text(o, "meta:altId", s->name);
    put_text(o, "meta:resourceType", "schemas");
    put_text(o, "version", "1.0");
    put_text(o, "title", s->name);
    put_text(o, "type", "object");
    put_text(o, "description", s->description);
    json_object_set_new(o, "definitions",
                        json_pack("{s:{s:s, s:o, s:o}}", "customFields", "type", "object", "properties",
                                  properties, "required", required));
    json_object_set_new(
        o, "allOf",
        json_pack("[{s:s, s:s}]", "$ref", "#/definitions/customFields", "meta:xdmType", "object"));
    json_object_set_new(o, "meta:extends", json_pack("[s]", "https://ns.adobe.com/xdm/data/adhoc-v2"));
    put_text(o, "meta:behaviorType", s->behavior == DM_BEHAVIOR_TIME_SERIES ? "time-series" : "record");
    put_text(o, "meta:containerId", "tenant");
    put_own(o, s);
    free(urn);
    return o;
}

/* ---- descriptors ---- */

/* A column as a JSON pointer: a slash in its name becomes ~1, a tilde ~0. */
static json_t *pointer_json(const char *column)
{
    size_t n = strlen(column), at = 0;
    char *text = dm_xalloc(2 * n + 2);
    text[at++] = '/';
    for (size_t i = 0; i < n; i++) {
        if (column[i] == '/' || column[i] == '~')
            text[at++] = '~';
        text[at++] = column[i] == '/' ? '1' : column[i] == '~' ? '0' : column[i];
    }
    text[at] = '\0';
    json_t *v = json_string(text);
    free(text);
    return v;
}

/* One column as a text, several as an array. */
static json_t *columns_json(const struct dm_names *columns)
{
    if (columns->n == 1)
        return pointer_json(columns->items[0]);
    json_t *a = json_array();
    for (size_t i = 0; i < columns->n; i++)
        json_array_append_new(a, pointer_json(columns->items[i]));
    return a;
}

static json_t *descriptor(const char *type, int64_t id, const char *urn, json_t *property)
{
    json_t *o = json_object();
    if (id != 0) {
        char *number = dm_xasprintf("urn:datamirror:descriptor:%lld", (long long)id);
        put_text(o, "@id", number);
        free(number);
    }
    put_text(o, "@type", type);
    put_text(o, "xdm:sourceSchema", urn);
    json_object_set_new(o, "xdm:sourceVersion", json_integer(1));
    json_object_set_new(o, "xdm:sourceProperty", property);
    return o;
}

static json_t *relationship_json(const struct dm_relationship *r, const char *urn)
{
    json_t *o = descriptor("xdm:descriptorRelationship", r->id, urn, columns_json(&r->columns));
    char *target = strchr(r->target, '.') != NULL ? dm_schema_urn(r->target) : dm_xstrdup(r->target);
    put_text(o, "xdm:destinationSchema", target);
    free(target);
    json_object_set_new(o, "xdm:destinationVersion", json_integer(1));
    if (r->target_columns.n > 0)
        json_object_set_new(o, "xdm:destinationProperty", columns_json(&r->target_columns));
    put_text(o, "xdm:sourceToDestinationName", r->forward_name);
    put_text(o, "xdm:destinationToSourceName", r->backward_name);
    put_text(o, "xdm:cardinality", dm_cardinality_text(r->cardinality));
    put_text(o, "datamirror:name", r->name);
    if (r->enforced)
        put_text(o, "datamirror:onOrphan", "quarantine");
    if (r->discovered)
        json_object_set_new(o, "datamirror:discovered", json_true());
    return o;
}

json_t *dm_schema_descriptors_to_json(const struct dm_relational_schema *s)
{
    json_t *all = json_array();
    char *urn = dm_schema_urn(s->name);
    if (s->key.n > 0)
        json_array_append_new(all,
                              descriptor("xdm:descriptorPrimaryKey", s->key_id, urn, columns_json(&s->key)));
    if (s->version != NULL)
        json_array_append_new(
            all, descriptor("xdm:descriptorVersion", s->version_id, urn, pointer_json(s->version)));
    if (s->timestamp != NULL)
        json_array_append_new(
            all, descriptor("xdm:descriptorTimestamp", s->timestamp_id, urn, pointer_json(s->timestamp)));
    for (size_t i = 0; i < s->n_relationships; i++)
        json_array_append_new(all, relationship_json(&s->relationships[i], urn));
    free(urn);
    return all;
}

json_t *dm_schemas_to_json(const struct dm_relational_schemas *list)
{
    json_t *all = json_array();
    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(all, dm_schema_to_json(list->items[i]));
    for (size_t i = 0; i < list->n; i++) {
        json_t *descriptors = dm_schema_descriptors_to_json(list->items[i]);
        json_array_extend(all, descriptors);
        json_decref(descriptors);
    }
    return all;
}
