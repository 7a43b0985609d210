/* Columns and settings as the registry stores them: compact JSON of our own words, without loss. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "registry/schema_json.h"
#include "registry/type_words.h"

static void put_text(json_t *o, const char *key, const char *text)
{
    if (text != NULL)
        json_object_set_new(o, key, json_string(text));
}

static json_t *names_json(const struct dm_names *names)
{
    json_t *a = json_array();
    for (size_t i = 0; i < names->n; i++)
        json_array_append_new(a, json_string(names->items[i]));
    return a;
}

json_t *dm_columns_to_json(const struct dm_relational_schema *s)
{
    json_t *all = json_array();
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct dm_relational_column *c = &s->columns[i];
        char type[48];
        json_t *o = json_object();
        put_text(o, "name", c->name);
        put_text(o, "type", dm_type_words_yaml(c->type, type, sizeof type));
        if (c->required)
            json_object_set_new(o, "required", json_true());
        put_text(o, "title", c->title);
        put_text(o, "description", c->description);
        put_text(o, "format", c->format);
        if (c->allowed.n > 0)
            json_object_set_new(o, "enum", names_json(&c->allowed));
        if (c->min_length > 0)
            json_object_set_new(o, "min_length", json_integer(c->min_length));
        if (c->max_length > 0)
            json_object_set_new(o, "max_length", json_integer(c->max_length));
        json_array_append_new(all, o);
    }
    return all;
}

static const char *const history_words[] = {[DM_HISTORY_CHANGES] = "changes", [DM_HISTORY_SCD2] = "scd2"};

json_t *dm_settings_to_json(const struct dm_dataset_settings *s)
{
    json_t *o = json_object();
    if (s->history != DM_HISTORY_NONE)
        put_text(o, "history", history_words[s->history]);
    if (s->ignore_null_updates)
        json_object_set_new(o, "ignore_null_updates", json_true());
    put_text(o, "unavailable_value", s->unavailable_value);
    if (s->tombstone_retention_ms != 0)
        json_object_set_new(o, "tombstone_retention_ms", json_integer(s->tombstone_retention_ms));
    put_text(o, "expire", s->expire);
    if (s->max_quarantined > 0)
        json_object_set_new(o, "max_quarantined", json_integer((json_int_t)s->max_quarantined));
    if (s->max_quarantined_share > 0)
        json_object_set_new(o, "max_quarantined_share", json_real(s->max_quarantined_share));
    return o;
}

static char *text_of(const json_t *o, const char *key)
{
    return dm_xstrdup(json_string_value(json_object_get(o, key)));
}

static uint32_t length_of(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
}

enum dm_status dm_columns_from_json(const json_t *columns, struct dm_relational_schema *s,
                                    struct dm_error *err)
{
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *o = json_array_get(columns, i);
        const char *name = json_string_value(json_object_get(o, "name"));
        const char *type = json_string_value(json_object_get(o, "type"));
        struct dm_type_reading reading;
        if (name == NULL || type == NULL || !dm_type_words_read(type, &reading))
            return dm_fail(err, DM_ERROR_FATAL, "the catalog is damaged, or was written by a newer version",
                           "the registry's entry of %s: column %zu cannot be read", s->name, i + 1);
        struct dm_relational_column *c = dm_relational_schema_add(s, name, reading.type);
        c->required = json_is_true(json_object_get(o, "required"));
        c->title = text_of(o, "title");
        c->description = text_of(o, "description");
        c->format = text_of(o, "format");
        const json_t *allowed = json_object_get(o, "enum");
        for (size_t k = 0; k < json_array_size(allowed); k++)
            if (json_is_string(json_array_get(allowed, k)))
                dm_names_add(&c->allowed, json_string_value(json_array_get(allowed, k)));
        c->min_length = length_of(o, "min_length");
        c->max_length = length_of(o, "max_length");
    }
    return DM_OK;
}

static enum dm_status bad_setting(const char *key, const char *wants, struct dm_error *err)
{
    return dm_fail(err, DM_ERROR_CONFIG, NULL, "the setting \"%s\" wants %s", key, wants);
}

static enum dm_status read_setting(const char *key, const json_t *v, struct dm_dataset_settings *out,
                                   struct dm_error *err)
{
    if (strcmp(key, "history") == 0) {
        const char *word = json_string_value(v);
        out->history = DM_HISTORY_NONE;
        for (enum dm_history_mode m = DM_HISTORY_CHANGES; m <= DM_HISTORY_SCD2; m++)
            if (word != NULL && strcmp(word, history_words[m]) == 0)
                out->history = m;
        return out->history != DM_HISTORY_NONE ? DM_OK : bad_setting(key, "\"changes\" or \"scd2\"", err);
    }
    if (strcmp(key, "ignore_null_updates") == 0) {
        out->ignore_null_updates = json_is_true(v);
        return json_is_boolean(v) ? DM_OK : bad_setting(key, "true or false", err);
    }
    if (strcmp(key, "tombstone_retention_ms") == 0) {
        out->tombstone_retention_ms = json_integer_value(v);
        return json_is_integer(v) && out->tombstone_retention_ms >= -1
                   ? DM_OK
                   : bad_setting(key, "milliseconds, or -1 for ever", err);
    }
    if (strcmp(key, "unavailable_value") == 0) {
        free(out->unavailable_value);
        out->unavailable_value = dm_xstrdup(json_string_value(v));
        return json_is_string(v) ? DM_OK : bad_setting(key, "a text", err);
    }
    if (strcmp(key, "expire") == 0) {
        free(out->expire);
        out->expire = dm_xstrdup(json_string_value(v));
        return json_is_string(v) ? DM_OK : bad_setting(key, "a text such as \"P3M\"", err);
    }
    if (strcmp(key, "max_quarantined") == 0) {
        out->max_quarantined = (uint64_t)json_integer_value(v);
        return json_is_integer(v) && json_integer_value(v) >= 0 ? DM_OK
                                                                : bad_setting(key, "a number of rows", err);
    }
    if (strcmp(key, "max_quarantined_share") == 0) {
        out->max_quarantined_share = json_number_value(v);
        return json_is_number(v) && out->max_quarantined_share >= 0 && out->max_quarantined_share < 1
                   ? DM_OK
                   : bad_setting(key, "a share from 0 to 1", err);
    }
    return dm_fail(err, DM_ERROR_CONFIG,
                   "settings are: history, ignore_null_updates, unavailable_value, tombstone_retention_ms, "
                   "expire, max_quarantined, "
                   "max_quarantined_share",
                   "there is no setting \"%.100s\"", key);
}

enum dm_status dm_settings_from_json(const json_t *settings, struct dm_dataset_settings *out,
                                     struct dm_error *err)
{
    const char *key;
    json_t *value;
    if (settings != NULL && !json_is_object(settings))
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "the settings must be an object");
    json_object_foreach((json_t *)(uintptr_t)settings, key, value)
    {
        if (read_setting(key, value, out, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}
