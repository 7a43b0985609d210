/* temp_folder.h — temporary folders of unit tests that are gone when the test program ends, after a failed test too.
 *
 * cmocka leaves a failed test with a jump, past whatever would have tidied up behind it; so every folder is
 * remembered and removed at exit as well. Children made with fork leave the folders of their parent alone.
 *
 *     char folder[] = "/tmp/dm-collector-XXXXXX";
 *     assert_true(temp_folder_make(folder));
 *     … may be removed by the test itself at any time …
 */
#ifndef DM_TESTS_TEMP_FOLDER_H
#define DM_TESTS_TEMP_FOLDER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { TEMP_FOLDERS_MAX = 256, TEMP_FOLDER_PATH = 256 };

static struct {
    pid_t owner;
    size_t n;
    char paths[TEMP_FOLDERS_MAX][TEMP_FOLDER_PATH];
} temp_folders;

static inline void temp_folders_remove(void)
{
    for (size_t i = 0; i < temp_folders.n && temp_folders.owner == getpid(); i++)
        if (dm_file_remove_tree(temp_folders.paths[i], NULL) != DM_OK)
            fprintf(stderr, "cannot remove %s\n", temp_folders.paths[i]);
}

/* `path` ends in XXXXXX, as for mkdtemp, and holds the name afterwards. */
static inline bool temp_folder_make(char *path)
{
    if (temp_folders.n == TEMP_FOLDERS_MAX || strlen(path) >= TEMP_FOLDER_PATH)
        return false;
    if (temp_folders.owner == 0 && atexit(temp_folders_remove) != 0)
        return false;
    if (temp_folders.owner == 0)
        temp_folders.owner = getpid();
    if (mkdtemp(path) == NULL)
        return false;
    strcpy(temp_folders.paths[temp_folders.n++], path);
    return true;
}

#endif
