/* parquet_leaf.h — inside engine/ only: which leaves of a Parquet file DuckDB reads as they are, and what the others mean when it gives them bare. */
#ifndef DM_ENGINE_PARQUET_LEAF_H
#define DM_ENGINE_PARQUET_LEAF_H

#include "engine/value_text.h"
#include "format/parquet_footer.h"

struct dm_parquet_meaning {
    size_t column;
    bool bare;
    bool unknown; /* nobody can tell what its values are */
    enum dm_meaning meaning;
    int64_t per_second;
    bool zoned;
    int32_t scale;
};

/* Is DuckDB's value the very bits of the file (or what is the same, as it is of 16-bit floats), whatever they are? */
bool dm_parquet_leaf_exact(const struct dm_parquet_leaf *leaf);
/* Has it something that can be left away? */
bool dm_parquet_leaf_annotated(const struct dm_parquet_leaf *leaf);
/* leaf->bare says how it is read. */
struct dm_parquet_meaning dm_parquet_leaf_meaning(const struct dm_parquet_leaf *leaf);

#endif
