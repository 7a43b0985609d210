/* GET /v1/health, for supervisors, load balancers and monitors: is everything that this process is there for being done?
 *
 *   running   200  all sources are followed (or are just starting)
 *   degraded  503  a source is retrying or stopped; what does not need it goes on, pushes too
 *   ending    503  the process was told to end
 *
 * While the condition of a record delete is answered, "condition_seconds" says for how long.
 *
 * With ?live=true only the process itself is asked about: 200 unless it is ending. Starting it anew would not bring a source back. */
#include <microhttpd.h>
#include <sqlite3.h>
#include <string.h>

#include "base/clock.h"
#include "http/http_routes.h"
#include "mirror/mirror.h"

/* Without the error's text, since the question needs no token: status tells it. */
static json_t *source_json(const struct dm_source_status *s)
{
    return json_pack("{s:s, s:s, s:o}", "name", s->name, "state", s->state, "lag_seconds",
                     s->lag_us >= 0 ? json_real((double)s->lag_us / 1e6) : json_null());
}

/* false: the reply says that nobody can tell. */
static bool put_sources(const struct dm_http_request *r, json_t *body, bool *sound,
                        struct dm_http_reply *reply)
{
    struct dm_status_report report = {0};
    struct dm_error err = {0};
    if (dm_mirror_status_sources(r->mirror->config, &report, &err) != DM_OK) {
        dm_http_refuse_error(reply, &err);
        return false;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < report.n_sources; i++) {
        const struct dm_source_status *s = &report.sources[i];
        *sound &= strcmp(s->state, "retrying") != 0 && strcmp(s->state, "stopped") != 0;
        json_array_append_new(list, source_json(s));
    }
    dm_status_report_release(&report);
    json_object_set_new(body, "sources", list);
    return true;
}

void dm_http_health(struct dm_http_request *r, struct dm_http_reply *reply)
{
    bool ending = r->mirror->ending || *r->mirror->stop > 0, sound = true, live = dm_http_query_is(r, "live");
    json_t *body = json_object();
    if (!live && !put_sources(r, body, &sound, reply)) {
        json_decref(body);
        return;
    }
    int64_t since = r->mirror->condition_since_us;
    if (since != 0) /* a long one is no fault: it has its limits, and commits go on */
        json_object_set_new(body, "condition_seconds",
                            json_real((double)(dm_clock_monotonic_us() - since) / 1e6));
    json_object_set_new(body, "state", json_string(ending ? "ending" : sound ? "running" : "degraded"));
    reply->status = ending || !sound ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
    reply->body = body;
}
