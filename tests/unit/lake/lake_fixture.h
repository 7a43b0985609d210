/* lake_fixture.h — a lake in a temporary folder and small helpers for its tests. Header only: each test is one executable. */
#ifndef DM_TESTS_LAKE_FIXTURE_H
#define DM_TESTS_LAKE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../temp_folder.h"
#include "base/file.h"
#include "base/memory.h"
#include "lake/lake.h"

#define must(call) \
    do { \
        if ((call) != DM_OK) \
            fail_msg("%s: %s", #call, err.message); \
    } while (0)

static inline char *temporary_folder(void)
{
    char *path = dm_xstrdup("/tmp/datamirror-lake-XXXXXX");
    assert_true(temp_folder_make(path));
    return path;
}

static inline struct dm_lake *open_lake_with(const char *folder, int versions, bool read_only)
{
    struct dm_error err = {0};
    struct dm_lake_options o = {.folder = folder,
                                .catalog_name = "datamirror",
                                .format_version = 3,
                                .metadata_versions = versions,
                                .snapshot_retention_ms = 7LL * 86400 * 1000,
                                .read_only = read_only};
    struct dm_lake *lake = NULL;
    must(dm_lake_open(&o, &lake, &err));
    return lake;
}

static inline struct dm_lake *open_lake(const char *folder)
{
    return open_lake_with(folder, 100, false);
}

/* id bigint key, name text */
static inline struct dm_schema *small_schema(void)
{
    struct dm_error err = {0};
    struct dm_schema *wanted = dm_schema_new();
    struct dm_field *f = dm_schema_add(wanted, "id", dm_type_of(DM_INT64));
    f->required = true;
    f->source_ref = 1;
    f->source_type = dm_xstrdup("bigint");
    f = dm_schema_add(wanted, "name", dm_type_of(DM_STRING));
    f->source_ref = 2;
    f->source_type = dm_xstrdup("text");
    dm_schema_add_key(wanted, 0);
    int32_t last = 0;
    struct dm_schema *s = NULL;
    must(dm_schema_evolve(NULL, wanted, &last, &s, &err));
    dm_schema_unref(wanted);
    return s;
}

/* A file that the lake takes for Parquet with `rows` rows (nobody reads it), added to the commit; answers its number. */
static inline uint32_t add_fake_file(struct dm_commit *c, const char *namespace, const char *name,
                                     uint64_t rows)
{
    struct dm_error err = {0};
    uint32_t number = 0;
    char *path = NULL;
    must(dm_commit_new_file(c, namespace, name, &number, &path, &err));
    static const char bytes[] = "PAR1....PAR1";
    must(dm_file_write(path, bytes, sizeof bytes - 1, &err));
    struct dm_column_stats stats[2] = {{.field_id = 1,
                                        .values = rows,
                                        .has_bounds = true,
                                        .lower = {1},
                                        .lower_len = 8,
                                        .upper = {9},
                                        .upper_len = 8},
                                       {.field_id = 2, .values = rows, .nulls = rows}};
    struct dm_parquet_result result = {
        .rows = rows, .file_bytes = sizeof bytes - 1, .n_stats = 2, .stats = stats};
    must(dm_commit_add_file(c, namespace, name, number, path, &result, &err));
    free(path);
    return number;
}

static inline struct dm_commit *begin(struct dm_lake *lake)
{
    struct dm_error err = {0};
    struct dm_commit *c = NULL;
    must(dm_commit_begin(lake, &c, &err));
    return c;
}

static inline void finish(struct dm_commit *c)
{
    struct dm_error err = {0};
    struct dm_commit_summary summary = {
        .source = "shop", .position = "0/16B3748", .commit_time_us = 1700000000000000};
    must(dm_commit_write(c, &summary, &err));
    must(dm_commit_publish(c, NULL, NULL, &err));
    dm_commit_free(c);
}

static inline const struct dm_dataset *dataset(struct dm_lake *lake, const char *namespace, const char *name)
{
    struct dm_error err = {0};
    const struct dm_dataset *d = NULL;
    must(dm_lake_dataset(lake, namespace, name, &d, &err));
    return d;
}

static inline void create_dataset(struct dm_lake *lake, const char *namespace, const char *name)
{
    struct dm_error err = {0};
    struct dm_schema *s = small_schema();
    struct dm_commit *c = begin(lake);
    must(dm_commit_create(c, namespace, name, s, &err));
    finish(c);
    dm_schema_unref(s);
}

#endif
