#include "lake/iceberg/metadata.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/memory.h"

struct dm_metadata *dm_metadata_new(int format_version, const char *location)
{
    struct dm_metadata *m = dm_xzalloc(1, sizeof *m);
    m->format_version = format_version;
    m->location = dm_xstrdup(location);
    m->next_file = 1;
    uint8_t b[16];
    while (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
        continue;
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 4122: version 4, variant 1 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char *at = m->uuid;
    for (size_t i = 0; i < sizeof b; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = "0123456789abcdef"[b[i] >> 4];
        *at++ = "0123456789abcdef"[b[i] & 15];
    }
    *at = '\0';
    return m;
}

static void release_snapshot(struct dm_snapshot *s)
{
    free(s->manifest_list);
    free(s->json);
}

void dm_metadata_free(struct dm_metadata *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->n_schemas; i++)
        dm_schema_unref(m->schemas[i]);
    for (size_t i = 0; i < m->n_properties; i++) {
        free(m->properties[i].key);
        free(m->properties[i].value);
    }
    for (size_t i = 0; i < m->n_snapshots; i++)
        release_snapshot(&m->snapshots[i]);
    for (size_t i = 0; i < m->n_metadata_log; i++)
        free(m->metadata_log[i].file);
    free(m->schemas);
    free(m->properties);
    free(m->snapshots);
    free(m->snapshot_log);
    free(m->metadata_log);
    free(m->location);
    free(m);
}

static void *copy_array(const void *from, size_t n, size_t size)
{
    if (n == 0)
        return NULL;
    void *to = dm_xzalloc(n, size);
    memcpy(to, from, n * size);
    return to;
}

struct dm_metadata *dm_metadata_copy(const struct dm_metadata *m)
{
    struct dm_metadata *c = copy_array(m, 1, sizeof *m);
    c->location = dm_xstrdup(m->location);
    c->schemas = copy_array(m->schemas, m->n_schemas, sizeof *m->schemas);
    for (size_t i = 0; i < m->n_schemas; i++)
        (void)dm_schema_ref(m->schemas[i]);
    c->properties = copy_array(m->properties, m->n_properties, sizeof *m->properties);
    for (size_t i = 0; i < m->n_properties; i++) {
        c->properties[i].key = dm_xstrdup(m->properties[i].key);
        c->properties[i].value = dm_xstrdup(m->properties[i].value);
    }
    c->snapshots = copy_array(m->snapshots, m->n_snapshots, sizeof *m->snapshots);
    for (size_t i = 0; i < m->n_snapshots; i++) {
        c->snapshots[i].manifest_list = dm_xstrdup(m->snapshots[i].manifest_list);
        c->snapshots[i].json = dm_xstrdup(m->snapshots[i].json);
    }
    c->snapshot_log = copy_array(m->snapshot_log, m->n_snapshot_log, sizeof *m->snapshot_log);
    c->metadata_log = copy_array(m->metadata_log, m->n_metadata_log, sizeof *m->metadata_log);
    for (size_t i = 0; i < m->n_metadata_log; i++)
        c->metadata_log[i].file = dm_xstrdup(m->metadata_log[i].file);
    return c;
}

size_t dm_metadata_bytes(const struct dm_metadata *m)
{
    size_t bytes = sizeof *m + m->n_snapshot_log * sizeof *m->snapshot_log;
    for (size_t i = 0; i < m->n_snapshots; i++)
        bytes += sizeof *m->snapshots + 2 * strlen(m->snapshots[i].manifest_list) + 400;
    for (size_t i = 0; i < m->n_metadata_log; i++)
        bytes += sizeof *m->metadata_log + strlen(m->metadata_log[i].file);
    for (size_t i = 0; i < m->n_properties; i++)
        bytes += sizeof *m->properties + strlen(m->properties[i].key) + strlen(m->properties[i].value);
    for (size_t i = 0; i < m->n_schemas; i++)
        bytes += sizeof **m->schemas + m->schemas[i]->n_fields * (sizeof(struct dm_field) + 48);
    return bytes;
}

const struct dm_schema *dm_metadata_schema(const struct dm_metadata *m)
{
    for (size_t i = 0; i < m->n_schemas; i++)
        if (m->schemas[i]->schema_id == m->current_schema_id)
            return m->schemas[i];
    return NULL;
}

const struct dm_snapshot *dm_metadata_snapshot(const struct dm_metadata *m, int64_t snapshot)
{
    for (size_t i = m->n_snapshots; i-- > 0;) /* the newest is asked for most */
        if (m->snapshots[i].id == snapshot)
            return &m->snapshots[i];
    return NULL;
}

const char *dm_metadata_property(const struct dm_metadata *m, const char *key)
{
    for (size_t i = 0; i < m->n_properties; i++)
        if (strcmp(m->properties[i].key, key) == 0)
            return m->properties[i].value;
    return NULL;
}

void dm_metadata_set_property(struct dm_metadata *m, const char *key, const char *value)
{
    for (size_t i = 0; i < m->n_properties; i++)
        if (strcmp(m->properties[i].key, key) == 0) {
            char *old = m->properties[i].value;
            m->properties[i].value = dm_xstrdup(value);
            free(old);
            return;
        }
    m->properties = dm_xrealloc(m->properties, m->n_properties + 1, sizeof *m->properties);
    m->properties[m->n_properties++] = (struct dm_metadata_property){dm_xstrdup(key), dm_xstrdup(value)};
}

void dm_metadata_raise_column_id(struct dm_metadata *m, int32_t id)
{
    if (id > m->last_column_id)
        m->last_column_id = id;
}

enum dm_status dm_metadata_set_schema(struct dm_metadata *m, const struct dm_schema *schema,
                                      struct dm_error *err)
{
    char *columns = NULL, *key = NULL;
    if (dm_schema_columns_json(schema, &columns, &key, err) != DM_OK)
        return DM_FAIL;
    struct dm_schema *mine = dm_schema_copy(schema);
    int32_t highest = -1;
    size_t at = m->n_schemas;
    for (size_t i = 0; i < m->n_schemas; i++) {
        if (m->schemas[i]->schema_id > highest)
            highest = m->schemas[i]->schema_id;
        if (dm_schema_equal(m->schemas[i], schema))
            at = i;
    }
    if (at == m->n_schemas) {
        mine->schema_id = highest + 1;
        m->schemas = dm_xrealloc(m->schemas, m->n_schemas + 1, sizeof *m->schemas);
        m->n_schemas++;
    } else {
        mine->schema_id = m->schemas[at]->schema_id; /* equal, but what the source says of it may be new */
        dm_schema_unref(m->schemas[at]);
    }
    m->schemas[at] = mine;
    m->current_schema_id = mine->schema_id;
    dm_metadata_raise_column_id(m, dm_schema_highest_id(schema));
    dm_metadata_set_property(m, "datamirror.columns", columns);
    dm_metadata_set_property(m, "datamirror.key", key);
    free(columns);
    free(key);
    return DM_OK;
}

static enum dm_status snapshot_json(const struct dm_metadata *m, const struct dm_snapshot_new *s, char **out,
                                    struct dm_error *err)
{
    json_t *summary = json_object();
    for (size_t i = 0; i < s->n_summary; i++)
        if (json_object_set_new(summary, s->summary[i].key, json_string(s->summary[i].value)) != 0) {
            json_decref(summary);
            return dm_fail(err, DM_ERROR_FATAL, NULL, "the snapshot summary value of %s is not valid UTF-8",
                           s->summary[i].key);
        }
    json_t *o = json_object();
    json_object_set_new(o, "snapshot-id", json_integer(s->id));
    if (s->parent_id != 0)
        json_object_set_new(o, "parent-snapshot-id", json_integer(s->parent_id));
    json_object_set_new(o, "sequence-number", json_integer(s->sequence_number));
    json_object_set_new(o, "timestamp-ms", json_integer(s->timestamp_ms));
    json_object_set_new(o, "manifest-list", json_string(s->manifest_list));
    json_object_set_new(o, "schema-id", json_integer(m->current_schema_id));
    if (s->first_row_id >= 0) {
        json_object_set_new(o, "first-row-id", json_integer(s->first_row_id));
        json_object_set_new(o, "added-rows", json_integer(s->added_rows));
    }
    json_object_set_new(o, "summary", summary);
    *out = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return DM_OK;
}

enum dm_status dm_metadata_add_snapshot(struct dm_metadata *m, const struct dm_snapshot_new *s,
                                        struct dm_error *err)
{
    char *text = NULL;
    if (snapshot_json(m, s, &text, err) != DM_OK)
        return DM_FAIL;
    m->snapshots = dm_xrealloc(m->snapshots, m->n_snapshots + 1, sizeof *m->snapshots);
    m->snapshots[m->n_snapshots++] = (struct dm_snapshot){.id = s->id,
                                                          .timestamp_ms = s->timestamp_ms,
                                                          .sequence_number = s->sequence_number,
                                                          .schema_id = m->current_schema_id,
                                                          .manifest_list = dm_xstrdup(s->manifest_list),
                                                          .json = text};
    m->snapshot_log = dm_xrealloc(m->snapshot_log, m->n_snapshot_log + 1, sizeof *m->snapshot_log);
    m->snapshot_log[m->n_snapshot_log++] = (struct dm_snapshot_log){s->timestamp_ms, s->id};
    m->current_snapshot_id = s->id;
    m->last_sequence_number = s->sequence_number;
    return DM_OK;
}

/* Drops the schemas that neither a snapshot nor the table refers to. */
static void drop_unused_schemas(struct dm_metadata *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n_schemas; i++) {
        bool used = m->schemas[i]->schema_id == m->current_schema_id;
        for (size_t j = 0; j < m->n_snapshots && !used; j++)
            used = m->snapshots[j].schema_id == m->schemas[i]->schema_id;
        /* The highest stays, so that its id is not given out again. */
        used = used || i + 1 == m->n_schemas;
        if (used)
            m->schemas[kept++] = m->schemas[i];
        else
            dm_schema_unref(m->schemas[i]);
    }
    m->n_schemas = kept;
}

/* Which of the older snapshots stay: time is cut into fixed slots, and the first one of a slot stays as long as it is young enough. So each call comes to
 * the same choice, and no more than slots + 1 of them are within the time. */
struct thinning {
    size_t recent;   /* so many of the newest stay, whatever their time */
    int64_t slot_ms; /* 0: no others do */
    int64_t last_slot;
};

static struct thinning thinning_of(size_t keep, int64_t oldest_ms, int64_t now_ms)
{
    struct thinning t = {.recent = keep, .last_slot = INT64_MIN};
    size_t slots = keep / 4 > 1 && oldest_ms > INT64_MIN && oldest_ms < now_ms ? keep / 4 - 1 : 0;
    if (slots == 0)
        return t;
    t.recent = keep - keep / 4;
    t.slot_ms = (now_ms - oldest_ms) / (int64_t)slots;
    if (t.slot_ms < 1)
        t.slot_ms = 1;
    return t;
}

static bool opens_slot(struct thinning *t, int64_t time_ms)
{
    if (t->slot_ms == 0 || time_ms / t->slot_ms == t->last_slot)
        return false;
    t->last_slot = time_ms / t->slot_ms;
    return true;
}

void dm_metadata_expire(struct dm_metadata *m, size_t keep, int64_t oldest_ms, int64_t now_ms)
{
    size_t kept = 0;
    struct thinning t = thinning_of(keep, oldest_ms, now_ms);
    for (size_t i = 0; i < m->n_snapshots; i++) {
        struct dm_snapshot *s = &m->snapshots[i];
        bool young = s->timestamp_ms >= oldest_ms;
        bool stays = s->id == m->current_snapshot_id ||
                     (young && (m->n_snapshots - i <= t.recent || opens_slot(&t, s->timestamp_ms)));
        if (stays)
            m->snapshots[kept++] = *s;
        else
            release_snapshot(s);
    }
    bool expired = kept < m->n_snapshots;
    m->n_snapshots = kept;
    if (!expired)
        return;
    /* The log may only name snapshots that exist; a gap ends its usable part, so older lines go too. */
    size_t from = m->n_snapshot_log;
    while (from > 0 && dm_metadata_snapshot(m, m->snapshot_log[from - 1].snapshot_id) != NULL)
        from--;
    m->n_snapshot_log -= from;
    memmove(m->snapshot_log, m->snapshot_log + from, m->n_snapshot_log * sizeof *m->snapshot_log);
    drop_unused_schemas(m);
}
