/* Values are put in the order of the fields in manifest_schema.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/avro_write.h"
#include "lake/iceberg/manifest.h"
#include "lake/iceberg/manifest_schema.h"

/* From here on compression saves more than it costs: entries of one table differ in a few bytes. */
#define DEFLATE_FROM_ENTRIES 16

static enum dm_status bug(struct dm_error *err, const struct dm_manifest_entry *e, const char *what)
{
    return dm_fail(err, DM_ERROR_FATAL, NULL, "manifest entry of \"%.300s\": %s",
                   e->file_path ? e->file_path : "(none)", what);
}

static enum dm_status check_entry(const struct dm_manifest *m, const struct dm_manifest_entry *e,
                                  struct dm_error *err)
{
    if (e->file_path == NULL || e->file_format == NULL)
        return bug(err, e, "it needs a path and a format");
    if (e->content != m->content)
        return bug(err, e, "data files and deletes may not share a manifest");
    if (e->record_count < 0 || e->file_bytes < 0)
        return bug(err, e, "its counts may not be negative");
    if (e->status != DM_ENTRY_ADDED && (e->sequence_number < 0 || e->file_sequence_number < 0))
        return bug(err, e, "only an added file may leave its sequence number open");
    if ((e->content_offset < 0) != (e->content_size < 0))
        return bug(err, e, "content offset and size go together");
    if (e->content_offset >= 0 &&
        (m->format_version < 3 || m->content == DM_CONTENT_DATA || e->referenced_data_file == NULL))
        return bug(err, e, "a deletion vector needs format version 3, a delete manifest and its data file");
    return DM_OK;
}

/* What the statistics maps hold of a column: whether it stands in the map, and its count. */
static bool always(const struct dm_column_stats *s)
{
    return s != NULL;
}

static bool has_nans(const struct dm_column_stats *s)
{
    return s->is_float;
}

static bool has_bounds(const struct dm_column_stats *s)
{
    return s->has_bounds;
}

static uint64_t count_values(const struct dm_column_stats *s)
{
    return s->values;
}

static uint64_t count_nulls(const struct dm_column_stats *s)
{
    return s->nulls;
}

static uint64_t count_nans(const struct dm_column_stats *s)
{
    return s->nans;
}

/* The branch of an optional map and the number of its pairs. When that is not 0, the caller puts the pairs
 * and a closing 0. */
static size_t begin_map(struct dm_avro_writer *w, const struct dm_manifest_entry *e,
                        bool (*has)(const struct dm_column_stats *))
{
    size_t n = 0;
    for (size_t i = 0; i < e->n_stats; i++)
        n += has(&e->stats[i]);
    dm_avro_put_long(w, n > 0);
    if (n > 0)
        dm_avro_put_long(w, (int64_t)n);
    return n;
}

static void put_counts(struct dm_avro_writer *w, const struct dm_manifest_entry *e,
                       bool (*has)(const struct dm_column_stats *),
                       uint64_t (*count)(const struct dm_column_stats *))
{
    if (begin_map(w, e, has) == 0)
        return;
    for (size_t i = 0; i < e->n_stats; i++) {
        if (!has(&e->stats[i]))
            continue;
        dm_avro_put_long(w, e->stats[i].field_id);
        dm_avro_put_long(w, (int64_t)count(&e->stats[i]));
    }
    dm_avro_put_long(w, 0);
}

static void put_bounds(struct dm_avro_writer *w, const struct dm_manifest_entry *e, bool upper)
{
    if (begin_map(w, e, has_bounds) == 0)
        return;
    for (size_t i = 0; i < e->n_stats; i++) {
        const struct dm_column_stats *s = &e->stats[i];
        if (!s->has_bounds)
            continue;
        dm_avro_put_long(w, s->field_id);
        dm_avro_put_bytes(w, upper ? s->upper : s->lower, upper ? s->upper_len : s->lower_len);
    }
    dm_avro_put_long(w, 0);
}

static void put_data_file(struct dm_avro_writer *w, const struct dm_manifest_entry *e, int format_version,
                          bool by_day)
{
    dm_avro_put_long(w, e->content);
    dm_avro_put_text(w, e->file_path);
    dm_avro_put_text(w, e->file_format);
    /* Without days the partition is a record without fields: no bytes. */
    if (by_day && e->day == DM_NO_DAY) {
        dm_avro_put_null(w);
    } else if (by_day) {
        dm_avro_put_long(w, 1);
        dm_avro_put_long(w, e->day);
    }
    dm_avro_put_long(w, e->record_count);
    dm_avro_put_long(w, e->file_bytes);
    dm_avro_put_null(w); /* column_sizes */
    put_counts(w, e, always, count_values);
    put_counts(w, e, always, count_nulls);
    put_counts(w, e, has_nans, count_nans);
    put_bounds(w, e, false);
    put_bounds(w, e, true);
    dm_avro_put_null(w); /* key_metadata */
    dm_avro_put_null(w); /* split_offsets */
    dm_avro_put_null(w); /* equality_ids */
    dm_avro_put_null(w); /* sort_order_id */
    if (format_version >= 3)
        dm_avro_put_optional_long(w, e->first_row_id);
    dm_avro_put_optional_text(w, e->referenced_data_file);
    if (format_version >= 3) {
        dm_avro_put_optional_long(w, e->content_offset);
        dm_avro_put_optional_long(w, e->content_size);
    }
}

enum dm_status dm_manifest_encode(const struct dm_manifest *m, const char *schema_json, int32_t schema_id,
                                  const struct dm_day_spec *spec, struct dm_buffer *out, struct dm_error *err)
{
    if (m->format_version != 2 && m->format_version != 3)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "manifests are not written in format version %d",
                       m->format_version);
    for (size_t i = 0; i < m->n_entries; i++)
        if (check_entry(m, &m->entries[i], err) != DM_OK)
            return DM_FAIL;
    char id[16];
    (void)snprintf(id, sizeof id, "%" PRId32, schema_id);
    char *fields = dm_day_spec_json(spec);
    char *avro_schema = dm_manifest_schema(m->format_version, spec->avro_name);
    const struct dm_avro_text_property properties[] = {
        {"schema", schema_json},
        {"schema-id", id},
        {"partition-spec", fields},
        {"partition-spec-id", "0"},
        {"format-version", m->format_version == 3 ? "3" : "2"},
        {"content", m->content == DM_CONTENT_DATA ? "data" : "deletes"},
    };
    struct dm_avro_writer w;
    dm_avro_writer_begin(&w, out, avro_schema, properties, sizeof properties / sizeof *properties,
                         m->n_entries >= DEFLATE_FROM_ENTRIES ? DM_AVRO_CODEC_DEFLATE : DM_AVRO_CODEC_NULL,
                         err);
    for (size_t i = 0; i < m->n_entries; i++) {
        const struct dm_manifest_entry *e = &m->entries[i];
        dm_avro_put_long(&w, e->status);
        dm_avro_put_optional_long(&w, e->snapshot_id);
        dm_avro_put_optional_long(&w, e->sequence_number);
        dm_avro_put_optional_long(&w, e->file_sequence_number);
        put_data_file(&w, e, m->format_version, spec->source_id != 0);
        dm_avro_end_record(&w);
    }
    free(fields);
    free(avro_schema);
    return dm_avro_writer_finish(&w);
}
