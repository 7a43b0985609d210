/* temp_folder.h — a folder for what a command spills, below TMPDIR: only its user may enter, nobody can know its name beforehand.
 *
 * Its owner holds a lock on the file `.lock` in it. Whoever makes the next one removes those of this user whose lock nobody holds: what a killed process left.
 * Where nothing may be written, `path` is one that nothing can be made at: who reads only goes on, who must spill fails there.
 *
 *     struct dm_temp_folder t;
 *     dm_temp_folder_make(&t);           // t.path
 *     dm_temp_folder_remove(&t);         // with all that is in it; a zeroed one is fine
 */
#ifndef DM_BASE_TEMP_FOLDER_H
#define DM_BASE_TEMP_FOLDER_H

struct dm_temp_folder {
    char *path;
    int lock; /* -1: none */
};

void dm_temp_folder_make(struct dm_temp_folder *out);
void dm_temp_folder_remove(struct dm_temp_folder *t);

#endif
