/* value_parse_number.h — numbers from text, exactly: inside column/, behind value_parse.h.
 *
 * Spelling: sign, digits with a point anywhere, exponent ("1.50", "+7", ".5", "2e3"). An integer may be spelled with a fraction of zeros or
 * an exponent ("12.00", "1e3"), as programs that hold all numbers as floats do. Floats also take NaN, Infinity, inf with a sign, any case.
 */
#ifndef DM_COLUMN_VALUE_PARSE_NUMBER_H
#define DM_COLUMN_VALUE_PARSE_NUMBER_H

#include "column/type.h"

enum dm_parsed {
    DM_PARSED = 0,
    DM_PARSED_WRONG,  /* not of this kind at all */
    DM_PARSED_BEYOND, /* of this kind, but not a value that the type holds */
};

enum dm_parsed dm_parse_int64(const char *text, size_t n, int64_t *out);
/* The unscaled value. BEYOND: more digits than precision and scale hold. */
enum dm_parsed dm_parse_decimal(const char *text, size_t n, unsigned precision, unsigned scale,
                                dm_int128 *out);
/* The nearest value, as is inherent in floats; BEYOND: it would be infinite, or zero for a number that is not. */
enum dm_parsed dm_parse_float64(const char *text, size_t n, double *out);
enum dm_parsed dm_parse_float32(const char *text, size_t n, float *out);

#endif
