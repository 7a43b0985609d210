/* What the manifest decoder accepts of other writers and what it refuses; what the encoder refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "format/avro_write.h"
#include "lake/iceberg/manifest.h"

static struct dm_error err;

#define assert_failure(call, kind, part) \
    do { \
        memset(&err, 0, sizeof err); \
        assert_int_equal(call, DM_FAIL); \
        assert_int_equal(err.class, kind); \
        if (strstr(err.message, part) == NULL) \
            fail_msg("\"%s\" lacks \"%s\"", err.message, part); \
    } while (0)
#define assert_refused(call, part) assert_failure(call, DM_ERROR_DATA, part)

#define FIELD(name, id, type) "{\"name\":\"" name "\",\"field-id\":" id ",\"type\":" type "}"
#define RECORD(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"
#define LONG "\"long\""
#define STRING "\"string\""
#define NULLABLE(type) "[\"null\"," type "]"

/* ---- manifests of a made-up writer: fields in another order, all nullable ---- */

/* What a test changes; the rest is sound. */
struct made {
    int64_t status, content, size, count;
    const char *path;
    size_t path_length;
    bool no_format, encrypted, offset_only, no_null_counts;
    int64_t counts[4]; /* pairs of the value counts; 0 ends */
    int64_t count_value;
    const char *version, *kind;
};

static const struct made sound = {.status = 1,
                                  .size = 7,
                                  .count = 8,
                                  .path = "/p",
                                  .path_length = 2,
                                  .counts = {3, 1},
                                  .count_value = 5,
                                  .version = "3",
                                  .kind = "data"};

#define PAIRS(name, key_id, value_id) \
    NULLABLE("{\"type\":\"array\",\"logicalType\":\"map\",\"items\":" RECORD( \
        name, FIELD("value", value_id, NULLABLE(LONG)) "," FIELD("key", key_id, "\"int\"")) "}")

static void put_counts(struct dm_avro_writer *w, const struct made *m)
{
    dm_avro_put_long(w, 1);
    for (size_t i = 0; i < 4 && m->counts[i] != 0; i++) {
        dm_avro_put_long(w, 1); /* runs of one */
        dm_avro_put_optional_long(w, m->count_value);
        dm_avro_put_long(w, m->counts[i]);
    }
    dm_avro_put_long(w, 0);
}

/* clang-format off */
#define MADE_SCHEMA \
    RECORD("manifest_entry", \
        FIELD("data_file", "2", RECORD("r2", \
            FIELD("nulls", "110", PAIRS("n", "121", "122")) "," \
            FIELD("unknown", "999", STRING) "," \
            FIELD("size", "104", LONG) "," \
            FIELD("records", "103", "\"int\"") "," \
            FIELD("path", "100", NULLABLE(STRING)) "," \
            FIELD("format", "101", NULLABLE(STRING)) "," \
            FIELD("key", "131", NULLABLE("\"bytes\"")) "," \
            FIELD("values", "109", PAIRS("v", "119", "120")) "," \
            FIELD("content", "134", "\"int\"") "," \
            FIELD("at", "144", NULLABLE(LONG)))) "," \
        FIELD("status", "0", "\"int\""))
/* clang-format on */

static void make(const struct made *m, struct dm_buffer *out)
{
    const struct dm_avro_text_property properties[] = {{"format-version", m->version}, {"content", m->kind}};
    struct dm_avro_writer w;
    dm_buffer_init(out, 1 << 20);
    dm_avro_writer_begin(&w, out, MADE_SCHEMA, properties, m->version == NULL ? 0 : 2, DM_AVRO_CODEC_NULL,
                         &err);
    if (m->no_null_counts)
        dm_avro_put_null(&w);
    else
        put_counts(&w, m);
    dm_avro_put_text(&w, "skip me");
    dm_avro_put_long(&w, m->size);
    dm_avro_put_long(&w, m->count);
    dm_avro_put_long(&w, m->path != NULL);
    if (m->path != NULL)
        dm_avro_put_bytes(&w, m->path, m->path_length);
    dm_avro_put_optional_text(&w, m->no_format ? NULL : "parquet");
    dm_avro_put_optional_text(&w, m->encrypted ? "k" : NULL);
    put_counts(&w, m);
    dm_avro_put_long(&w, m->content);
    dm_avro_put_optional_long(&w, m->offset_only ? 4 : -1);
    dm_avro_put_long(&w, m->status);
    dm_avro_end_record(&w);
    assert_int_equal(dm_avro_writer_finish(&w), DM_OK);
}

static enum dm_status decode(const struct made *m, struct dm_manifest *out)
{
    struct dm_buffer b;
    make(m, &b);
    enum dm_status status = dm_manifest_decode(b.data, b.len, out, &err);
    dm_buffer_release(&b);
    if (status != DM_OK)
        assert_null(out->entries);
    return status;
}

static void test_other_writers(void **state)
{
    (void)state;
    struct dm_manifest m;
    assert_int_equal(decode(&sound, &m), DM_OK);
    assert_int_equal(m.n_entries, 1);
    assert_int_equal(m.format_version, 3);
    assert_string_equal(m.entries[0].file_path, "/p");
    assert_string_equal(m.entries[0].file_format, "parquet");
    assert_int_equal(m.entries[0].record_count, 8);
    assert_int_equal(m.entries[0].file_bytes, 7);
    assert_int_equal(m.entries[0].sequence_number, -1);
    assert_int_equal(m.entries[0].n_stats, 2); /* in the order of ids, whatever theirs */
    assert_int_equal(m.entries[0].stats[0].field_id, 1);
    assert_int_equal(m.entries[0].stats[1].field_id, 3);
    assert_int_equal(m.entries[0].stats[1].values, 5);
    dm_manifest_release(&m);

    struct made half = sound; /* "no nulls" must not be made up */
    half.no_null_counts = true;
    assert_int_equal(decode(&half, &m), DM_OK);
    assert_int_equal(m.entries[0].n_stats, 0);
    dm_manifest_release(&m);

    struct made old = sound; /* version 1 says nothing in its header and has no sequence numbers */
    old.version = NULL;
    assert_int_equal(decode(&old, &m), DM_OK);
    assert_int_equal(m.format_version, 1);
    assert_int_equal(m.entries[0].sequence_number, 0);
    assert_int_equal(m.entries[0].file_sequence_number, 0);
    dm_manifest_release(&m);
}

static void test_refused_manifests(void **state)
{
    (void)state;
    struct dm_manifest out;
    struct made m;
#define REFUSED(change, part) \
    do { \
        m = sound; \
        change; \
        assert_refused(decode(&m, &out), part); \
    } while (0)
    REFUSED(m.status = 3, "status 3 is unknown");
    REFUSED(m.status = -1, "status -1 is unknown");
    REFUSED(m.content = 1, "differs from the manifest");
    REFUSED(m.kind = "deletes", "differs from the manifest");
    REFUSED(m.content = 2, "equality deletes");
    REFUSED(m.content = 3, "content kind 3");
    REFUSED(m.kind = "dat", "content \"dat\" is unknown");
    REFUSED(m.version = "4", "format version \"4\"");
    REFUSED(m.version = "", "format version");
    REFUSED(m.path = NULL, "is missing");
    REFUSED((m.path = "a\0b", m.path_length = 3), "NUL");
    REFUSED(m.no_format = true, "is missing");
    REFUSED(m.size = -2, "negative");
    REFUSED(m.size = -1, "is missing");
    REFUSED(m.count = INT64_C(1) << 31, "32 bits");
    REFUSED(m.encrypted = true, "encrypted");
    REFUSED(m.offset_only = true, "only one of content offset and size");
    REFUSED(m.counts[1] = 3, "stands twice");
    REFUSED(m.counts[1] = -5, "without a column");
    REFUSED(m.count_value = -1, "without a value"); /* null */
#undef REFUSED
    assert_string_equal(err.hint, "");
    m = sound;
    m.content = 2;
    assert_refused(decode(&m, &out), "manifest: entry 0: data_file: content: ");
    assert_true(err.hint[0] != '\0');
}

static void test_fields_of_wrong_types(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *message;
    } cases[] = {
        {RECORD("manifest_entry", FIELD("status", "0", STRING)), "where an integer is expected"},
        {RECORD("manifest_entry", FIELD("data_file", "2", LONG)), "data_file is of type long"},
        {RECORD("manifest_entry", FIELD("data_file", "2", RECORD("r", FIELD("path", "100", LONG)))),
         "where text or bytes"},
        {RECORD("manifest_entry", FIELD("data_file", "2", RECORD("r", FIELD("v", "109", LONG)))),
         "where an array"},
        {RECORD("manifest_entry",
                FIELD("data_file", "2",
                      RECORD("r", FIELD("v", "109", "{\"type\":\"array\",\"items\":\"long\"}")))),
         "not of pairs"},
        {RECORD("manifest_entry", FIELD("status", "0", LONG)), "is missing"},
        {RECORD("manifest_entry", ""), "is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dm_buffer b;
        struct dm_avro_writer w;
        struct dm_manifest m;
        struct dm_manifest_list l;
        dm_buffer_init(&b, 1 << 20);
        dm_avro_writer_begin(&w, &b, cases[i].schema, NULL, 0, DM_AVRO_CODEC_NULL, &err);
        if (strlen(cases[i].schema) > 60)
            dm_avro_put_long(&w, 1);
        dm_avro_end_record(&w);
        assert_int_equal(dm_avro_writer_finish(&w), DM_OK);
        assert_refused(dm_manifest_decode(b.data, b.len, &m, &err), cases[i].message);
        assert_refused(dm_manifest_list_decode(b.data, b.len, &l, &err), "manifest list: ");
        dm_buffer_release(&b);
    }
}

/* ---- manifest lists ---- */

/* clang-format off */
#define LIST_SCHEMA \
    RECORD("manifest_file", \
        FIELD("key", "519", NULLABLE(STRING)) "," \
        FIELD("p", "500", NULLABLE(STRING)) "," \
        FIELD("l", "501", NULLABLE(LONG)) "," \
        FIELD("s", "503", NULLABLE(LONG)) "," \
        FIELD("a", "504", NULLABLE(LONG)) "," \
        FIELD("b", "505", NULLABLE(LONG)) "," \
        FIELD("c", "506", NULLABLE(LONG)) "," \
        FIELD("d", "512", NULLABLE(LONG)) "," \
        FIELD("e", "513", NULLABLE(LONG)) "," \
        FIELD("f", "514", NULLABLE(LONG)))
/* clang-format on */

/* 500 path, 501 length, 503 snapshot, then the six counts, of which number `missing` is null. */
static enum dm_status decode_list(int missing, int64_t files, const char *key, struct dm_manifest_list *out)
{
    struct dm_buffer b;
    struct dm_avro_writer w;
    dm_buffer_init(&b, 1 << 20);
    dm_avro_writer_begin(&w, &b, LIST_SCHEMA, NULL, 0, DM_AVRO_CODEC_NULL, &err);
    dm_avro_put_optional_text(&w, key);
    dm_avro_put_optional_text(&w, missing == 0 ? NULL : "/m");
    for (int i = 1; i <= 8; i++)
        dm_avro_put_optional_long(&w, i == missing ? -1 : i == 3 ? files : i);
    dm_avro_end_record(&w);
    assert_int_equal(dm_avro_writer_finish(&w), DM_OK);
    enum dm_status status = dm_manifest_list_decode(b.data, b.len, out, &err);
    dm_buffer_release(&b);
    return status;
}

static void test_lists(void **state)
{
    (void)state;
    struct dm_manifest_list l;
    assert_int_equal(decode_list(-1, 3, NULL, &l), DM_OK);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.files[0].path, "/m");
    assert_int_equal(l.files[0].added_snapshot_id, 2);
    assert_int_equal(l.files[0].added_files, 3);
    assert_int_equal(l.files[0].deleted_rows, 8);
    assert_int_equal(l.files[0].sequence_number, 0);
    assert_int_equal(l.files[0].first_row_id, -1);
    dm_manifest_list_release(&l);
    for (int missing = 0; missing <= 8; missing++)
        assert_refused(decode_list(missing, 3, NULL, &l), missing == 0 ? "is null" : "is missing");
    assert_refused(decode_list(-1, INT64_C(1) << 31, NULL, &l), "too large");
    assert_refused(decode_list(-1, 3, "k", &l), "encrypted");
}

/* ---- encoding ---- */

static void test_encoder_refuses_our_bugs(void **state)
{
    (void)state;
    char path[] = "/p";
    char format[] = "PARQUET";
    struct dm_manifest_entry e;
    struct dm_manifest m = {.n_entries = 1, .entries = &e};
    struct dm_buffer b;
    dm_buffer_init(&b, 1 << 20);
#define REFUSED(version, kind, change, part) \
    do { \
        m.format_version = version; \
        m.content = kind; \
        e = (struct dm_manifest_entry){.status = DM_ENTRY_ADDED, \
                                       .snapshot_id = 1, \
                                       .sequence_number = -1, \
                                       .file_sequence_number = -1, \
                                       .content = kind, \
                                       .file_path = path, \
                                       .file_format = format, \
                                       .first_row_id = -1, \
                                       .content_offset = -1, \
                                       .content_size = -1}; \
        change; \
        assert_failure(dm_manifest_encode(&m, "{}", 0, &(struct dm_day_spec){0}, &b, &err), DM_ERROR_FATAL, \
                       part); \
        assert_int_equal(b.len, 0); \
    } while (0)
    REFUSED(1, DM_CONTENT_DATA, (void)0, "format version 1");
    REFUSED(4, DM_CONTENT_DATA, (void)0, "format version 4");
    REFUSED(3, DM_CONTENT_DATA, e.file_path = NULL, "needs a path");
    REFUSED(3, DM_CONTENT_DATA, e.file_format = NULL, "needs a path");
    REFUSED(3, DM_CONTENT_DATA, e.content = DM_CONTENT_POSITION_DELETES, "may not share");
    REFUSED(3, DM_CONTENT_DATA, e.record_count = -1, "negative");
    REFUSED(3, DM_CONTENT_DATA, e.status = DM_ENTRY_EXISTING, "sequence number open");
    REFUSED(3, DM_CONTENT_DATA, (e.status = DM_ENTRY_DELETED, e.sequence_number = 1), "sequence number open");
    REFUSED(3, DM_CONTENT_POSITION_DELETES, e.content_offset = 4, "go together");
    REFUSED(3, DM_CONTENT_POSITION_DELETES, (e.content_offset = 4, e.content_size = 4), "its data file");
    REFUSED(2, DM_CONTENT_POSITION_DELETES,
            (e.content_offset = 4, e.content_size = 4, e.referenced_data_file = path), "version 3");
    REFUSED(3, DM_CONTENT_DATA, (e.content_offset = 4, e.content_size = 4, e.referenced_data_file = path),
            "delete manifest");
#undef REFUSED
    struct dm_manifest_file f = {.path = path, .content = DM_CONTENT_POSITION_DELETES, .first_row_id = 0};
    struct dm_manifest_list l = {.n = 1, .files = &f};
    assert_failure(dm_manifest_list_encode(&l, 3, 1, 0, 1, 0, &b, &err), DM_ERROR_FATAL, "no first row id");
    f.first_row_id = -1;
    assert_int_equal(dm_manifest_list_encode(&l, 3, 1, 0, 1, 0, &b, &err), DM_OK);
    b.len = 0;
    f.deleted_rows = -1;
    assert_failure(dm_manifest_list_encode(&l, 3, 1, 0, 1, 0, &b, &err), DM_ERROR_FATAL,
                   "may not be negative");
    f.deleted_rows = 0;
    f.added_snapshot_id = -1;
    assert_failure(dm_manifest_list_encode(&l, 3, 1, 0, 1, 0, &b, &err), DM_ERROR_FATAL, "must be known");
    f.path = NULL;
    assert_failure(dm_manifest_list_encode(&l, 3, 1, 0, 1, 0, &b, &err), DM_ERROR_FATAL, "needs a path");
    assert_failure(dm_manifest_list_encode(&l, 1, 1, 0, 1, 0, &b, &err), DM_ERROR_FATAL, "format version 1");
    assert_int_equal(b.len, 0);
    dm_buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_writers),
        cmocka_unit_test(test_refused_manifests),
        cmocka_unit_test(test_fields_of_wrong_types),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_encoder_refuses_our_bugs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
