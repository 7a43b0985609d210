/* stop_signal.h — SIGINT and SIGTERM as a counter that long calls poll: 1 asks for a clean end, 2 for one at once.
 *
 * After the second signal the process ends by itself within a second, whatever it is waiting for: everything is made so that a
 * process may be killed at any moment. One per process. */
#ifndef DM_CLI_STOP_SIGNAL_H
#define DM_CLI_STOP_SIGNAL_H

#include <stdatomic.h>

/* Installs the handlers (and ignores SIGPIPE, so that a closed connection is an error and not the end); returns the counter. */
const atomic_int *dm_stop_signal_install(void);

/* The same without words, for commands that only look: SIGPIPE keeps ending them. */
const atomic_int *dm_stop_signal_install_quiet(void);

#endif
