/* Datasets that are divided by day: the days of files through manifests, lists and metadata, and back after a restart. */
#include "lake_fixture.h"

#include <limits.h>

#include "lake/iceberg/manifest.h"
#include "lake/iceberg/metadata.h"

#define DAY INT64_C(86400000000)

/* id bigint key, at timestamptz key */
static struct dm_schema *event_schema(void)
{
    struct dm_error err = {0};
    struct dm_schema *wanted = dm_schema_new(), *s = NULL;
    int32_t last = 0;
    dm_schema_add(wanted, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(wanted, "at", dm_type_of(DM_TIMESTAMPTZ))->required = true;
    dm_schema_add_key(wanted, 0);
    dm_schema_add_key(wanted, 1);
    must(dm_schema_evolve(NULL, wanted, &last, &s, &err));
    dm_schema_unref(wanted);
    return s;
}

static void put(uint8_t *to, int64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)((uint64_t)value >> (8 * i));
}

/* A file of two rows with these times. */
static enum dm_status add_events(struct dm_commit *c, int64_t first, int64_t last, uint32_t *number,
                                 struct dm_error *err)
{
    char *path = NULL;
    if (dm_commit_new_file(c, "iot", "events", number, &path, err) != DM_OK)
        return DM_FAIL;
    static const char bytes[] = "PAR1....PAR1";
    enum dm_status status = dm_file_write(path, bytes, sizeof bytes - 1, err);
    struct dm_column_stats stats[2] = {
        {.field_id = 1, .values = 2},
        {.field_id = 2, .values = 2, .has_bounds = true, .lower_len = 8, .upper_len = 8}};
    put(stats[1].lower, first);
    put(stats[1].upper, last);
    struct dm_parquet_result result = {
        .rows = 2, .file_bytes = sizeof bytes - 1, .n_stats = 2, .stats = stats};
    if (status == DM_OK)
        status = dm_commit_add_file(c, "iot", "events", *number, path, &result, err);
    free(path);
    return status;
}

static uint32_t added(struct dm_commit *c, int64_t first, int64_t last)
{
    struct dm_error err = {0};
    uint32_t number = 0;
    must(add_events(c, first, last, &number, &err));
    return number;
}

static struct dm_lake *lake_of_events(const char *folder)
{
    struct dm_error err = {0};
    struct dm_lake *lake = open_lake(folder);
    struct dm_schema *s = event_schema();
    struct dm_commit *c = begin(lake);
    must(dm_commit_create(c, "iot", "events", s, &err));
    assert_int_equal(dm_commit_day_field(c, "iot", "events"), 0);
    must(dm_commit_divide_by_day(c, "iot", "events", s->fields[1].id, &err));
    assert_int_equal(dm_commit_day_field(c, "iot", "events"), 2);
    finish(c);
    dm_schema_unref(s);
    return lake;
}

static void days_survive_a_restart_and_rewritten_manifests(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = temporary_folder();
    struct dm_lake *lake = lake_of_events(folder);
    struct dm_commit *c = begin(lake);
    uint32_t one = added(c, 0, DAY - 1), two = added(c, -DAY, -1), three = added(c, 20454 * DAY, 20454 * DAY);
    finish(c);
    for (int round = 0; round < 2; round++) {
        const struct dm_dataset *d = dataset(lake, "iot", "events");
        assert_int_equal(d->day_field, 2);
        assert_int_equal(dm_dataset_file(d, one)->day, 0);
        assert_int_equal(dm_dataset_file(d, two)->day, -1);
        assert_int_equal(dm_dataset_file(d, three)->day, 20454);
        dm_lake_close(lake);
        lake = open_lake(folder);
    }
    /* A vector, and a file that goes: the manifest is written anew. */
    c = begin(lake);
    must(dm_commit_delete_rows(c, "iot", "events", two, (const uint32_t[]){1}, 1, &err));
    must(dm_commit_remove_file(c, "iot", "events", three, &err));
    (void)added(c, 5 * DAY, 6 * DAY - 1);
    finish(c);
    dm_lake_close(lake);
    lake = open_lake(folder);
    const struct dm_dataset *d = dataset(lake, "iot", "events");
    assert_int_equal(d->n_files, 3);
    assert_int_equal(dm_dataset_file(d, two)->day, -1);
    assert_int_equal(dm_dataset_file(d, two)->deleted_rows, 1);
    assert_int_equal(d->files[2].day, 5);
    dm_lake_close(lake);
    free(folder);
}

static void a_file_of_several_days_is_refused(void **state)
{
    (void)state;
    struct dm_error err = {0};
    uint32_t number;
    char *folder = temporary_folder();
    struct dm_lake *lake = lake_of_events(folder);
    struct dm_commit *c = begin(lake);
    assert_int_equal(add_events(c, DAY - 1, DAY, &number, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_FATAL);
    assert_non_null(strstr(err.message, "several days"));
    dm_commit_free(c);
    dm_lake_close(lake);
    free(folder);
}

static void only_a_new_dataset_and_a_time_column(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = temporary_folder();
    struct dm_lake *lake = lake_of_events(folder);
    struct dm_schema *s = event_schema();
    struct dm_commit *c = begin(lake);
    assert_int_equal(dm_commit_divide_by_day(c, "iot", "events", 2, &err), DM_FAIL);
    must(dm_commit_create(c, "iot", "other", s, &err));
    assert_int_equal(dm_commit_divide_by_day(c, "iot", "other", 1, &err), DM_FAIL);
    assert_int_equal(dm_commit_divide_by_day(c, "iot", "other", 7, &err), DM_FAIL);
    dm_commit_free(c);
    dm_schema_unref(s);
    dm_lake_close(lake);
    free(folder);
}

static void the_column_stays(void **state)
{
    (void)state;
    struct dm_error err = {0};
    char *folder = temporary_folder();
    struct dm_lake *lake = lake_of_events(folder);
    struct dm_schema *s = dm_schema_new();
    struct dm_field *f = dm_schema_add(s, "id", dm_type_of(DM_INT64));
    f->id = 1;
    f->required = true;
    dm_schema_add_key(s, 0);
    struct dm_commit *c = begin(lake);
    must(dm_commit_set_schema(c, "iot", "events", s, &err));
    struct dm_commit_summary summary = {.source = "test", .position = "1"};
    assert_int_equal(dm_commit_write(c, &summary, &err), DM_FAIL);
    assert_non_null(strstr(err.message, "cannot be dropped"));
    dm_commit_free(c);
    dm_schema_unref(s);
    dm_lake_close(lake);
    free(folder);
}

static void names_of_the_partition_field(void **state)
{
    (void)state;
    struct dm_schema *s = dm_schema_new();
    struct dm_day_spec spec;
    dm_schema_add(s, "1 é", dm_type_of(DM_TIMESTAMP))->id = 4;
    dm_schema_add(s, "1 é_day", dm_type_of(DM_STRING))->id = 5;
    dm_day_spec_init(&spec, s, 4);
    assert_string_equal(spec.name, "1 é_day_");
    assert_string_equal(spec.avro_name, "_1_x20_xC3_xA9_day_");
    char *json = dm_day_spec_json(&spec);
    assert_non_null(strstr(json, "\"source-id\":4"));
    free(json);
    dm_day_spec_release(&spec);
    dm_day_spec_init(&spec, s, 0);
    json = dm_day_spec_json(&spec);
    assert_string_equal(json, "[]");
    free(json);
    dm_day_spec_release(&spec);
    dm_schema_unref(s);
}

static void days_are_rounded_down(void **state)
{
    (void)state;
    const struct {
        int64_t us;
        int32_t day;
    } cases[] = {{0, 0},
                 {DAY - 1, 0},
                 {DAY, 1},
                 {-1, -1},
                 {-DAY, -1},
                 {-DAY - 1, -2},
                 {INT64_MAX, 106751991},
                 {INT64_MIN + 1, -106751992}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(dm_day_of(dm_type_of(DM_TIMESTAMP), cases[i].us), cases[i].day);
    const struct {
        int64_t ns;
        int32_t day;
    } fine[] = {{0, 0},
                {1000 * DAY - 1, 0},
                {1000 * DAY, 1},
                {-1, -1},
                {-1000 * DAY, -1},
                {-1000 * DAY - 1, -2},
                {INT64_MAX, 106751},
                {INT64_MIN + 1, -106752}};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_int_equal(dm_day_of(dm_type_of(DM_TIMESTAMP_NS), fine[i].ns), fine[i].day);
    assert_true(dm_day_has(dm_type_of(DM_TIMESTAMP_NS)));
}

static void ranges_in_the_manifest_list(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_day_range r = {.by_day = true, .first = DM_NO_DAY, .last = DM_NO_DAY};
    dm_day_range_add(&r, 7);
    dm_day_range_add(&r, -3);
    dm_day_range_add(&r, 5);
    struct dm_manifest_file files[2] = {{.path = (char[]){"file:///a"}, .first_row_id = -1, .days = r},
                                        {.path = (char[]){"file:///b"}, .first_row_id = -1}};
    dm_day_range_add(&files[0].days, DM_NO_DAY);
    const struct dm_manifest_list list = {.n = 2, .files = files};
    struct dm_manifest_list back;
    struct dm_buffer bytes;
    dm_buffer_init(&bytes, 1 << 20);
    must(dm_manifest_list_encode(&list, 3, 1, 0, 1, 0, &bytes, &err));
    must(dm_manifest_list_decode(bytes.data, bytes.len, &back, &err));
    assert_true(back.files[0].days.by_day && back.files[0].days.has_none);
    assert_int_equal(back.files[0].days.first, -3);
    assert_int_equal(back.files[0].days.last, 7);
    assert_false(back.files[1].days.by_day);
    dm_manifest_list_release(&back);
    dm_buffer_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_survive_a_restart_and_rewritten_manifests),
        cmocka_unit_test(a_file_of_several_days_is_refused),
        cmocka_unit_test(only_a_new_dataset_and_a_time_column),
        cmocka_unit_test(the_column_stays),
        cmocka_unit_test(names_of_the_partition_field),
        cmocka_unit_test(days_are_rounded_down),
        cmocka_unit_test(ranges_in_the_manifest_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
