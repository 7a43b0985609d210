/* exit_code.h — every exit code of `datamirror`, in one place; docs/commands.md shows the same table.
 *
 * A code above 70 is left to shells and service managers (128 + signal when a signal ends the process). */
#ifndef DM_CLI_EXIT_CODE_H
#define DM_CLI_EXIT_CODE_H

enum dm_exit {
    DM_EXIT_OK = 0,        /* done; verify: equal; doctor: all is well; status: everything runs */
    DM_EXIT_NEGATIVE = 1,  /* the honest answer is no: verify: different; doctor: something must be mended */
    DM_EXIT_USAGE = 2,     /* the command or the configuration is wrong; verify: could not tell */
    DM_EXIT_STOPPED = 3,   /* status: the mirror does not run, or a dataset or source is stopped */
    DM_EXIT_TRY_AGAIN = 4, /* it failed for a reason that may pass: network, lock, disk full */
    DM_EXIT_CONFLICT = 5,  /* somebody else has it: a second instance, a slot that was taken over */
    DM_EXIT_DATA = 6,      /* data that cannot be used: a damaged file, a value that does not fit */
    DM_EXIT_QUARANTINED = 7, /* ingest, sql: done, but some rows went to quarantine */
    DM_EXIT_INTERNAL = 70,   /* our own bug, or damage that we cannot mend */
};

#endif
