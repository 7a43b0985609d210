/* Values are put in the order of the fields in manifest_schema.c; reading goes by field id. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/avro_read.h"
#include "format/avro_write.h"
#include "lake/iceberg/manifest.h"
#include "lake/iceberg/manifest_schema.h"

#define DEFLATE_FROM_FILES 16

void dm_manifest_list_release(struct dm_manifest_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->files[i].path);
    free(l->files);
    *l = (struct dm_manifest_list){0};
}

/* ---- encode ---- */

static enum dm_status check_file(const struct dm_manifest_file *f, int format_version, struct dm_error *err)
{
    const char *what = NULL;
    if (f->path == NULL)
        what = "it needs a path";
    else if (f->length < 0 || f->sequence_number < 0 || f->min_sequence_number < 0 ||
             f->added_snapshot_id < 0)
        what = "its length, sequence numbers and snapshot must be known";
    else if (f->added_files < 0 || f->existing_files < 0 || f->deleted_files < 0 || f->added_rows < 0 ||
             f->existing_rows < 0 || f->deleted_rows < 0)
        what = "its counts may not be negative";
    else if (format_version >= 3 && f->content != DM_CONTENT_DATA && f->first_row_id >= 0)
        what = "a delete manifest has no first row id";
    if (what == NULL)
        return DM_OK;
    return dm_fail(err, DM_ERROR_FATAL, NULL, "manifest list, \"%.300s\": %s", f->path ? f->path : "(none)",
                   what);
}

void dm_day_range_add(struct dm_day_range *r, int32_t day)
{
    if (day == DM_NO_DAY) {
        r->has_none = true;
        return;
    }
    if (r->first == DM_NO_DAY || day < r->first)
        r->first = day;
    if (r->last == DM_NO_DAY || day > r->last)
        r->last = day;
}

static void put_day(struct dm_avro_writer *w, int32_t day)
{
    const uint32_t v = (uint32_t)day;
    const uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    if (day == DM_NO_DAY) {
        dm_avro_put_null(w);
        return;
    }
    dm_avro_put_long(w, 1);
    dm_avro_put_bytes(w, bytes, sizeof bytes);
}

/* A list of one summary for each partition field. */
static void put_days(struct dm_avro_writer *w, const struct dm_day_range *r)
{
    dm_avro_put_long(w, 1); /* the list is there */
    if (r->by_day) {
        dm_avro_put_long(w, 1); /* one item */
        dm_avro_put_bool(w, r->has_none);
        dm_avro_put_null(w); /* contains_nan */
        put_day(w, r->first);
        put_day(w, r->last);
    }
    dm_avro_put_long(w, 0); /* its end */
}

static void put_file(struct dm_avro_writer *w, const struct dm_manifest_file *f, int format_version)
{
    dm_avro_put_text(w, f->path);
    dm_avro_put_long(w, f->length);
    dm_avro_put_long(w, 0); /* partition_spec_id */
    dm_avro_put_long(w, f->content);
    dm_avro_put_long(w, f->sequence_number);
    dm_avro_put_long(w, f->min_sequence_number);
    dm_avro_put_long(w, f->added_snapshot_id);
    dm_avro_put_long(w, f->added_files);
    dm_avro_put_long(w, f->existing_files);
    dm_avro_put_long(w, f->deleted_files);
    dm_avro_put_long(w, f->added_rows);
    dm_avro_put_long(w, f->existing_rows);
    dm_avro_put_long(w, f->deleted_rows);
    put_days(w, &f->days);
    dm_avro_put_null(w); /* key_metadata */
    if (format_version >= 3)
        dm_avro_put_optional_long(w, f->first_row_id);
    dm_avro_end_record(w);
}

enum dm_status dm_manifest_list_encode(const struct dm_manifest_list *l, int format_version,
                                       int64_t snapshot_id, int64_t parent_snapshot_id,
                                       int64_t sequence_number, int64_t first_row_id, struct dm_buffer *out,
                                       struct dm_error *err)
{
    if (format_version != 2 && format_version != 3)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "manifest lists are not written in format version %d",
                       format_version);
    for (size_t i = 0; i < l->n; i++)
        if (check_file(&l->files[i], format_version, err) != DM_OK)
            return DM_FAIL;
    char snapshot[24];
    char parent[24] = "null";
    char sequence[24];
    char first_row[24];
    (void)snprintf(snapshot, sizeof snapshot, "%" PRId64, snapshot_id);
    if (parent_snapshot_id > 0)
        (void)snprintf(parent, sizeof parent, "%" PRId64, parent_snapshot_id);
    (void)snprintf(sequence, sizeof sequence, "%" PRId64, sequence_number);
    (void)snprintf(first_row, sizeof first_row, "%" PRId64, first_row_id);
    const struct dm_avro_text_property properties[] = {
        {"format-version", format_version == 3 ? "3" : "2"},
        {"snapshot-id", snapshot},
        {"parent-snapshot-id", parent},
        {"sequence-number", sequence},
        {"first-row-id", first_row}, /* version 3 only: last */
    };
    struct dm_avro_writer w;
    dm_avro_writer_begin(&w, out, dm_manifest_list_schema(format_version), properties,
                         sizeof properties / sizeof *properties - (format_version == 3 ? 0 : 1),
                         l->n >= DEFLATE_FROM_FILES ? DM_AVRO_CODEC_DEFLATE : DM_AVRO_CODEC_NULL, err);
    for (size_t i = 0; i < l->n; i++)
        put_file(&w, &l->files[i], format_version);
    return dm_avro_writer_finish(&w);
}

/* ---- decode ---- */

static enum dm_status read_number(struct dm_avro_reader *r, const struct dm_avro_member *f, int64_t *out,
                                  struct dm_error *err)
{
    if (dm_avro_get_long(r, f->type, -1, out, err) != DM_OK)
        return DM_FAIL;
    if (*out < -1)
        return dm_fail(err, DM_ERROR_DATA, NULL, "%.100s is negative", f->name);
    return DM_OK;
}

static enum dm_status read_count(struct dm_avro_reader *r, const struct dm_avro_member *f, int32_t *out,
                                 struct dm_error *err)
{
    int64_t count;
    if (read_number(r, f, &count, err) != DM_OK)
        return DM_FAIL;
    if (count > INT32_MAX)
        return dm_fail(err, DM_ERROR_DATA, NULL, "%.100s is too large", f->name);
    *out = (int32_t)count;
    return DM_OK;
}

static enum dm_status read_content(struct dm_avro_reader *r, const struct dm_avro_member *f,
                                   enum dm_content *out, struct dm_error *err)
{
    int64_t content;
    if (dm_avro_get_long(r, f->type, DM_CONTENT_DATA, &content, err) != DM_OK)
        return DM_FAIL;
    if (content != DM_CONTENT_DATA && content != DM_CONTENT_POSITION_DELETES)
        return dm_fail(err, DM_ERROR_DATA, NULL, "content %lld is unknown", (long long)content);
    *out = (enum dm_content)content;
    return DM_OK;
}

static enum dm_status read_path(struct dm_avro_reader *r, const struct dm_avro_member *f, char **out,
                                struct dm_error *err)
{
    const uint8_t *bytes;
    size_t n;
    if (dm_avro_get_bytes(r, f->type, &bytes, &n, err) != DM_OK)
        return DM_FAIL;
    if (bytes == NULL || *out != NULL || memchr(bytes, 0, n) != NULL)
        return dm_fail(err, DM_ERROR_DATA, NULL, "%.100s is null, stands twice or holds a NUL", f->name);
    *out = dm_xstrndup((const char *)bytes, n);
    return DM_OK;
}

static enum dm_status refuse_encryption(struct dm_avro_reader *r, const struct dm_avro_member *f,
                                        struct dm_error *err)
{
    const uint8_t *bytes;
    size_t n;
    if (dm_avro_get_bytes(r, f->type, &bytes, &n, err) != DM_OK)
        return DM_FAIL;
    return bytes == NULL ? DM_OK : dm_fail(err, DM_ERROR_DATA, NULL, "encrypted manifests are not supported");
}

static enum dm_status read_day(struct dm_avro_reader *r, const struct dm_avro_member *f, int32_t *day,
                               struct dm_error *err)
{
    const uint8_t *b;
    size_t n;
    if (dm_avro_get_bytes(r, f->type, &b, &n, err) != DM_OK)
        return DM_FAIL;
    if (b != NULL && n == 4)
        *day = (int32_t)((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24);
    return DM_OK;
}

static enum dm_status read_summary(struct dm_avro_reader *r, const struct dm_avro_type *type,
                                   struct dm_day_range *out, struct dm_error *err)
{
    if (dm_avro_resolve(r, &type, err) != DM_OK)
        return DM_FAIL;
    if (type->kind != DM_AVRO_RECORD)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a partition summary is of type %s",
                       dm_avro_kind_name(type->kind));
    *out = (struct dm_day_range){.by_day = true, .first = DM_NO_DAY, .last = DM_NO_DAY};
    for (size_t i = 0; i < type->n_members; i++) {
        const struct dm_avro_member *f = &type->members[i];
        enum dm_status status = DM_OK;
        switch (f->id) {
        case DM_LIST_CONTAINS_NULL: status = dm_avro_get_bool(r, f->type, &out->has_none, err); break;
        case DM_LIST_LOWER_BOUND: status = read_day(r, f, &out->first, err); break;
        case DM_LIST_UPPER_BOUND: status = read_day(r, f, &out->last, err); break;
        default: status = dm_avro_skip(r, f->type, err); break;
        }
        if (status != DM_OK)
            return status;
    }
    return DM_OK;
}

/* Only the first field's summary: there are no more in our own tables. */
static enum dm_status read_summaries(struct dm_avro_reader *r, const struct dm_avro_member *f,
                                     struct dm_day_range *out, struct dm_error *err)
{
    struct dm_avro_items items;
    if (dm_avro_items_begin(r, f->type, &items, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0;; i++) {
        struct dm_day_range other;
        enum dm_status status = dm_avro_items_next(r, &items, err);
        if (status != DM_OK)
            return status == DM_END ? DM_OK : DM_FAIL;
        if (read_summary(r, items.item, i == 0 ? out : &other, err) != DM_OK)
            return DM_FAIL;
    }
}

static enum dm_status read_field(struct dm_avro_reader *r, const struct dm_avro_member *f,
                                 struct dm_manifest_file *out, struct dm_error *err)
{
    switch (f->id) {
    case DM_LIST_PATH: return read_path(r, f, &out->path, err);
    case DM_LIST_LENGTH: return read_number(r, f, &out->length, err);
    case DM_LIST_CONTENT: return read_content(r, f, &out->content, err);
    case DM_LIST_SEQUENCE_NUMBER: return read_number(r, f, &out->sequence_number, err);
    case DM_LIST_MIN_SEQUENCE_NUMBER: return read_number(r, f, &out->min_sequence_number, err);
    case DM_LIST_ADDED_SNAPSHOT: return read_number(r, f, &out->added_snapshot_id, err);
    case DM_LIST_ADDED_FILES: return read_count(r, f, &out->added_files, err);
    case DM_LIST_EXISTING_FILES: return read_count(r, f, &out->existing_files, err);
    case DM_LIST_DELETED_FILES: return read_count(r, f, &out->deleted_files, err);
    case DM_LIST_ADDED_ROWS: return read_number(r, f, &out->added_rows, err);
    case DM_LIST_EXISTING_ROWS: return read_number(r, f, &out->existing_rows, err);
    case DM_LIST_DELETED_ROWS: return read_number(r, f, &out->deleted_rows, err);
    case DM_LIST_PARTITIONS: return read_summaries(r, f, &out->days, err);
    case DM_LIST_FIRST_ROW_ID: return read_number(r, f, &out->first_row_id, err);
    case DM_LIST_KEY_METADATA: return refuse_encryption(r, f, err);
    default: return dm_avro_skip(r, f->type, err);
    }
}

static enum dm_status read_file(struct dm_avro_reader *r, struct dm_manifest_file *out, struct dm_error *err)
{
    const struct dm_avro_type *root = dm_avro_root(r);
    /* Version 1 has no content and no sequence numbers: they count as data and 0. What is required starts at
     * -1. */
    *out = (struct dm_manifest_file){.length = -1,
                                     .added_snapshot_id = -1,
                                     .added_files = -1,
                                     .existing_files = -1,
                                     .deleted_files = -1,
                                     .added_rows = -1,
                                     .existing_rows = -1,
                                     .deleted_rows = -1,
                                     .first_row_id = -1};
    for (size_t i = 0; i < root->n_members; i++)
        if (read_field(r, &root->members[i], out, err) != DM_OK)
            return DM_FAIL;
    if (out->path == NULL || out->length < 0 || out->added_snapshot_id < 0 || out->sequence_number < 0 ||
        out->min_sequence_number < 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "path, length, snapshot or sequence number is missing");
    if (out->added_files < 0 || out->existing_files < 0 || out->deleted_files < 0 || out->added_rows < 0 ||
        out->existing_rows < 0 || out->deleted_rows < 0)
        return dm_fail(err, DM_ERROR_DATA, NULL, "a count of files or rows is missing");
    return DM_OK;
}

static enum dm_status read_files(struct dm_avro_reader *r, struct dm_manifest_list *l, struct dm_error *err)
{
    size_t capacity = 0;
    for (;;) {
        enum dm_status status = dm_avro_next(r, err);
        if (status != DM_OK)
            return status == DM_END ? DM_OK : DM_FAIL;
        if (l->n == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            l->files = dm_xrealloc(l->files, capacity, sizeof *l->files);
        }
        struct dm_manifest_file *f = &l->files[l->n++]; /* counted first, so that release sees it */
        if (read_file(r, f, err) != DM_OK) {
            dm_error_prefix(err, "manifest %zu", l->n - 1);
            return DM_FAIL;
        }
    }
}

enum dm_status dm_manifest_list_decode(const uint8_t *bytes, size_t n, struct dm_manifest_list *out,
                                       struct dm_error *err)
{
    struct dm_avro_reader r;
    *out = (struct dm_manifest_list){0};
    enum dm_status status = dm_avro_open(&r, bytes, n, err);
    if (status == DM_OK) {
        status = read_files(&r, out, err);
        dm_avro_close(&r);
    }
    if (status != DM_OK) {
        dm_manifest_list_release(out);
        dm_error_prefix(err, "manifest list");
    }
    return status;
}
