/* commands.h — the declarations that commands.c lists; each is defined in cmd_<name>.c and described in command.h. */
#ifndef DM_CLI_COMMANDS_H
#define DM_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct dm_command dm_command_init;
extern const struct dm_command dm_command_run;
extern const struct dm_command dm_command_status;
extern const struct dm_command dm_command_verify;
extern const struct dm_command dm_command_query;
extern const struct dm_command dm_command_check;
extern const struct dm_command dm_command_quarantine;
extern const struct dm_command dm_command_schema;
extern const struct dm_command dm_command_ingest;
extern const struct dm_command dm_command_sql;
extern const struct dm_command dm_command_delete;
extern const struct dm_command dm_command_expire;
extern const struct dm_command dm_command_resync;
extern const struct dm_command dm_command_doctor;
extern const struct dm_command dm_command_help;
extern const struct dm_command dm_command_version;

#endif
