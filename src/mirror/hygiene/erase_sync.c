/* What was removed stays away after a power cut.
 *
 * unlink changes a folder in memory; until the folder is synced, a power cut brings the file back, whole. Where the lake removes files for
 * tidiness that does no harm: they are removed again. But "no byte is left" must hold on the disk before it is said. The folders of the datasets are synced by
 * their sweep (lake/sweep.c); here are the temporary ones, whose names begin with a dot, wherever in the lake's folder they are.
 */
#include <ftw.h>

#include "base/file.h"
#include "mirror/hygiene/erase.h"

static int sync_hidden(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    struct dm_error err;
    bool dataset = ftw->level == 1 && path[ftw->base] != '.';
    if (kind != FTW_D || dataset)
        return dataset ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
    if (dm_file_sync(path, &err) == DM_OK || !dm_file_exists(path)) /* somebody else's, gone meanwhile */
        return FTW_CONTINUE;
    return FTW_STOP;
}

enum dm_status dm_erase_sync_temporary(const char *lake, struct dm_error *err)
{
    if (nftw(lake, sync_hidden, 32, FTW_PHYS | FTW_ACTIONRETVAL) == 0)
        return DM_OK;
    return dm_fail_errno(err, "cannot sync the temporary folders of %s", lake);
}
