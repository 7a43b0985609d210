#include "lake/dataset_scan.h"

#include "base/memory.h"

struct dm_scan_file dm_data_file_scan(const struct dm_data_file *f)
{
    return (struct dm_scan_file){
        .path = f->path, .number = f->number, .rows = f->rows, .deleted = f->deleted};
}

struct dm_scan_file *dm_dataset_scan(const struct dm_dataset *d)
{
    struct dm_scan_file *files = dm_xzalloc(d->n_files + 1, sizeof *files);
    for (size_t i = 0; i < d->n_files; i++)
        files[i] = dm_data_file_scan(&d->files[i]);
    return files;
}
