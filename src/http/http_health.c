/* GET /v1/health: is this process there and taking work? For supervisors and load balancers. */
#include <microhttpd.h>

#include "http/http_routes.h"

void dm_http_health(struct dm_http_request *r, struct dm_http_reply *reply)
{
    bool ending = r->mirror->ending;
    reply->status = ending ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
    reply->body = json_pack("{s:s}", "state", ending ? "ending" : "running");
}
