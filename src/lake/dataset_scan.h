/* dataset_scan.h — the files of a dataset as the engine reads them: visible rows only.
 *
 * What comes out borrows paths and vectors from the dataset, and is good as long as that is. No failure.
 *
 *     struct dm_scan_file *files = dm_dataset_scan(d);
 *     dm_parquet_scan(engine, files, d->n_files, …);
 *     free(files);
 */
#ifndef DM_LAKE_DATASET_SCAN_H
#define DM_LAKE_DATASET_SCAN_H

#include "engine/parquet_read.h"
#include "lake/lake.h"

struct dm_scan_file dm_data_file_scan(const struct dm_data_file *f);
/* All files of the dataset, in their order; malloc, never NULL. */
struct dm_scan_file *dm_dataset_scan(const struct dm_dataset *d);

#endif
