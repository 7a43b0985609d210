#include "engine/engine.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "engine/chunk_source.h"
#include "engine/connection.h"
#include "engine/scan_filter.h"

struct dm_engine {
    duckdb_database database;
    struct dm_engine_options options; /* texts owned */
    char *temp_folder;
    pthread_mutex_t mutex; /* guards what follows */
    struct dm_connection *idle;
    unsigned made; /* numbers given to connections so far */
    bool large;    /* somebody writes large rows */
    pthread_cond_t large_ended;
};

static enum dm_status set_option(duckdb_config config, const char *name, const char *value,
                                 struct dm_error *err)
{
    if (duckdb_set_config(config, name, value) != DuckDBSuccess)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "DuckDB does not take %s = %s", name, value);
    return DM_OK;
}

/* Two databases must not spill into one folder (their files have the same names), be they of one process or of two. So each has
 * its own, temp_folder/duckdb-<pid>-<n>, which DuckDB creates when needed and removes in the end. */
static char *own_temp_folder(const char *temp_folder)
{
    static atomic_uint opened;
    return dm_xasprintf("%s/duckdb-%ld-%u", temp_folder, (long)getpid(), atomic_fetch_add(&opened, 1));
}

/* What a killed process left behind. */
static void sweep_temp_folder(const char *temp_folder)
{
    DIR *folder = opendir(temp_folder);
    if (folder == NULL)
        return;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        int pid;
        unsigned n;
        char rest;
        if (sscanf(entry->d_name, "duckdb-%d-%u%c", &pid, &n, &rest) != 2 || pid <= 0 || kill(pid, 0) == 0 ||
            errno != ESRCH)
            continue;
        char *path = dm_xasprintf("%s/%s", temp_folder, entry->d_name);
        struct dm_error ignored; /* only garbage: the next start tries again */
        if (dm_file_remove_tree(path, &ignored) != DM_OK)
            ignored.class = DM_ERROR_NONE;
        free(path);
    }
    closedir(folder);
}

static enum dm_status set_options(duckdb_config config, const struct dm_engine_options *options,
                                  struct dm_error *err)
{
    static const char *const fixed[][2] = {
        /* Writing keeps the order by having one reading thread, and only without this setting may row groups be bounded by bytes. */
        {"preserve_insertion_order", "false"},
        {"autoinstall_known_extensions", "false"},
        {"autoload_known_extensions", "false"},
        {"allow_community_extensions", "false"},
        /* A file written anew right away was taken for the old one (seen in the tests), and the system caches files anyway. */
        {"enable_external_file_cache", "false"},
    };
    char text[64];
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (set_option(config, fixed[i][0], fixed[i][1], err) != DM_OK)
            return DM_FAIL;
    }
    if (options->memory_limit != 0) {
        snprintf(text, sizeof text, "%lluKiB", (unsigned long long)(options->memory_limit >> 10));
        if (set_option(config, "memory_limit", text, err) != DM_OK)
            return DM_FAIL;
    }
    if (options->temp_limit != 0) {
        snprintf(text, sizeof text, "%lluKiB", (unsigned long long)(options->temp_limit >> 10));
        if (set_option(config, "max_temp_directory_size", text, err) != DM_OK)
            return DM_FAIL;
    }
    if (options->threads != 0) {
        snprintf(text, sizeof text, "%d", options->threads);
        if (set_option(config, "threads", text, err) != DM_OK)
            return DM_FAIL;
    }
    if (options->temp_folder == NULL)
        return DM_OK;
    char *folder = own_temp_folder(options->temp_folder);
    enum dm_status status = set_option(config, "temp_directory", folder, err);
    free(folder);
    return status;
}

enum dm_status dm_engine_open_database(const struct dm_engine_options *options, duckdb_database *out,
                                       struct dm_error *err)
{
    duckdb_config config;
    if (duckdb_create_config(&config) != DuckDBSuccess)
        return dm_fail(err, DM_ERROR_FATAL, NULL, "cannot create a DuckDB configuration");
    enum dm_status status = set_options(config, options, err);
    if (status == DM_OK) {
        char *text = NULL;
        if (duckdb_open_ext(NULL, out, config, &text) != DuckDBSuccess)
            status = dm_fail(err, DM_ERROR_FATAL, NULL, "cannot open DuckDB: %s",
                             text != NULL ? text : "no reason given");
        duckdb_free(text);
    }
    duckdb_destroy_config(&config);
    if (status != DM_OK)
        return DM_FAIL;
    duckdb_connection c;
    if (duckdb_connect(*out, &c) != DuckDBSuccess) {
        duckdb_close(out);
        return dm_fail(err, DM_ERROR_FATAL, NULL, "cannot connect to DuckDB");
    }
    status = dm_connection_run(c, "SET GLOBAL TimeZone = 'UTC'", err); /* ICU knows it only now */
    duckdb_disconnect(&c);
    if (status != DM_OK)
        duckdb_close(out);
    return status;
}

enum dm_status dm_engine_open(const struct dm_engine_options *options, struct dm_engine **out,
                              struct dm_error *err)
{
    struct dm_engine *e = dm_xzalloc(1, sizeof *e);
    e->temp_folder = dm_xstrdup(options->temp_folder);
    e->options = *options;
    e->options.temp_folder = e->temp_folder;
    if (dm_engine_open_database(&e->options, &e->database, err) != DM_OK) {
        free(e->temp_folder);
        free(e);
        return DM_FAIL;
    }
    if (e->temp_folder != NULL) {
        /* DuckDB creates the last level only. Where nothing may be written, reading goes on until something must be spilled. */
        struct dm_error ignored;
        if (dm_file_make_folders(e->temp_folder, &ignored) == DM_OK)
            sweep_temp_folder(e->temp_folder);
    }
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->large_ended, NULL);
    *out = e;
    return DM_OK;
}

static void connection_free(struct dm_connection *c)
{
    duckdb_disconnect(&c->handle);
    free(c);
}

void dm_engine_close(struct dm_engine *e)
{
    if (e == NULL)
        return;
    while (e->idle != NULL) {
        struct dm_connection *c = e->idle;
        e->idle = c->next;
        connection_free(c);
    }
    duckdb_close(&e->database);
    pthread_cond_destroy(&e->large_ended);
    pthread_mutex_destroy(&e->mutex);
    free(e->temp_folder);
    free(e);
}

const char *dm_engine_version(void)
{
    return duckdb_library_version();
}

const struct dm_engine_options *dm_engine_options_of(const struct dm_engine *e)
{
    return &e->options;
}

uint64_t dm_engine_large_row(const struct dm_engine *e)
{
    uint64_t limit = e->options.memory_limit;
    return limit == 0 ? UINT64_MAX : limit / 64;
}

void dm_engine_large_begin(struct dm_engine *e)
{
    pthread_mutex_lock(&e->mutex);
    while (e->large)
        pthread_cond_wait(&e->large_ended, &e->mutex);
    e->large = true;
    pthread_mutex_unlock(&e->mutex);
}

void dm_engine_large_end(struct dm_engine *e)
{
    pthread_mutex_lock(&e->mutex);
    e->large = false;
    pthread_cond_signal(&e->large_ended);
    pthread_mutex_unlock(&e->mutex);
}

static enum dm_status connection_new(struct dm_engine *e, unsigned number, struct dm_connection **out,
                                     struct dm_error *err)
{
    struct dm_connection *c = dm_xzalloc(1, sizeof *c);
    c->number = number;
    if (duckdb_connect(e->database, &c->handle) != DuckDBSuccess) {
        free(c);
        return dm_fail(err, DM_ERROR_FATAL, NULL, "cannot connect to DuckDB");
    }
    if (dm_chunk_source_register(c->handle, number, &c->source, err) != DM_OK ||
        dm_scan_filter_register(c->handle, number, &c->filter, err) != DM_OK) {
        connection_free(c);
        return DM_FAIL;
    }
    *out = c;
    return DM_OK;
}

enum dm_status dm_connection_take(struct dm_engine *e, struct dm_connection **out, struct dm_error *err)
{
    pthread_mutex_lock(&e->mutex);
    struct dm_connection *c = e->idle;
    unsigned number = 0;
    if (c != NULL) {
        e->idle = c->next;
    } else {
        number = ++e->made;
    }
    pthread_mutex_unlock(&e->mutex);
    if (c == NULL)
        return connection_new(e, number, out, err);
    *out = c;
    return DM_OK;
}

void dm_connection_give(struct dm_engine *e, struct dm_connection *c)
{
    if (c == NULL)
        return;
    c->source = NULL;
    c->filter = NULL;
    pthread_mutex_lock(&e->mutex);
    c->next = e->idle;
    e->idle = c;
    pthread_mutex_unlock(&e->mutex);
}

enum dm_status dm_connection_run(duckdb_connection c, const char *sql, struct dm_error *err)
{
    duckdb_result result;
    enum dm_status status = DM_OK;
    if (duckdb_query(c, sql, &result) != DuckDBSuccess)
        status = dm_duckdb_fail(err, duckdb_result_error_type(&result), duckdb_result_error(&result),
                                DM_ERROR_FATAL);
    duckdb_destroy_result(&result);
    return status;
}

enum dm_status dm_duckdb_fail(struct dm_error *err, duckdb_error_type type, const char *text,
                              enum dm_error_class fallback)
{
    if (text == NULL)
        text = "DuckDB gave no reason";
    switch (type) {
    case DUCKDB_ERROR_OUT_OF_MEMORY:
        /* without its advice about settings that nobody can set here */
        return dm_fail(err, DM_ERROR_MEMORY, "raise memory_limit", "%.*s", (int)strcspn(text, "\n"), text);
    case DUCKDB_ERROR_IO:
        return dm_fail(err, DM_ERROR_TRANSIENT, "check the disk's free space and the file named above", "%s",
                       text);
    case DUCKDB_ERROR_INTERRUPT:
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the query was ended before it was done");
    case DUCKDB_ERROR_INTERNAL:
    case DUCKDB_ERROR_FATAL: return dm_fail(err, DM_ERROR_FATAL, NULL, "%s", text);
    default: return dm_fail(err, fallback, NULL, "%s", text);
    }
}

enum dm_status dm_sql_quote(struct dm_buffer *b, char quote, const char *text, struct dm_error *err)
{
    if (dm_buffer_append_byte(b, (uint8_t)quote, err) != DM_OK)
        return DM_FAIL;
    for (; *text != 0; text++) {
        if (*text == quote && dm_buffer_append_byte(b, (uint8_t)quote, err) != DM_OK)
            return DM_FAIL;
        if (dm_buffer_append_byte(b, (uint8_t)*text, err) != DM_OK)
            return DM_FAIL;
    }
    return dm_buffer_append_byte(b, (uint8_t)quote, err);
}
