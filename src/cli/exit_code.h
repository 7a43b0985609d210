/* exit_code.h — every exit code of `datamirror`, in one list: the names in the program and the table in docs/commands.md are made of it.
 *
 * A code above 70 is left to shells and service managers (128 + signal when a signal ends the process). */
#ifndef DM_CLI_EXIT_CODE_H
#define DM_CLI_EXIT_CODE_H

/* X(name, code, meaning) */
#define DM_EXIT_CODES(X) \
    X(OK, 0, "done; verify: equal; doctor: all is well; status: everything runs") \
    X(NEGATIVE, 1, "the answer is no: verify: different; doctor: something must be mended") \
    X(USAGE, 2, "the command or the configuration is wrong; verify: could not tell") \
    X(STOPPED, 3, "status: the mirror does not run, or a source or dataset is stopped") \
    X(TRY_AGAIN, 4, "it failed for a reason that may pass: network, lock, full disk") \
    X(CONFLICT, 5, "somebody else has it: a second instance, a slot that was taken over") \
    X(DATA, 6, "data that cannot be used: a damaged file, a value that does not fit") \
    X(QUARANTINED, 7, "ingest, sql: all is in, but some rows went to quarantine") \
    X(INTERNAL, 70, "a bug of Data Mirror, or damage that it cannot mend")

#define DM_EXIT_NAME(name, code, meaning) DM_EXIT_##name = (code),
enum dm_exit { DM_EXIT_CODES(DM_EXIT_NAME) };

#endif
