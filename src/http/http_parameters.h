/* http_parameters.h — what may stand behind the ? of a request: one table of all parameters and their kinds. A route names those it takes; anything else, a
 * value that is none of its kind, and a parameter given twice are refused before anything is done, so that nothing misspelled passes for left out.
 *
 *     dm_http_parameters_check(r, DM_HTTP_DRY_RUN | DM_HTTP_DROP_ROWS, reply)      // false: the reply says why not
 */
#ifndef DM_HTTP_HTTP_PARAMETERS_H
#define DM_HTTP_HTTP_PARAMETERS_H

#include "http/http_message.h"

enum dm_http_parameter {
    DM_HTTP_DRY_RUN = 1,
    DM_HTTP_DROP_COLUMNS = 2,
    DM_HTTP_DROP_ROWS = 4,
    DM_HTTP_DELIMITER = 8,
    DM_HTTP_NULL = 16,
    DM_HTTP_STRICT_COLUMNS = 32,
    DM_HTTP_SCHEMA = 64,
    DM_HTTP_LIVE = 128,
};

/* `allowed`: of the route, a sum of enum dm_http_parameter. */
bool dm_http_parameters_check(const struct dm_http_request *r, unsigned allowed, struct dm_http_reply *reply);

#endif
