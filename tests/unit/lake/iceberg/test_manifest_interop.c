/* Without arguments: what `write` makes must come back as it was. With arguments, a tool for
 * tests/e2e/test_format_interop.py: write FOLDER            manifests, manifest lists and a puffin file with
 * fixed contents manifest FILE           what we decode, as JSON list FILE vector FILE OFF LEN     the
 * positions of a deletion vector, as JSON puffin FILE             checks it, prints the number of blobs */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/puffin.h"
#include "lake/iceberg/manifest.h"

#define SCHEMA \
    "{\"type\":\"struct\",\"schema-id\":3,\"fields\":[{\"id\":1,\"name\":\"id\",\"required\":true,\"type\":" \
    "\"long\"}," \
    "{\"id\":2,\"name\":\"x\",\"required\":false,\"type\":\"double\"}]}"

static struct dm_error err;

static void ok(enum dm_status status)
{
    if (status == DM_OK)
        return;
    fprintf(stderr, "%s\n", err.message);
    abort();
}

static struct dm_manifest_entry *entries(size_t n, enum dm_content content, int version)
{
    struct dm_manifest_entry *all = dm_xzalloc(n, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        struct dm_manifest_entry *e = &all[i];
        bool vector = content == DM_CONTENT_POSITION_DELETES && version == 3;
        *e = (struct dm_manifest_entry){
            .status = (enum dm_entry_status)(i % 3),
            .snapshot_id = i % 3 == 1 ? -1 : 7000000000000000000 + (int64_t)i,
            .sequence_number = i % 3 == 1 ? -1 : (int64_t)i,
            .file_sequence_number = i % 3 == 1 ? -1 : (int64_t)i + 1,
            .content = content,
            .file_path = dm_xasprintf("/lake/shop/\xc3\xa4/data/%08zu.%s", i, vector ? "puffin" : "parquet"),
            .file_format = dm_xstrdup(vector ? "PUFFIN" : "PARQUET"),
            .record_count = (int64_t)i * 100 + 1,
            .file_bytes = (int64_t)i * 4096 + 5,
            .first_row_id = version == 3 && content == DM_CONTENT_DATA && i % 2 == 0 ? (int64_t)i * 1000 : -1,
            .referenced_data_file = content == DM_CONTENT_POSITION_DELETES
                                        ? dm_xasprintf("/lake/shop/data/%08zu.parquet", i)
                                        : NULL,
            .content_offset = vector ? (int64_t)i * 50 + 4 : -1,
            .content_size = vector ? 50 : -1,
        };
        if (content == DM_CONTENT_POSITION_DELETES || i == 2)
            continue;
        e->n_stats = 2;
        e->stats = dm_xzalloc(2, sizeof *e->stats);
        e->stats[0] = (struct dm_column_stats){.field_id = 1,
                                               .values = i * 100 + 1,
                                               .has_bounds = true,
                                               .lower = {1, 0, 0, 0, 0, 0, 0, 0},
                                               .lower_len = 8,
                                               .upper = {0xff, 0, 0, 0, 0, 0, 0, 0},
                                               .upper_len = 8};
        e->stats[1] = (struct dm_column_stats){
            .field_id = 2, .values = i * 100 + 1, .nulls = i, .nans = 1, .is_float = true};
    }
    return all;
}

static struct dm_manifest make_manifest(size_t n, enum dm_content content, int version)
{
    return (struct dm_manifest){.format_version = version,
                                .content = content,
                                .n_entries = n,
                                .entries = entries(n, content, version)};
}

static struct dm_manifest_list make_list(size_t n, int version)
{
    struct dm_manifest_list l = {.n = n, .files = dm_xzalloc(n, sizeof *l.files)};
    for (size_t i = 0; i < n; i++)
        l.files[i] =
            (struct dm_manifest_file){.path = dm_xasprintf("/lake/shop/metadata/m%zu.avro", i),
                                      .length = 1000 + (int64_t)i,
                                      .content = i % 2 == 0 ? DM_CONTENT_DATA : DM_CONTENT_POSITION_DELETES,
                                      .sequence_number = 9 + (int64_t)i,
                                      .min_sequence_number = 5,
                                      .added_snapshot_id = 7000000000000000000 + (int64_t)i,
                                      .added_files = 1,
                                      .existing_files = 2,
                                      .deleted_files = 3,
                                      .added_rows = 10000000000,
                                      .existing_rows = 20,
                                      .deleted_rows = 30,
                                      .first_row_id = version == 3 && i % 2 == 0 ? (int64_t)i * 500 : -1};
    return l;
}

#define N_VECTORS 3
static roaring_bitmap_t *make_bitmap(size_t which)
{
    roaring_bitmap_t *b = roaring_bitmap_create();
    if (which == 0) /* arrays at both ends of the range */
        roaring_bitmap_add_many(b, 3, (const uint32_t[]){0, 65536 * 7 + 3, UINT32_MAX});
    if (which == 1) { /* runs, enough containers to have offsets, and arrays beside them */
        roaring_bitmap_add_range(b, 100, 500000);
        roaring_bitmap_add(b, 1000000);
        roaring_bitmap_run_optimize(b);
    }
    for (uint32_t i = 0; which == 2 && i < 200000; i += 3) /* bitsets */
        roaring_bitmap_add(b, i);
    return b;
}

static void make_puffin(struct dm_buffer *out, struct dm_puffin_vector *vectors)
{
    static const char *const files[N_VECTORS] = {"/lake/\xc3\xa4/few \"quoted\".parquet",
                                                 "/lake/runs.parquet", "/lake/dense.parquet"};
    for (size_t i = 0; i < N_VECTORS; i++)
        vectors[i] = (struct dm_puffin_vector){.data_file = files[i], .deleted = make_bitmap(i)};
    ok(dm_puffin_encode(vectors, N_VECTORS, "Data Mirror test", out, &err));
}

/* The last reference to the bitmaps is ours although the struct only borrows them. */
static void free_vectors(struct dm_puffin_vector *vectors)
{
    for (size_t i = 0; i < N_VECTORS; i++) {
        union {
            const roaring_bitmap_t *borrowed;
            roaring_bitmap_t *ours;
        } bitmap = {.borrowed = vectors[i].deleted};
        roaring_bitmap_free(bitmap.ours);
    }
}

/* ---- tool ---- */

static void write_file(const char *folder, const char *name, const struct dm_buffer *b)
{
    char *path = dm_xasprintf("%s/%s", folder, name);
    ok(dm_file_write(path, b->data, b->len, &err));
    free(path);
}

static void write_all(const char *folder)
{
    struct dm_buffer b;
    dm_buffer_init(&b, 64 << 20);
    for (int version = 2; version <= 3; version++) {
        for (int deletes = 0; deletes <= 1; deletes++) {
            for (size_t n = 5; n <= 5000; n *= 1000) { /* few: stored; many: compressed, several blocks */
                struct dm_manifest m = make_manifest(n, (enum dm_content)deletes, version);
                char *name = dm_xasprintf("m-v%d-%s-%zu.avro", version, deletes ? "deletes" : "data", n);
                dm_buffer_clear(&b);
                ok(dm_manifest_encode(&m, SCHEMA, 3, &(struct dm_day_spec){0}, &b, &err));
                write_file(folder, name, &b);
                free(name);
                dm_manifest_release(&m);
            }
        }
        for (size_t n = 4; n <= 400; n *= 100) {
            struct dm_manifest_list l = make_list(n, version);
            char *name = dm_xasprintf("l-v%d-%zu.avro", version, n);
            dm_buffer_clear(&b);
            ok(dm_manifest_list_encode(&l, version, 7000000000000000009,
                                       version == 3 ? 7000000000000000008 : 0, 9, 77, &b, &err));
            write_file(folder, name, &b);
            free(name);
            dm_manifest_list_release(&l);
        }
    }
    struct dm_puffin_vector vectors[N_VECTORS];
    dm_buffer_clear(&b);
    make_puffin(&b, vectors);
    write_file(folder, "dv.puffin", &b);
    free_vectors(vectors);
    dm_buffer_release(&b);
}

static json_t *hex(const uint8_t *bytes, size_t n)
{
    char text[2 * UINT8_MAX + 1] = ""; /* lengths of bounds are 8 bits */
    for (size_t i = 0; i < n; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return json_string(text);
}

static void print_json(json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);
    puts(text);
    free(text);
    json_decref(root);
}

static void print_manifest(const struct dm_buffer *b)
{
    struct dm_manifest m;
    ok(dm_manifest_decode(b->data, b->len, &m, &err));
    json_t *list = json_array();
    for (size_t i = 0; i < m.n_entries; i++) {
        const struct dm_manifest_entry *e = &m.entries[i];
        json_t *stats = json_array();
        for (size_t k = 0; k < e->n_stats; k++) {
            const struct dm_column_stats *s = &e->stats[k];
            json_array_append_new(stats, json_pack("[i,I,I,I,b,b,o,o]", (int)s->field_id,
                                                   (json_int_t)s->values, (json_int_t)s->nulls,
                                                   (json_int_t)s->nans, (int)s->is_float, (int)s->has_bounds,
                                                   hex(s->lower, s->lower_len), hex(s->upper, s->upper_len)));
        }
        json_array_append_new(
            list, json_pack("{s:i,s:I,s:I,s:I,s:i,s:s,s:s,s:I,s:I,s:I,s:s?,s:I,s:I,s:o}", "status",
                            (int)e->status, "snapshot_id", (json_int_t)e->snapshot_id, "sequence_number",
                            (json_int_t)e->sequence_number, "file_sequence_number",
                            (json_int_t)e->file_sequence_number, "content", (int)e->content, "file_path",
                            e->file_path, "file_format", e->file_format, "record_count",
                            (json_int_t)e->record_count, "file_size_in_bytes", (json_int_t)e->file_bytes,
                            "first_row_id", (json_int_t)e->first_row_id, "referenced_data_file",
                            e->referenced_data_file, "content_offset", (json_int_t)e->content_offset,
                            "content_size_in_bytes", (json_int_t)e->content_size, "stats", stats));
    }
    print_json(json_pack("{s:i,s:i,s:o}", "format_version", m.format_version, "content", (int)m.content,
                         "entries", list));
    dm_manifest_release(&m);
}

static void print_list(const struct dm_buffer *b)
{
    struct dm_manifest_list l;
    ok(dm_manifest_list_decode(b->data, b->len, &l, &err));
    json_t *list = json_array();
    for (size_t i = 0; i < l.n; i++) {
        const struct dm_manifest_file *f = &l.files[i];
        json_array_append_new(
            list,
            json_pack("{s:s,s:I,s:i,s:I,s:I,s:I,s:[i,i,i],s:[I,I,I],s:I}", "path", f->path, "length",
                      (json_int_t)f->length, "content", (int)f->content, "sequence_number",
                      (json_int_t)f->sequence_number, "min_sequence_number",
                      (json_int_t)f->min_sequence_number, "added_snapshot_id",
                      (json_int_t)f->added_snapshot_id, "files", (int)f->added_files, (int)f->existing_files,
                      (int)f->deleted_files, "rows", (json_int_t)f->added_rows, (json_int_t)f->existing_rows,
                      (json_int_t)f->deleted_rows, "first_row_id", (json_int_t)f->first_row_id));
    }
    print_json(list);
    dm_manifest_list_release(&l);
}

static void print_vector(const struct dm_buffer *b, size_t offset, size_t length)
{
    roaring_bitmap_t *bitmap;
    if (offset > b->len || length > b->len - offset)
        abort();
    ok(dm_puffin_vector_decode(b->data + offset, length, &bitmap, &err));
    size_t n = roaring_bitmap_get_cardinality(bitmap);
    uint32_t *values = dm_xzalloc(n + 1, sizeof *values);
    roaring_bitmap_to_uint32_array(bitmap, values);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(values[i]));
    print_json(list);
    free(values);
    roaring_bitmap_free(bitmap);
}

static int run_tool(int argc, char **argv)
{
    if (strcmp(argv[1], "write") == 0) {
        write_all(argv[2]);
        return 0;
    }
    struct dm_buffer b;
    dm_buffer_init(&b, 64 << 20);
    ok(dm_file_read(argv[2], &b, &err));
    size_t blobs;
    if (strcmp(argv[1], "manifest") == 0) {
        print_manifest(&b);
    } else if (strcmp(argv[1], "list") == 0) {
        print_list(&b);
    } else if (strcmp(argv[1], "puffin") == 0) {
        ok(dm_puffin_check(b.data, b.len, &blobs, &err));
        printf("%zu\n", blobs);
    } else if (argc > 4) {
        print_vector(&b, strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
    }
    dm_buffer_release(&b);
    return 0;
}

/* ---- round trip ---- */

static void same_text(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL)
        assert_string_equal(a, b);
}

static void same_entry(const struct dm_manifest_entry *a, const struct dm_manifest_entry *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->snapshot_id, b->snapshot_id);
    assert_int_equal(a->sequence_number, b->sequence_number);
    assert_int_equal(a->file_sequence_number, b->file_sequence_number);
    assert_int_equal(a->content, b->content);
    same_text(a->file_path, b->file_path);
    same_text(a->file_format, b->file_format);
    assert_int_equal(a->record_count, b->record_count);
    assert_int_equal(a->file_bytes, b->file_bytes);
    assert_int_equal(a->first_row_id, b->first_row_id);
    same_text(a->referenced_data_file, b->referenced_data_file);
    assert_int_equal(a->content_offset, b->content_offset);
    assert_int_equal(a->content_size, b->content_size);
    assert_int_equal(a->n_stats, b->n_stats);
    for (size_t i = 0; i < a->n_stats; i++) {
        assert_int_equal(a->stats[i].field_id, b->stats[i].field_id);
        assert_int_equal(a->stats[i].values, b->stats[i].values);
        assert_int_equal(a->stats[i].nulls, b->stats[i].nulls);
        assert_int_equal(a->stats[i].nans, b->stats[i].nans);
        assert_int_equal(a->stats[i].is_float, b->stats[i].is_float);
        assert_int_equal(a->stats[i].has_bounds, b->stats[i].has_bounds);
        assert_int_equal(a->stats[i].lower_len, b->stats[i].lower_len);
        assert_int_equal(a->stats[i].upper_len, b->stats[i].upper_len);
        assert_memory_equal(a->stats[i].lower, b->stats[i].lower, sizeof a->stats[i].lower);
        assert_memory_equal(a->stats[i].upper, b->stats[i].upper, sizeof a->stats[i].upper);
    }
}

static void round_trip(size_t n, enum dm_content content, int version)
{
    struct dm_manifest m = make_manifest(n, content, version);
    struct dm_manifest back;
    struct dm_buffer b;
    dm_buffer_init(&b, 64 << 20);
    ok(dm_manifest_encode(&m, SCHEMA, 3, &(struct dm_day_spec){0}, &b, &err));
    ok(dm_manifest_decode(b.data, b.len, &back, &err));
    assert_int_equal(back.format_version, version);
    assert_int_equal(back.content, content);
    assert_int_equal(back.n_entries, n);
    for (size_t i = 0; i < n; i++)
        same_entry(&m.entries[i], &back.entries[i]);
    dm_manifest_release(&m);
    dm_manifest_release(&back);
    dm_buffer_release(&b);
}

static void test_manifest_round_trip(void **state)
{
    (void)state;
    for (int version = 2; version <= 3; version++)
        for (size_t n = 0; n <= 5000; n = n * 10 + 5) { /* 0, 5, 55, 555 */
            round_trip(n, DM_CONTENT_DATA, version);
            round_trip(n, DM_CONTENT_POSITION_DELETES, version);
        }
}

static void same_file(const struct dm_manifest_file *a, const struct dm_manifest_file *b)
{
    same_text(a->path, b->path);
    assert_int_equal(a->length, b->length);
    assert_int_equal(a->content, b->content);
    assert_int_equal(a->sequence_number, b->sequence_number);
    assert_int_equal(a->min_sequence_number, b->min_sequence_number);
    assert_int_equal(a->added_snapshot_id, b->added_snapshot_id);
    assert_int_equal(a->added_files, b->added_files);
    assert_int_equal(a->existing_files, b->existing_files);
    assert_int_equal(a->deleted_files, b->deleted_files);
    assert_int_equal(a->added_rows, b->added_rows);
    assert_int_equal(a->existing_rows, b->existing_rows);
    assert_int_equal(a->deleted_rows, b->deleted_rows);
    assert_int_equal(a->first_row_id, b->first_row_id);
}

static void test_list_round_trip(void **state)
{
    (void)state;
    struct dm_buffer b;
    dm_buffer_init(&b, 64 << 20);
    for (int version = 2; version <= 3; version++) {
        for (size_t n = 4; n <= 400; n *= 100) {
            struct dm_manifest_list l = make_list(n, version);
            struct dm_manifest_list back;
            dm_buffer_clear(&b);
            ok(dm_manifest_list_encode(&l, version, 1, 0, 2, 3, &b, &err));
            ok(dm_manifest_list_decode(b.data, b.len, &back, &err));
            assert_int_equal(back.n, n);
            for (size_t i = 0; i < n; i++)
                same_file(&l.files[i], &back.files[i]);
            dm_manifest_list_release(&l);
            dm_manifest_list_release(&back);
        }
    }
    dm_buffer_release(&b);
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return run_tool(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest_round_trip),
        cmocka_unit_test(test_list_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
