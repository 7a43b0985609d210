/* folder_scan.h — the files of a watched folder, by name, and what is known of each.
 *
 * A scan lists the folder again and carries over what is known of files that did not change since the last one. Names that end in .tmp, and what is no regular
 * file, are left out. Names that begin with _ or . are markers ("_SUCCESS"): listed so that they can be told once, never to be taken. Embedded; zeroed is empty. One thread.
 */
#ifndef DM_MIRROR_FOLDER_SCAN_H
#define DM_MIRROR_FOLDER_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum dm_watched_state {
    DM_WATCHED_NEW = 0, /* not looked at yet, or it changed */
    DM_WATCHED_TAKEN,
    DM_WATCHED_BAD,
    DM_WATCHED_MARKER, /* no file of changes */
    DM_WATCHED_LINK,   /* a symbolic link that is not followed */
};

struct dm_watched_file {
    char *name;
    uint64_t bytes;
    int64_t changed_ns; /* mtime, since 1970 */
    bool settled;       /* it was the same in the scan before, or has not changed for the time given */
    enum dm_watched_state state;
    char *problem;    /* BAD */
    int64_t tried_us; /* BAD: when, monotonic */
    bool told;        /* MARKER, LINK: people know */
};

struct dm_folder_scan {
    size_t n;
    struct dm_watched_file *files; /* by name, bytewise */
};

/* settled_after_ms: a file seen for the first time counts as settled when it has not changed for that long. */
/* links: symbolic links are followed to files below the folder (and never to others, which may be somebody else's). */
enum dm_status dm_folder_scan(struct dm_folder_scan *scan, const char *folder, const char *pattern,
                              bool links, int64_t settled_after_ms, struct dm_error *err) DM_MUST_USE;
void dm_folder_scan_release(struct dm_folder_scan *scan);

#endif
