#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "config/config_read.h"

#define FILE_MAX (1024 * 1024) /* bytes of a configuration file */

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return dm_xstrdup(".");
    return slash == path ? dm_xstrdup("/") : dm_xstrndup(path, (size_t)(slash - path));
}

enum dm_status dm_config_parse(const char *text, size_t n, const char *name, struct dm_config **out,
                               struct dm_error *err)
{
    if (n > FILE_MAX)
        return dm_fail(err, DM_ERROR_CONFIG, NULL, "%s: the configuration is longer than %d bytes", name,
                       FILE_MAX);
    struct dm_config *config = dm_xzalloc(1, sizeof *config);
    config->file = dm_xstrdup(name);
    config->folder = folder_of(name);
    if (dm_config_read(text, n, config, err) != DM_OK) {
        dm_config_free(config);
        return DM_FAIL;
    }
    *out = config;
    return DM_OK;
}

enum dm_status dm_config_load(const char *path, struct dm_config **out, struct dm_error *err)
{
    if (!dm_file_exists(path))
        return dm_fail(err, DM_ERROR_CONFIG,
                       "`datamirror init` writes a starter configuration; -c FILE names another one",
                       "there is no configuration file %s", path);
    struct dm_buffer text;
    dm_buffer_init(&text, FILE_MAX + 1);
    enum dm_status status = dm_file_read(path, &text, err);
    if (status != DM_OK && err->class == DM_ERROR_DATA)
        status = dm_fail(err, DM_ERROR_CONFIG, NULL, "%s: the configuration is longer than %d bytes", path,
                         FILE_MAX);
    if (status == DM_OK)
        status = dm_config_parse(text.data != NULL ? (const char *)text.data : "", text.len, path, out, err);
    dm_buffer_release(&text);
    return status;
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static void release_table(struct dm_table_config *t)
{
    free(t->glob);
    free_list(t->key, t->n_key);
    free_list(t->columns, t->n_columns);
    free_list(t->exclude_columns, t->n_exclude_columns);
    free(t->filter);
    free(t->timestamp);
    for (size_t i = 0; i < t->n_decimals; i++)
        free(t->decimals[i].column);
    free(t->decimals);
}

static void release_source(struct dm_source_config *s)
{
    free(s->name);
    free(s->type);
    free(s->url);
    free(s->path);
    free(s->dataset);
    free(s->pattern);
    free(s->format);
    free(s->delimiter);
    free(s->null_text);
    free(s->on_bad_file);
    for (size_t i = 0; i < s->n_tables; i++)
        release_table(&s->tables[i]);
    free(s->tables);
    free_list(s->exclude, s->n_exclude);
    free(s->slot);
    free(s->publication);
    free(s->time_as);
}

void dm_config_free(struct dm_config *config)
{
    if (config == NULL)
        return;
    free(config->file);
    free(config->folder);
    free(config->lake);
    free(config->catalog_name);
    free(config->compression);
    free(config->http);
    free(config->http_token);
    free(config->file_mode);
    free_list(config->http_hosts, config->n_http_hosts);
    for (size_t i = 0; i < config->n_sources; i++)
        release_source(&config->sources[i]);
    free(config->sources);
    free(config);
}

const struct dm_source_config *dm_config_source(const struct dm_config *config, const char *name)
{
    for (size_t i = 0; i < config->n_sources; i++)
        if (strcmp(config->sources[i].name, name) == 0)
            return &config->sources[i];
    return NULL;
}
