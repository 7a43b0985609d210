/* The list of all commands, in the order of the help. */
#include "cli/commands.h"

const struct dm_command *const dm_commands[] = {
    &dm_command_init,
    &dm_command_run,
    &dm_command_status,
    &dm_command_verify,
    &dm_command_query,
    &dm_command_schema,
    &dm_command_ingest,
    &dm_command_sql,
    &dm_command_check,
    &dm_command_quarantine,
    &dm_command_delete,
    &dm_command_expire,
    &dm_command_resync,
    &dm_command_doctor,
    &dm_command_help,
    &dm_command_version,
    NULL,
};
