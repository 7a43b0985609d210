/* crash_point.h — where the crash test may kill the process.
 *
 * `DM_CRASH_AT=after-publish:3` makes the third visit of the point named after-publish raise SIGKILL. Without the variable a visit costs
 * one comparison. The points stand between the numbered steps of a commit (see mirror/commit/committer.h and lake/). */
#ifndef DM_BASE_CRASH_POINT_H
#define DM_BASE_CRASH_POINT_H

void dm_crash_point(const char *name);

#endif
