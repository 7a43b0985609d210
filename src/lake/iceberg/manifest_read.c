/* Walks the writer's schema of each record and picks what we know by field id; everything else is skipped.
 * The five statistics maps come in any order, so their pairs are collected, sorted by column, and merged per
 * entry. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/avro_read.h"
#include "lake/iceberg/manifest.h"
#include "lake/iceberg/manifest_schema.h"

/* Pairs in the statistics of one file; more than any table has columns for. */
#define MAX_PARTS ((size_t)1 << 20)

enum stat_kind { STAT_VALUES, STAT_NULLS, STAT_NANS, STAT_LOWER, STAT_UPPER };

/* One pair of one of the maps. */
struct stat_part {
    int32_t field_id;
    enum stat_kind kind;
    int64_t count;
    const uint8_t *bytes; /* borrowed from the reader */
    size_t length;
};

struct decoder {
    struct dm_avro_reader avro;
    size_t n_parts;
    size_t parts_capacity;
    struct stat_part *parts;
    size_t entries_capacity;
};

void dm_manifest_release(struct dm_manifest *m)
{
    for (size_t i = 0; i < m->n_entries; i++) {
        struct dm_manifest_entry *e = &m->entries[i];
        free(e->file_path);
        free(e->file_format);
        free(e->referenced_data_file);
        free(e->stats);
    }
    free(m->entries);
    *m = (struct dm_manifest){0};
}

/* ---- statistics ---- */

static enum dm_status read_pair(struct decoder *d, const struct dm_avro_type *pair, int32_t key_id,
                                struct stat_part *part, struct dm_error *err)
{
    int64_t key = -1;
    bool value_seen = false;
    for (size_t i = 0; i < pair->n_members; i++) {
        const struct dm_avro_member *f = &pair->members[i];
        enum dm_status status;
        if (f->id == key_id) {
            status = dm_avro_get_long(&d->avro, f->type, -1, &key, err);
        } else if (f->id != key_id + 1) {
            status = dm_avro_skip(&d->avro, f->type, err);
        } else if (part->kind == STAT_LOWER || part->kind == STAT_UPPER) {
            status = dm_avro_get_bytes(&d->avro, f->type, &part->bytes, &part->length, err);
            value_seen = status == DM_OK && part->bytes != NULL;
        } else {
            status = dm_avro_get_long(&d->avro, f->type, -1, &part->count, err);
            value_seen = part->count >= 0;
        }
        if (status != DM_OK)
            return DM_FAIL;
    }
    if (key < 0 || key > INT32_MAX || !value_seen)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a statistic without a column or without a value");
    part->field_id = (int32_t)key;
    return DM_OK;
}

static enum dm_status read_stats_map(struct decoder *d, const struct dm_avro_type *type, int32_t key_id,
                                     enum stat_kind kind, struct dm_error *err)
{
    struct dm_avro_items items;
    if (dm_avro_items_begin(&d->avro, type, &items, err) != DM_OK)
        return DM_FAIL;
    for (;;) {
        enum dm_status status = dm_avro_items_next(&d->avro, &items, err);
        if (status != DM_OK)
            return status == DM_END ? DM_OK : DM_FAIL;
        const struct dm_avro_type *pair = items.item;
        if (pair->kind != DM_AVRO_RECORD)
            return dm_fail(err, DM_ERROR_DATA, NULL, "statistics are a list of %s, not of pairs",
                           dm_avro_kind_name(pair->kind));
        if (d->n_parts == MAX_PARTS)
            return dm_fail(err, DM_ERROR_DATA, NULL, "more than %zu statistics", MAX_PARTS);
        if (d->n_parts == d->parts_capacity) {
            d->parts_capacity = d->parts_capacity == 0 ? 64 : d->parts_capacity * 2;
            d->parts = dm_xrealloc(d->parts, d->parts_capacity, sizeof *d->parts);
        }
        struct stat_part *part = &d->parts[d->n_parts];
        *part = (struct stat_part){.kind = kind};
        if (read_pair(d, pair, key_id, part, err) != DM_OK)
            return DM_FAIL;
        d->n_parts++;
    }
}

static int compare_parts(const void *a, const void *b)
{
    const struct stat_part *x = a;
    const struct stat_part *y = b;
    if (x->field_id != y->field_id)
        return x->field_id < y->field_id ? -1 : 1;
    return (int)x->kind - (int)y->kind;
}

static bool keep_bound(uint8_t *out, uint8_t *out_len, size_t capacity, const struct stat_part *part)
{
    if (part->length > capacity)
        return false;
    if (part->length > 0)
        memcpy(out, part->bytes, part->length);
    *out_len = (uint8_t)part->length;
    return true;
}

/* The parts of one column into *s; false when they do not make a usable statistic. */
static bool merge_column(const struct stat_part *parts, size_t n, struct dm_column_stats *s)
{
    bool values = false, nulls = false, lower = false, upper = false;
    *s = (struct dm_column_stats){.field_id = parts[0].field_id};
    for (size_t i = 0; i < n; i++) {
        switch (parts[i].kind) {
        case STAT_VALUES:
            s->values = (uint64_t)parts[i].count;
            values = true;
            break;
        case STAT_NULLS:
            s->nulls = (uint64_t)parts[i].count;
            nulls = true;
            break;
        case STAT_NANS:
            s->nans = (uint64_t)parts[i].count;
            s->is_float = true;
            break;
        case STAT_LOWER: lower = keep_bound(s->lower, &s->lower_len, sizeof s->lower, &parts[i]); break;
        case STAT_UPPER: upper = keep_bound(s->upper, &s->upper_len, sizeof s->upper, &parts[i]); break;
        }
    }
    s->has_bounds = lower && upper;
    if (!s->has_bounds) {
        memset(s->lower, 0, sizeof s->lower);
        memset(s->upper, 0, sizeof s->upper);
        s->lower_len = s->upper_len = 0;
    }
    return values && nulls;
}

static enum dm_status merge_stats(struct decoder *d, struct dm_manifest_entry *e, struct dm_error *err)
{
    if (d->n_parts == 0)
        return DM_OK;
    qsort(d->parts, d->n_parts, sizeof *d->parts, compare_parts);
    size_t columns = 1;
    for (size_t i = 1; i < d->n_parts; i++) {
        if (compare_parts(&d->parts[i - 1], &d->parts[i]) == 0)
            return dm_fail(err, DM_ERROR_DATA, NULL, "a statistic of column %d stands twice",
                           (int)d->parts[i].field_id);
        columns += d->parts[i - 1].field_id != d->parts[i].field_id;
    }
    e->stats = dm_xzalloc(columns, sizeof *e->stats);
    for (size_t i = 0; i < d->n_parts;) {
        size_t n = 1;
        while (i + n < d->n_parts && d->parts[i + n].field_id == d->parts[i].field_id)
            n++;
        e->n_stats += merge_column(&d->parts[i], n, &e->stats[e->n_stats]);
        i += n;
    }
    return DM_OK;
}

/* ---- fields ---- */

/* Text that may stand only once and holds no NUL. */
static enum dm_status read_text(struct decoder *d, const struct dm_avro_type *type, char **out,
                                struct dm_error *err)
{
    const uint8_t *bytes;
    size_t n;
    if (dm_avro_get_bytes(&d->avro, type, &bytes, &n, err) != DM_OK)
        return DM_FAIL;
    if (bytes == NULL)
        return DM_OK;
    if (*out != NULL || memchr(bytes, 0, n) != NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a text stands twice or holds a NUL");
    *out = dm_xstrndup((const char *)bytes, n);
    return DM_OK;
}

static enum dm_status read_number(struct decoder *d, const struct dm_avro_type *type, int64_t *out,
                                  struct dm_error *err)
{
    if (dm_avro_get_long(&d->avro, type, -1, out, err) != DM_OK)
        return DM_FAIL;
    if (*out < -1)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a count, size or id is negative");
    return DM_OK;
}

static enum dm_status read_content(struct decoder *d, const struct dm_avro_type *type, enum dm_content *out,
                                   struct dm_error *err)
{
    int64_t content;
    if (dm_avro_get_long(&d->avro, type, DM_CONTENT_DATA, &content, err) != DM_OK)
        return DM_FAIL;
    if (content != DM_CONTENT_DATA && content != DM_CONTENT_POSITION_DELETES)
        return dm_fail(err, DM_ERROR_DATA, content == 2 ? "rewrite the table without equality deletes" : NULL,
                       "content kind %lld%s is not supported", (long long)content,
                       content == 2 ? " (equality deletes)" : "");
    *out = (enum dm_content)content;
    return DM_OK;
}

static enum dm_status refuse_encryption(struct decoder *d, const struct dm_avro_type *type,
                                        struct dm_error *err)
{
    const uint8_t *bytes;
    size_t n;
    if (dm_avro_get_bytes(&d->avro, type, &bytes, &n, err) != DM_OK)
        return DM_FAIL;
    return bytes == NULL ? DM_OK : dm_fail(err, DM_ERROR_DATA, NULL, "encrypted files are not supported");
}

/* Only the day is known; other fields of a partition are skipped, also those of other writers that have its id. */
static enum dm_status read_partition(struct decoder *d, const struct dm_avro_type *type, int32_t *day,
                                     struct dm_error *err)
{
    if (dm_avro_resolve(&d->avro, &type, err) != DM_OK)
        return DM_FAIL;
    if (type->kind != DM_AVRO_RECORD)
        return dm_fail(err, DM_ERROR_DATA, NULL, "is of type %s", dm_avro_kind_name(type->kind));
    for (size_t i = 0; i < type->n_members; i++) {
        const struct dm_avro_member *f = &type->members[i];
        const struct dm_avro_type *kind = f->type;
        int64_t value = DM_NO_DAY;
        enum dm_status status = dm_avro_resolve(&d->avro, &kind, err);
        bool is_day = f->id == DM_DAY_FIELD_ID && (kind->kind == DM_AVRO_INT || kind->kind == DM_AVRO_NULL);
        if (status == DM_OK)
            status = is_day ? dm_avro_get_long(&d->avro, kind, DM_NO_DAY, &value, err)
                            : dm_avro_skip(&d->avro, kind, err);
        if (status == DM_OK && (value < INT32_MIN || value > INT32_MAX))
            status = dm_fail(err, DM_ERROR_DATA, NULL, "day %lld is out of range", (long long)value);
        if (status != DM_OK)
            return status;
        if (is_day)
            *day = (int32_t)value;
    }
    return DM_OK;
}

static enum dm_status read_data_file_field(struct decoder *d, const struct dm_avro_member *f,
                                           struct dm_manifest_entry *e, struct dm_error *err)
{
    switch (f->id) {
    case DM_FIELD_CONTENT: return read_content(d, f->type, &e->content, err);
    case DM_FIELD_FILE_PATH: return read_text(d, f->type, &e->file_path, err);
    case DM_FIELD_FILE_FORMAT: return read_text(d, f->type, &e->file_format, err);
    case DM_FIELD_PARTITION: return read_partition(d, f->type, &e->day, err);
    case DM_FIELD_RECORD_COUNT: return read_number(d, f->type, &e->record_count, err);
    case DM_FIELD_FILE_SIZE: return read_number(d, f->type, &e->file_bytes, err);
    case DM_FIELD_FIRST_ROW_ID: return read_number(d, f->type, &e->first_row_id, err);
    case DM_FIELD_REFERENCED_DATA_FILE: return read_text(d, f->type, &e->referenced_data_file, err);
    case DM_FIELD_CONTENT_OFFSET: return read_number(d, f->type, &e->content_offset, err);
    case DM_FIELD_CONTENT_SIZE: return read_number(d, f->type, &e->content_size, err);
    case DM_FIELD_VALUE_COUNTS:
        return read_stats_map(d, f->type, DM_FIELD_VALUE_COUNTS_KEY, STAT_VALUES, err);
    case DM_FIELD_NULL_COUNTS: return read_stats_map(d, f->type, DM_FIELD_NULL_COUNTS_KEY, STAT_NULLS, err);
    case DM_FIELD_NAN_COUNTS: return read_stats_map(d, f->type, DM_FIELD_NAN_COUNTS_KEY, STAT_NANS, err);
    case DM_FIELD_LOWER_BOUNDS: return read_stats_map(d, f->type, DM_FIELD_LOWER_BOUNDS_KEY, STAT_LOWER, err);
    case DM_FIELD_UPPER_BOUNDS: return read_stats_map(d, f->type, DM_FIELD_UPPER_BOUNDS_KEY, STAT_UPPER, err);
    case DM_FIELD_KEY_METADATA: return refuse_encryption(d, f->type, err);
    default: return dm_avro_skip(&d->avro, f->type, err);
    }
}

static enum dm_status read_data_file(struct decoder *d, const struct dm_avro_type *type,
                                     struct dm_manifest_entry *e, struct dm_error *err)
{
    if (dm_avro_resolve(&d->avro, &type, err) != DM_OK)
        return DM_FAIL;
    if (type->kind != DM_AVRO_RECORD)
        return dm_fail(err, DM_ERROR_DATA, NULL, "data_file is of type %s", dm_avro_kind_name(type->kind));
    d->n_parts = 0;
    for (size_t i = 0; i < type->n_members; i++)
        if (read_data_file_field(d, &type->members[i], e, err) != DM_OK) {
            dm_error_prefix(err, "%.100s", type->members[i].name);
            return DM_FAIL;
        }
    if (e->stats != NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "data_file stands twice");
    return merge_stats(d, e, err);
}

static enum dm_status read_status(struct decoder *d, const struct dm_avro_type *type, int64_t *status,
                                  struct dm_error *err)
{
    if (dm_avro_get_long(&d->avro, type, -1, status, err) != DM_OK)
        return DM_FAIL;
    if (*status < DM_ENTRY_EXISTING || *status > DM_ENTRY_DELETED)
        return dm_fail(err, DM_ERROR_DATA, NULL, "status %lld is unknown", (long long)*status);
    return DM_OK;
}

static enum dm_status read_entry(struct decoder *d, const struct dm_manifest *m, struct dm_manifest_entry *e,
                                 struct dm_error *err)
{
    const struct dm_avro_type *root = dm_avro_root(&d->avro);
    /* Version 1 has no sequence numbers; they count as 0 there. */
    int64_t no_sequence = m->format_version == 1 ? 0 : -1;
    int64_t status = -1;
    *e = (struct dm_manifest_entry){.snapshot_id = -1,
                                    .sequence_number = no_sequence,
                                    .file_sequence_number = no_sequence,
                                    .record_count = -1,
                                    .day = DM_NO_DAY,
                                    .file_bytes = -1,
                                    .first_row_id = -1,
                                    .content_offset = -1,
                                    .content_size = -1};
    for (size_t i = 0; i < root->n_members; i++) {
        const struct dm_avro_member *f = &root->members[i];
        enum dm_status done;
        switch (f->id) {
        case DM_FIELD_STATUS: done = read_status(d, f->type, &status, err); break;
        case DM_FIELD_SNAPSHOT_ID: done = read_number(d, f->type, &e->snapshot_id, err); break;
        case DM_FIELD_SEQUENCE_NUMBER: done = read_number(d, f->type, &e->sequence_number, err); break;
        case DM_FIELD_FILE_SEQUENCE_NUMBER:
            done = read_number(d, f->type, &e->file_sequence_number, err);
            break;
        case DM_FIELD_DATA_FILE: done = read_data_file(d, f->type, e, err); break;
        default: done = dm_avro_skip(&d->avro, f->type, err); break;
        }
        if (done != DM_OK) {
            dm_error_prefix(err, "%.100s", f->name);
            return DM_FAIL;
        }
    }
    if (status < 0 || e->file_path == NULL || e->file_format == NULL || e->record_count < 0 ||
        e->file_bytes < 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "status, path, format, record count or size is missing");
    if (e->content != m->content)
        return dm_fail(err, DM_ERROR_DATA, NULL, "the kind of content differs from the manifest's");
    if ((e->content_offset < 0) != (e->content_size < 0))
        return dm_fail(err, DM_ERROR_DATA, NULL, "only one of content offset and size is there");
    e->status = (enum dm_entry_status)status;
    return DM_OK;
}

/* ---- file ---- */

static enum dm_status read_properties(struct decoder *d, struct dm_manifest *m, struct dm_error *err)
{
    const uint8_t *value;
    size_t n;
    m->format_version = 1; /* version 1 need not say so */
    if (dm_avro_property(&d->avro, "format-version", &value, &n)) {
        if (n != 1 || value[0] < '1' || value[0] > '3')
            return dm_fail(err, DM_ERROR_DATA, NULL, "format version \"%.*s\" is not supported",
                           (int)(n > 20 ? 20 : n), (const char *)value);
        m->format_version = value[0] - '0';
    }
    if (dm_avro_property(&d->avro, "content", &value, &n)) {
        if (n == 7 && memcmp(value, "deletes", 7) == 0)
            m->content = DM_CONTENT_POSITION_DELETES;
        else if (n != 4 || memcmp(value, "data", 4) != 0)
            return dm_fail(err, DM_ERROR_DATA, NULL, "content \"%.*s\" is unknown", (int)(n > 20 ? 20 : n),
                           (const char *)value);
    }
    return DM_OK;
}

static enum dm_status read_entries(struct decoder *d, struct dm_manifest *m, struct dm_error *err)
{
    if (read_properties(d, m, err) != DM_OK)
        return DM_FAIL;
    for (;;) {
        enum dm_status status = dm_avro_next(&d->avro, err);
        if (status != DM_OK)
            return status == DM_END ? DM_OK : DM_FAIL;
        if (m->n_entries == d->entries_capacity) {
            d->entries_capacity = d->entries_capacity == 0 ? 16 : d->entries_capacity * 2;
            m->entries = dm_xrealloc(m->entries, d->entries_capacity, sizeof *m->entries);
        }
        struct dm_manifest_entry *e =
            &m->entries[m->n_entries++]; /* counted first, so that release sees it */
        if (read_entry(d, m, e, err) != DM_OK) {
            dm_error_prefix(err, "entry %zu", m->n_entries - 1);
            return DM_FAIL;
        }
    }
}

enum dm_status dm_manifest_decode(const uint8_t *bytes, size_t n, struct dm_manifest *out,
                                  struct dm_error *err)
{
    struct decoder d = {0};
    *out = (struct dm_manifest){0};
    enum dm_status status = dm_avro_open(&d.avro, bytes, n, err);
    if (status == DM_OK) {
        status = read_entries(&d, out, err);
        dm_avro_close(&d.avro);
    }
    free(d.parts);
    if (status != DM_OK) {
        dm_manifest_release(out);
        dm_error_prefix(err, "manifest");
    }
    return status;
}
