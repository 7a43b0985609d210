/* yaml_nodes.h — the nodes of a YAML document with their lines, for the reader of schemas. Internal to the registry.
 *
 * A struct dm_yaml holds one parsed document; nodes are borrowed from it. Depth is bounded by the reader's own fixed structure, so aliases to
 * enclosing nodes do no harm; the number of values read is bounded by dm_yaml_text and friends counting them.
 */
#ifndef DM_REGISTRY_YAML_NODES_H
#define DM_REGISTRY_YAML_NODES_H

#include <yaml.h>

#include "registry/relational_schema.h"

struct dm_yaml {
    const char *file;
    yaml_document_t document;
    size_t values; /* read so far: aliases could otherwise multiply a small file */
};

/* CONFIG error "file:line: …". Returns DM_FAIL. */
enum dm_status dm_yaml_fail(const struct dm_yaml *y, const yaml_node_t *at, struct dm_error *err,
                            const char *hint, const char *fmt, ...) DM_PRINTF(5, 6);

yaml_node_t *dm_yaml_node(struct dm_yaml *y, int index);
size_t dm_yaml_line(const yaml_node_t *node);
bool dm_yaml_is_null(const yaml_node_t *node);
const char *dm_yaml_kind(const yaml_node_t *node); /* "a list" */

/* A single value; borrowed. */
enum dm_status dm_yaml_text(struct dm_yaml *y, const yaml_node_t *node, const char *what, const char **out,
                            struct dm_error *err) DM_MUST_USE;
/* Into an owned text; it must not have been given before. */
enum dm_status dm_yaml_take_text(struct dm_yaml *y, const yaml_node_t *node, const char *what, char **out,
                                 struct dm_error *err) DM_MUST_USE;
/* A list of texts, or one text. */
enum dm_status dm_yaml_names(struct dm_yaml *y, const yaml_node_t *node, const char *what,
                             struct dm_names *out, struct dm_error *err) DM_MUST_USE;
enum dm_status dm_yaml_bool(struct dm_yaml *y, const yaml_node_t *node, const char *what, bool *out,
                            struct dm_error *err) DM_MUST_USE;
/* A whole number from 0 to `max`. */
enum dm_status dm_yaml_count(struct dm_yaml *y, const yaml_node_t *node, const char *what, int64_t max,
                             int64_t *out, struct dm_error *err) DM_MUST_USE;

/* One option of a map: its reader and the word for it. */
struct dm_yaml_option {
    const char *name;
    enum dm_status (*read)(struct dm_yaml *y, const yaml_node_t *value, void *target, struct dm_error *err);
};
/* Reads a map by a table of options (ends with name NULL): unknown and repeated words are errors; `what` is "a schema". */
enum dm_status dm_yaml_map(struct dm_yaml *y, const yaml_node_t *node, const char *what,
                           const struct dm_yaml_option *options, void *target,
                           struct dm_error *err) DM_MUST_USE;

#endif
