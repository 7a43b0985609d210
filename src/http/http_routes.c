#include "http/http_routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "http/http_parameters.h"

#define SCHEMAS "/data/foundation/schemaregistry/tenant/schemas"
#define DESCRIPTORS "/data/foundation/schemaregistry/tenant/descriptors"
#define WORK_ORDERS "/data/core/hygiene/workorder"

static const struct dm_http_route routes[] = {
    {"POST", "/v1/datasets/{}/changes", DM_HTTP_CHANGES, false,
     DM_HTTP_DRY_RUN | DM_HTTP_DELIMITER | DM_HTTP_NULL | DM_HTTP_STRICT_COLUMNS, dm_http_push},
    {"GET", "/v1/health", DM_HTTP_NO_BODY, true, DM_HTTP_LIVE, dm_http_health},
    {"GET", SCHEMAS, DM_HTTP_NO_BODY, false, 0, dm_http_schemas},
    {"POST", SCHEMAS, DM_HTTP_JSON, false, DM_HTTP_DRY_RUN, dm_http_schema_create},
    {"GET", SCHEMAS "/{}", DM_HTTP_NO_BODY, false, 0, dm_http_schema},
    {"PUT", SCHEMAS "/{}", DM_HTTP_JSON, false, DM_HTTP_DRY_RUN | DM_HTTP_DROP_COLUMNS,
     dm_http_schema_replace},
    {"DELETE", SCHEMAS "/{}", DM_HTTP_NO_BODY, false, DM_HTTP_DROP_ROWS, dm_http_schema_delete},
    {"GET", DESCRIPTORS, DM_HTTP_NO_BODY, false, DM_HTTP_SCHEMA, dm_http_descriptors},
    {"POST", DESCRIPTORS, DM_HTTP_JSON, false, DM_HTTP_DRY_RUN, dm_http_descriptor_create},
    {"GET", DESCRIPTORS "/{}", DM_HTTP_NO_BODY, false, 0, dm_http_descriptor},
    {"PUT", DESCRIPTORS "/{}", DM_HTTP_JSON, false, DM_HTTP_DRY_RUN, dm_http_descriptor_replace},
    {"DELETE", DESCRIPTORS "/{}", DM_HTTP_NO_BODY, false, 0, dm_http_descriptor_delete},
    {"GET", WORK_ORDERS, DM_HTTP_NO_BODY, false, 0, dm_http_work_orders},
    {"POST", WORK_ORDERS, DM_HTTP_JSON, false, DM_HTTP_DRY_RUN, dm_http_work_order_create},
    {"GET", WORK_ORDERS "/{}", DM_HTTP_NO_BODY, false, 0, dm_http_work_order},
    {"PUT", WORK_ORDERS "/{}", DM_HTTP_JSON, false, 0, dm_http_work_order_rename},
};

static bool matches(const char *pattern, const char *path, char **parameter)
{
    const char *hole = strstr(pattern, "{}");
    if (hole == NULL)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(hole - pattern);
    const char *after = hole + 2;
    if (strncmp(pattern, path, before) != 0)
        return false;
    size_t segment = strcspn(path + before, "/");
    if (segment == 0 || strcmp(path + before + segment, after) != 0)
        return false;
    *parameter = dm_xasprintf("%.*s", (int)segment, path + before);
    return true;
}

const struct dm_http_route *dm_http_route_find(const char *method, const char *path, char **parameter,
                                               bool *path_known)
{
    *path_known = false;
    *parameter = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        char *found = NULL;
        if (!matches(routes[i].pattern, path, &found))
            continue;
        if (strcmp(routes[i].method, method) == 0) {
            *parameter = found;
            return &routes[i];
        }
        *path_known = true;
        free(found);
    }
    return NULL;
}
