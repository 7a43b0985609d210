/* The process that answers a condition. Its job is a JSON file; its answer is a stream of frames on stdout:
 *
 *   'R' and, for each key column, a text or '-' (null), each ended by a zero      a row
 *   'E' class hint message, texts ended by zeros                                  it failed: the end
 *   'D'                                                                           all rows were told: the end
 */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/shown.h"
#include "lake/lake_query.h"
#include "mirror/hygiene/condition.h"

enum { sql_max = 64 << 20, threads = 2, beside_the_engine = 256 << 20 };

static const char *text_of(const json_t *job, const char *key)
{
    const char *text = json_string_value(json_object_get(job, key));
    return text != NULL ? text : "";
}

static uint64_t number_of(const json_t *job, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(job, key));
}

/* Ends with its parent, leaves no core with people's rows behind, holds none of the parent's files (a lock!), and gets no more memory than it should. */
static void confine(uint64_t memory)
{
    struct rlimit none = {0}, data = {memory + beside_the_engine, memory + beside_the_engine};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#ifdef SYS_close_range
    (void)syscall(SYS_close_range, 3, ~0U, 0);
#endif
    (void)setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    (void)setrlimit(RLIMIT_DATA, &data);
#else
    (void)data;
#endif
}

/* "name" with quotes doubled. */
static enum dm_status append_name(struct dm_buffer *sql, const char *name, struct dm_error *err)
{
    enum dm_status status = dm_buffer_append_byte(sql, '"', err);
    for (const char *c = name; *c != '\0' && status == DM_OK; c++) {
        if (*c == '"')
            status = dm_buffer_append_byte(sql, '"', err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(sql, (uint8_t)*c, err);
    }
    return status == DM_OK ? dm_buffer_append_byte(sql, '"', err) : status;
}

static enum dm_status append_query(struct dm_buffer *sql, const json_t *job, const char *view,
                                   struct dm_error *err)
{
    const json_t *keys = json_object_get(job, "keys");
    enum dm_status status = dm_buffer_printf(sql, err, "SELECT ");
    for (size_t k = 0; k < json_array_size(keys) && status == DM_OK; k++) {
        if (k > 0)
            status = dm_buffer_append(sql, ", ", 2, err);
        if (status == DM_OK)
            status = append_name(sql, json_string_value(json_array_get(keys, k)), err);
    }
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " FROM ");
    if (status == DM_OK)
        status = append_name(sql, text_of(job, "namespace"), err);
    if (status == DM_OK)
        status = dm_buffer_append_byte(sql, '.', err);
    if (status == DM_OK)
        status = append_name(sql, view != NULL ? view : text_of(job, "name"), err);
    if (status == DM_OK)
        status = dm_buffer_printf(sql, err, " WHERE (\n%s\n)", text_of(job, "where"));
    return status == DM_OK && dm_buffer_text(sql) == NULL ? dm_fail_memory(err, sql_max) : status;
}

static enum dm_status tell_row(void *ctx, size_t n, const char *const *values, struct dm_error *err)
{
    (void)ctx;
    (void)putchar('R');
    for (size_t i = 0; i < n; i++) {
        (void)putchar(values[i] != NULL ? '+' : '-');
        (void)fputs(values[i] != NULL ? values[i] : "", stdout);
        (void)putchar('\0');
    }
    return ferror(stdout) ? dm_fail_errno(err, "telling a row") : DM_OK;
}

/* The condition is a person's SQL: it runs where nothing but the datasets can be read, and nothing written. */
static enum dm_status answer(const json_t *job, struct dm_error *err)
{
    struct dm_engine_options engine_options = {.memory_limit = number_of(job, "memory"),
                                               .temp_limit = number_of(job, "temp_limit"),
                                               .threads = threads,
                                               .temp_folder = text_of(job, "temp_folder")};
    struct dm_lake_options lake_options = {
        .folder = text_of(job, "lake"), .catalog_name = text_of(job, "catalog"), .read_only = true};
    struct dm_engine *engine = NULL;
    struct dm_lake *lake = NULL;
    struct dm_sql *session = NULL;
    struct dm_buffer sql;
    dm_buffer_init(&sql, sql_max);
    enum dm_status status = dm_engine_open(&engine_options, &engine, err);
    if (status == DM_OK)
        status = dm_lake_open(&lake_options, &lake, err);
    if (status == DM_OK)
        status = dm_lake_query_open(lake, engine, NULL, NULL, &session, err);
    if (status == DM_OK)
        status = append_query(&sql, job,
                              dm_sql_view_of(session, text_of(job, "namespace"), text_of(job, "name")), err);
    if (status == DM_OK)
        status = dm_sql_each(session, (const char *)sql.data, tell_row, NULL, err);
    dm_buffer_release(&sql);
    dm_sql_close(session);
    dm_lake_close(lake);
    dm_engine_close(engine);
    return status;
}

static void tell_end(enum dm_status status, const struct dm_error *err)
{
    if (status == DM_OK) {
        (void)putchar('D');
    } else {
        (void)dm_print(stdout, "E%d", (int)err->class);
        (void)putchar('\0');
        (void)fputs(err->hint, stdout);
        (void)putchar('\0');
        (void)fputs(err->message, stdout);
        (void)putchar('\0');
    }
    (void)fflush(stdout);
}

int dm_condition_main(const char *path)
{
    struct dm_error err = {0};
    json_t *job = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    enum dm_status status;
    if (job == NULL) {
        status = dm_fail(&err, DM_ERROR_FATAL, NULL, "the job cannot be read");
    } else {
        confine(number_of(job, "memory"));
        status = answer(job, &err);
    }
    tell_end(status, &err);
    json_decref(job);
    return 0;
}
