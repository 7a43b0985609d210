/* float_text.h — inside engine/ only: a float as the shortest text that reads back as the same, in DuckDB's spelling.
 *
 * "1.5", "100000.0", "1e+16", "1e-05", "inf", "-inf", "nan": the fewest digits that are this number and no other; an exponent below -4 and
 * from 16 on. No state; `out` of at least 40 bytes; returns how many bytes it is.
 */
#ifndef DM_ENGINE_FLOAT_TEXT_H
#define DM_ENGINE_FLOAT_TEXT_H

#include <stddef.h>

enum { DM_FLOAT_TEXT_MAX = 40 };

size_t dm_float64_text(double v, char *out);
size_t dm_float32_text(float v, char *out);

#endif
