/* intake_fixture.h — a lake in a temporary folder with a declared dataset, files to take in, and what the lake says afterwards. */
#ifndef DM_TESTS_INTAKE_FIXTURE_H
#define DM_TESTS_INTAKE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../temp_folder.h"
#include "base/memory.h"
#include "lake/lake_query.h"
#include "mirror/declare/declared.h"
#include "mirror/intake/intake.h"
#include "mirror/mirror_open.h"

struct fixture {
    char folder[64];
    struct dm_config *config;
    struct dm_opened_mirror *opened;
    struct dm_mirror *m;
};

#define OK(call) \
    do { \
        if ((call) != DM_OK) \
            fail_msg("%s: %s (%s)", #call, err.message, err.hint); \
    } while (0)

static inline void fixture_open(struct fixture *f)
{
    struct dm_error err = {0};
    OK(dm_mirror_open(f->config, NULL, &f->opened, &f->m, &err));
}

static inline void fixture_close(struct fixture *f)
{
    dm_mirror_close(f->opened);
    f->opened = NULL;
}

static inline void fixture_make(struct fixture *f, const char *options)
{
    struct dm_error err = {0};
    strcpy(f->folder, "/tmp/dm-intake-XXXXXX");
    assert_true(temp_folder_make(f->folder));
    char *text = dm_xasprintf("lake: %s/lake\n%s", f->folder, options);
    OK(dm_config_parse(text, strlen(text), "mirror.yaml", &f->config, &err));
    free(text);
    fixture_open(f);
}

static inline void fixture_release(struct fixture *f)
{
    fixture_close(f);
    dm_config_free(f->config);
}

/* sales.orders (id, item, price, version) by id. */
static inline struct dm_relational_schema *orders_schema(void)
{
    struct dm_relational_schema *s = dm_relational_schema_new("sales.orders");
    dm_relational_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_relational_schema_add(s, "item", dm_type_of(DM_STRING));
    dm_relational_schema_add(s, "price", dm_type_decimal(10, 2));
    dm_relational_schema_add(s, "version", dm_type_of(DM_INT64))->required = true;
    dm_names_add(&s->key, "id");
    s->version = dm_xstrdup("version");
    return s;
}

/* Takes the schema. */
static inline enum dm_status declare_with(struct fixture *f, struct dm_relational_schema *take,
                                          struct dm_declare_options options, struct dm_error *err)
{
    struct dm_relational_schemas wanted = {0};
    dm_relational_schemas_add(&wanted, take);
    enum dm_status status = dm_declare(f->m, &wanted, &options, err);
    dm_relational_schemas_release(&wanted);
    return status;
}

static inline enum dm_status declare(struct fixture *f, struct dm_relational_schema *take,
                                     struct dm_error *err)
{
    return declare_with(f, take, (struct dm_declare_options){0}, err);
}

static inline char *write_file(struct fixture *f, const char *name, const char *text)
{
    struct dm_error err = {0};
    char *path = dm_xasprintf("%s/%s", f->folder, name);
    OK(dm_file_write(path, text, strlen(text), &err));
    return path;
}

struct text_rows {
    char text[4096];
};

static inline enum dm_status add_row(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    (void)err;
    struct text_rows *t = ctx;
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(t->text);
        snprintf(t->text + used, sizeof t->text - used, "%s%s",
                 i > 0                ? ","
                 : t->text[0] != '\0' ? " "
                                      : "",
                 values[i] != NULL ? values[i] : "-");
    }
    return DM_OK;
}

/* "1,a,2.00 2,b,-" */
static inline void assert_query(struct fixture *f, const char *sql, const char *wanted)
{
    struct dm_error err = {0};
    struct dm_lake_options options = {
        .folder = f->config->lake, .catalog_name = "datamirror", .read_only = true};
    struct dm_lake *lake = NULL;
    struct dm_sql *session = NULL;
    struct text_rows rows = {.text = ""};
    OK(dm_lake_open(&options, &lake, &err));
    OK(dm_lake_query_open(lake, f->m->engine, NULL, NULL, &session, &err));
    OK(dm_sql_each(session, sql, add_row, &rows, &err));
    dm_sql_close(session);
    dm_lake_close(lake);
    assert_string_equal(rows.text, wanted);
}

#endif
