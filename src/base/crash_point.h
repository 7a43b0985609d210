/* crash_point.h — where a test may kill the process, or halt it while something happens elsewhere.
 *
 * `DM_CRASH_AT=after-publish:3` makes the third visit of the point named after-publish raise SIGKILL; with
 * `DM_STOP_AT` it is SIGSTOP, until the test sends SIGCONT. Without the variables a visit costs one comparison. The points stand between the numbered steps of a commit (see mirror/commit/committer.h and
 * lake/), and where a copy stands between its snapshot and its tables. */
#ifndef DM_BASE_CRASH_POINT_H
#define DM_BASE_CRASH_POINT_H

void dm_crash_point(const char *name);

#endif
