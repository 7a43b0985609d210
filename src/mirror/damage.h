/* damage.h — files of the lake that are missing or were cut, looked for when a writer opens the lake.
 *
 * A mirror that goes on beside a missing data file would publish snapshots that nobody can read, and say that all is well. So every file that the
 * current snapshots refer to is looked at once (there, with its size), before anything is written: a dataset with damage is stopped with the file's
 * name and the way out, the others go on. A declared dataset is stopped until the file is there again; a mirrored one until it was copied anew
 * (resync), since the changes that came meanwhile were not taken in.
 *
 * Cost: one look at a file's name, a few microseconds; at most DM_DAMAGE_LOOKS of them, `doctor` looks at all.
 */
#ifndef DM_MIRROR_DAMAGE_H
#define DM_MIRROR_DAMAGE_H

#include "mirror/target.h"

#define DM_DAMAGE_LOOKS 100000

enum dm_damage_of {
    DM_DAMAGE_DECLARED, /* every writer: before it reads them for the key index */
    DM_DAMAGE_MIRRORED, /* a mirror, before its sources start: a command that writes need not load them all */
};
/* The lake is open, nobody is writing. */
enum dm_status dm_damage_look(struct dm_mirror *m, enum dm_damage_of of, struct dm_error *err) DM_MUST_USE;

#endif
