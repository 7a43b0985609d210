/* shown.h — the one way from values to a terminal or a line of a log.
 *
 * Names, values and messages come from others: a control character in them could move the cursor, hide what stands before it, or begin a line that we did
 * not write. So what is shown has these written out: controls (\n, \t, \r, \x1b, and U+0080 to U+009F as \x9b), bytes that are no UTF-8 (\xff), and characters
 * that turn the direction of text or end a line (\u202e). Everything else stays as it is, also backslashes.
 *
 *     dm_print(stdout, "%s: %zu rows\n", name, n);      // line ends of the format are ours; those in `name` are written out
 *
 * dm_print knows: %s (also %.*s, %-24s), %c, %d %i %u %x %X %o with hh h l ll j z t, %f %g %e, %p, %%.
 */
#ifndef DM_BASE_SHOWN_H
#define DM_BASE_SHOWN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

/* The text as it may be shown; malloc'ed. */
char *dm_shown(const char *text, size_t n);
/* Is this character written out? */
bool dm_shown_written(uint32_t c);
/* Formats, with each text among the arguments as it may be shown; malloc'ed. */
char *dm_vshown_format(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));
/* As fprintf. Returns the bytes written, or -1. */
int dm_print(FILE *out, const char *fmt, ...) DM_PRINTF(2, 3);
/* A message of several lines (the engine's, with a mark below a word) as such: each further line is indented, so that none poses as one of ours. */
void dm_print_lines(FILE *out, const char *before, const char *text);

#endif
