/* http_routes.h — what the server answers to: one table of method, path and function. To add a route: one row in http_routes.c. */
#ifndef DM_HTTP_HTTP_ROUTES_H
#define DM_HTTP_HTTP_ROUTES_H

#include "http/http_message.h"

enum dm_http_body {
    DM_HTTP_NO_BODY,
    DM_HTTP_JSON,    /* with Content-Type: application/json (http_gate.h) */
    DM_HTTP_CHANGES, /* of any type that changes can be read from */
};

struct dm_http_route {
    const char *method;
    const char *pattern; /* "/v1/datasets/{}/changes": {} stands for one path segment */
    enum dm_http_body body;
    bool open;           /* without a token */
    unsigned parameters; /* those it takes (http_parameters.h); 0: none */
    void (*answer)(struct dm_http_request *r, struct dm_http_reply *reply);
};

/* The route of this request, and its parameter (malloc'ed, may be NULL). NULL: *path_known says whether another method would do. */
const struct dm_http_route *dm_http_route_find(const char *method, const char *path, char **parameter,
                                               bool *path_known);

void dm_http_push(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_health(struct dm_http_request *r, struct dm_http_reply *reply);

/* http_schemas.c: relational schemas and their descriptors. */
void dm_http_schemas(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_schema(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_schema_create(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_schema_replace(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_schema_delete(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_descriptors(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_descriptor(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_descriptor_create(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_descriptor_replace(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_descriptor_delete(struct dm_http_request *r, struct dm_http_reply *reply);

/* All schemas, read beside commits; false: the reply says why not. Release them. */
struct dm_relational_schemas;
bool dm_http_registry(const struct dm_http_request *r, struct dm_relational_schemas *all,
                      struct dm_http_reply *reply);

/* http_work_orders.c: record deletes. */
void dm_http_work_orders(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_work_order(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_work_order_rename(struct dm_http_request *r, struct dm_http_reply *reply);
void dm_http_work_order_create(struct dm_http_request *r, struct dm_http_reply *reply);

#endif
