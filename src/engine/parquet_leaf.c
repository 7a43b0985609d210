#include "engine/parquet_leaf.h"

#include "engine/duckdb_type.h"

enum { MICROS = 1000000, NANOS = 1000000000, DIGITS_MAX = 38, SCALE_MAX = 1000 };

static bool exact_decimal(const struct dm_parquet_leaf *l)
{
    if (l->precision < 1 || l->precision > DIGITS_MAX || l->scale < 0 || l->scale > l->precision)
        return false;
    int64_t width =
        (int64_t)dm_duckdb_decimal_width((unsigned)l->precision); /* what does not fit there is wrapped */
    return (l->physical == DM_PARQUET_INT32 && width == 4) ||
           (l->physical == DM_PARQUET_INT64 && width == 8) ||
           (l->physical == DM_PARQUET_FIXED && l->length >= 1 && l->length <= width);
}

bool dm_parquet_leaf_exact(const struct dm_parquet_leaf *l)
{
    bool int32 = l->physical == DM_PARQUET_INT32, int64 = l->physical == DM_PARQUET_INT64;
    bool micros = int64 && l->per_second == MICROS;
    if (l->contradictory || l->physical == DM_PARQUET_INT96)
        return false;
    switch (l->logical) {
    case DM_PARQUET_NONE:
    case DM_PARQUET_NULL: return true;
    case DM_PARQUET_STRING:
    case DM_PARQUET_JSON:
        return l->physical == DM_PARQUET_BYTE_ARRAY; /* or the file is refused, and read bare */
    case DM_PARQUET_UUID: return l->physical == DM_PARQUET_FIXED && l->length == 16;
    case DM_PARQUET_HALF: return l->physical == DM_PARQUET_FIXED && l->length == 2;
    case DM_PARQUET_DATE: return int32;
    case DM_PARQUET_TIME: return micros && !l->utc;
    case DM_PARQUET_TIMESTAMP: return micros || (int64 && l->per_second == NANOS && !l->utc);
    case DM_PARQUET_INTEGER: return (int32 && l->bits == 32) || (int64 && l->bits == 64);
    case DM_PARQUET_DECIMAL: return exact_decimal(l);
    case DM_PARQUET_BSON:
    case DM_PARQUET_INTERVAL:
    case DM_PARQUET_OTHER: break;
    }
    return false;
}

bool dm_parquet_leaf_annotated(const struct dm_parquet_leaf *l)
{
    return l->logical != DM_PARQUET_NONE || l->physical == DM_PARQUET_INT96;
}

/* What the annotation says, if it may stand with the physical type. */
static enum dm_meaning meaning_of(const struct dm_parquet_leaf *l)
{
    bool int32 = l->physical == DM_PARQUET_INT32, int64 = l->physical == DM_PARQUET_INT64;
    bool fixed = l->physical == DM_PARQUET_FIXED, bytes = fixed || l->physical == DM_PARQUET_BYTE_ARRAY;
    if (l->physical == DM_PARQUET_INT96)
        return DM_MEANS_INT96;
    switch (l->logical) {
    case DM_PARQUET_STRING:
    case DM_PARQUET_JSON: return bytes ? DM_MEANS_TEXT : DM_MEANS_ITSELF;
    case DM_PARQUET_UUID: return fixed && l->length == 16 ? DM_MEANS_UUID : DM_MEANS_ITSELF;
    case DM_PARQUET_HALF: return fixed && l->length == 2 ? DM_MEANS_HALF : DM_MEANS_ITSELF;
    case DM_PARQUET_INTERVAL: return fixed && l->length == 12 ? DM_MEANS_INTERVAL : DM_MEANS_ITSELF;
    case DM_PARQUET_NULL: return int32 || int64 ? DM_MEANS_NULL : DM_MEANS_ITSELF;
    case DM_PARQUET_DATE: return int32 ? DM_MEANS_DATE : DM_MEANS_ITSELF;
    case DM_PARQUET_TIME: return (int32 || int64) && l->per_second != 0 ? DM_MEANS_TIME : DM_MEANS_ITSELF;
    case DM_PARQUET_TIMESTAMP: return int64 && l->per_second != 0 ? DM_MEANS_MOMENT : DM_MEANS_ITSELF;
    case DM_PARQUET_INTEGER: return (int32 || int64) && !l->is_signed ? DM_MEANS_UNSIGNED : DM_MEANS_ITSELF;
    case DM_PARQUET_DECIMAL: return int32 || int64 || bytes ? DM_MEANS_DECIMAL : DM_MEANS_ITSELF;
    case DM_PARQUET_NONE:
    case DM_PARQUET_BSON:
    case DM_PARQUET_OTHER: break;
    }
    return DM_MEANS_ITSELF;
}

struct dm_parquet_meaning dm_parquet_leaf_meaning(const struct dm_parquet_leaf *l)
{
    struct dm_parquet_meaning m = {.column = l->column, .bare = l->bare};
    bool nanos = l->logical == DM_PARQUET_TIMESTAMP &&
                 l->per_second == NANOS; /* DuckDB takes two of them for infinite */
    if (!l->bare && !nanos && l->logical != DM_PARQUET_NULL)
        return m;
    m.meaning = meaning_of(l);
    m.per_second = l->per_second;
    m.zoned = l->utc;
    m.scale = (int32_t)l->scale;
    m.unknown = m.meaning == DM_MEANS_DECIMAL && (l->scale < -SCALE_MAX || l->scale > SCALE_MAX);
    return m;
}
