/* folder_watch.h — a source of type `files`: takes the files of a folder into a declared dataset, in order of name, each exactly once.
 *
 * A file is taken in one commit together with its receipt: name, size, time of change and a hash of its content. So it is taken once across restarts and
 * kills; touching it changes nothing; written anew it is taken again (and the versions decide what of it is news). Nothing is moved or changed in the
 * folder. A file is left alone while it grows, and the files after it wait, so none is overtaken silently. At a file that cannot be read as a
 * whole the source stops (the status says why) until the file changes or goes, or goes on behind it: on_bad_file.
 *
 * Runs in a thread of its own, beside the pipelines of the other sources; returns when the mirror stops, when all files that are there are taken
 * (until_caught_up), or with an error that no waiting mends.
 */
#ifndef DM_MIRROR_FOLDER_WATCH_H
#define DM_MIRROR_FOLDER_WATCH_H

#include "mirror/pipeline.h"

enum dm_status dm_folder_watch_run(const struct dm_pipeline_options *options,
                                   struct dm_error *err) DM_MUST_USE;

#endif
