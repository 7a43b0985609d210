/* config_read.h — YAML into struct dm_config by the tables of options.h; the inner step of dm_config_parse.
 *
 * dm_config_read fills a zeroed config; on failure it is partly filled and dm_config_free takes all of it.
 * The dm_config_check functions hold the rules that concern more than one option; they also resolve paths.
 */
#ifndef DM_CONFIG_CONFIG_READ_H
#define DM_CONFIG_CONFIG_READ_H

#include "config/config.h"
#include "config/config_value.h"

/* `config->file` and `config->folder` are set. */
enum dm_status dm_config_read(const char *text, size_t n, struct dm_config *config,
                              struct dm_error *err) DM_MUST_USE;

/* Called when the table, the source (the last of config->sources), the whole were read. `at` is where they begin. */
enum dm_status dm_config_check_table(const struct dm_table_config *table, struct dm_config_place at,
                                     struct dm_error *err) DM_MUST_USE;
enum dm_status dm_config_check_source(struct dm_config *config, struct dm_config_place at,
                                      struct dm_error *err) DM_MUST_USE;
enum dm_status dm_config_check(struct dm_config *config, bool commit_bytes_given,
                               struct dm_config_place commit_bytes, struct dm_error *err) DM_MUST_USE;

#endif
