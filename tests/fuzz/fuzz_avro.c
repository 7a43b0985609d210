/* Any bytes as a manifest and as a manifest list. What decodes must encode again and come back the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lake/iceberg/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth)
{
    if (!truth)
        abort();
}

static int same_text(const char *a, const char *b)
{
    return a == NULL ? b == NULL : b != NULL && strcmp(a, b) == 0;
}

static int same_stats(const struct dm_column_stats *a, const struct dm_column_stats *b)
{
    return a->field_id == b->field_id && a->values == b->values && a->nulls == b->nulls &&
           a->nans == b->nans && a->is_float == b->is_float && a->has_bounds == b->has_bounds &&
           a->lower_len == b->lower_len && a->upper_len == b->upper_len &&
           memcmp(a->lower, b->lower, sizeof a->lower) == 0 &&
           memcmp(a->upper, b->upper, sizeof a->upper) == 0;
}

static void check_same(const struct dm_manifest *a, const struct dm_manifest *b)
{
    expect(a->n_entries == b->n_entries && a->content == b->content);
    for (size_t i = 0; i < a->n_entries; i++) {
        const struct dm_manifest_entry *x = &a->entries[i];
        const struct dm_manifest_entry *y = &b->entries[i];
        expect(x->status == y->status && x->snapshot_id == y->snapshot_id &&
               x->sequence_number == y->sequence_number &&
               x->file_sequence_number == y->file_sequence_number && x->content == y->content &&
               x->record_count == y->record_count && x->day == y->day && x->file_bytes == y->file_bytes &&
               x->first_row_id == y->first_row_id && x->content_offset == y->content_offset &&
               x->content_size == y->content_size && same_text(x->file_path, y->file_path) &&
               same_text(x->file_format, y->file_format) &&
               same_text(x->referenced_data_file, y->referenced_data_file));
        expect(x->n_stats == y->n_stats);
        for (size_t k = 0; k < x->n_stats; k++)
            expect(same_stats(&x->stats[k], &y->stats[k]));
    }
}

static void manifest(const uint8_t *data, size_t size)
{
    struct dm_error err = {0};
    struct dm_manifest m;
    struct dm_manifest back;
    if (dm_manifest_decode(data, size, &m, &err) != DM_OK) {
        expect(err.class == DM_ERROR_DATA && err.message[0] != '\0' && m.entries == NULL);
        return;
    }
    struct dm_buffer out;
    dm_buffer_init(&out, 256 << 20);
    m.format_version = 3;
    /* Encoding may refuse what no writer should have written, such as an existing file without a sequence
     * number. */
    const struct dm_day_spec by_day = {
        .source_id = 2, .name = (char[]){"at_day"}, .avro_name = (char[]){"at_day"}};
    if (dm_manifest_encode(&m, "{}", 0, &by_day, &out, &err) == DM_OK) {
        expect(dm_manifest_decode(out.data, out.len, &back, &err) == DM_OK);
        check_same(&m, &back);
        dm_manifest_release(&back);
    } else {
        expect(err.class == DM_ERROR_FATAL && out.len == 0);
    }
    dm_buffer_release(&out);
    dm_manifest_release(&m);
}

static bool same_days(const struct dm_day_range *a, const struct dm_day_range *b)
{
    if (!a->by_day)
        return !b->by_day;
    return b->by_day && a->has_none == b->has_none && a->first == b->first && a->last == b->last;
}

static void list(const uint8_t *data, size_t size)
{
    struct dm_error err = {0};
    struct dm_manifest_list l;
    struct dm_manifest_list back;
    if (dm_manifest_list_decode(data, size, &l, &err) != DM_OK) {
        expect(err.class == DM_ERROR_DATA && err.message[0] != '\0' && l.files == NULL);
        return;
    }
    struct dm_buffer out;
    dm_buffer_init(&out, 256 << 20);
    if (dm_manifest_list_encode(&l, 3, 1, 0, 1, 0, &out, &err) == DM_OK) {
        expect(dm_manifest_list_decode(out.data, out.len, &back, &err) == DM_OK);
        expect(back.n == l.n);
        for (size_t i = 0; i < l.n; i++)
            expect(same_text(l.files[i].path, back.files[i].path) &&
                   l.files[i].length == back.files[i].length &&
                   l.files[i].first_row_id == back.files[i].first_row_id &&
                   l.files[i].deleted_rows == back.files[i].deleted_rows &&
                   same_days(&l.files[i].days, &back.files[i].days));
        dm_manifest_list_release(&back);
    } else {
        expect(err.class == DM_ERROR_FATAL && out.len == 0);
    }
    dm_buffer_release(&out);
    dm_manifest_list_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    manifest(data, size);
    list(data, size);
    return 0;
}
