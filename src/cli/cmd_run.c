/* `datamirror run`: the mirror itself. */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/stop_signal.h"
#include "http/http_server.h"
#include "mirror/mirror.h"

enum { give_up_default_ms = 60 * 1000 };

static enum dm_status start_http(void *ctx, struct dm_mirror *m, struct dm_error *err)
{
    return dm_http_server_start(m, ctx, err);
}

static void stop_http(void *ctx)
{
    struct dm_http_server **server = ctx;
    dm_http_server_stop(*server);
    *server = NULL;
}

static int run(const struct dm_invocation *in)
{
    struct dm_http_server *server = NULL;
    struct dm_config *config = NULL;
    int code = 0;
    bool until_caught_up = dm_invocation_has(in, "until-caught-up");
    int64_t run_for_ms = 0, give_up_ms = 0;
    if (!dm_command_duration(in, "for", 0, &run_for_ms, &code) ||
        !dm_command_duration(in, "give-up-after", until_caught_up ? give_up_default_ms : 0, &give_up_ms,
                             &code) ||
        !dm_command_config(in, &config, &code))
        return code;
    bool json = dm_invocation_has(in, "json");
    dm_log_set_json(json);
    struct dm_mirror_options options = {
        .stop = dm_stop_signal_install(),
        .until_caught_up = until_caught_up,
        .progress = !json && isatty(STDERR_FILENO),
        .run_for_ms = run_for_ms,
        .give_up_ms = give_up_ms,
        .opened = start_http,
        .closing = stop_http,
        .ctx = &server,
    };
    struct dm_error err = {0};
    enum dm_status status = dm_mirror_run(config, &options, &err);
    dm_config_free(config);
    if (status == DM_OK)
        return DM_EXIT_OK;
    if (!json)
        return dm_command_fail(&err);
    dm_log_error(DM_LOG_ERROR, "the mirror ended", &err);
    return dm_command_exit_code(&err);
}

static const struct dm_command_option options[] = {
    DM_OPTION_CONFIG,
    {"until-caught-up", 0, NULL, "end when everything that was in the sources at the start is in the lake"},
    {"give-up-after", 0, "DURATION",
     "end with code 4 when a source has been away this long (default: 60s with --until-caught-up, else "
     "never; 0: never)"},
    {"for", 0, "DURATION", "end cleanly after this long (30s, 10m)"},
    {"json", 0, NULL, "log as JSON, one object a line"},
    DM_OPTION_VERBOSE,
    {NULL, 0, NULL, NULL},
};
static const struct dm_command_exit exits[] = {
    {DM_EXIT_OK, "ended cleanly: asked to stop, caught up, or the time was over"},
    {DM_EXIT_USAGE, "the configuration is wrong, or a setting or privilege is missing"},
    {DM_EXIT_TRY_AGAIN, "a failure that may pass (network, full disk) outlasted --give-up-after"},
    {DM_EXIT_CONFLICT, "another instance runs on this lake, or the slot was taken over"},
    {DM_EXIT_INTERNAL, "a bug, or damage that cannot be mended"},
    {0, NULL},
};

const struct dm_command dm_command_run = {
    .name = "run",
    .arguments = "",
    .summary = "Mirror the sources into the lake until told to stop",
    .about =
        "Copies every table that is not in the lake yet, then follows the changes. Each commit moves all "
        "tables\n"
        "together, at a transaction boundary of the source, and the source is told \"done\" only afterwards: "
        "the process\n"
        "may be killed at any moment and goes on where it was. A source that is away is tried again with "
        "growing waits.\n\n"
        "Ctrl-C or SIGTERM ends it cleanly; a second one ends it at once. One lake has one running mirror.",
    .options = options,
    .examples = "  datamirror run\n"
                "  datamirror run -c shop.yaml --until-caught-up\n"
                "  datamirror run --json 2>> mirror.log\n",
    .exits = exits,
    .run = run,
};
