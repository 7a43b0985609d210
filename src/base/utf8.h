/* utf8.h — is a text valid UTF-8, and are two the same but for case? DuckDB replaces an invalid text by NULL without a word, and Parquet readers refuse it, so
 * whoever brings text in asks first. */
#ifndef DM_BASE_UTF8_H
#define DM_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Unicode's table 3-7: no surrogates, no overlong forms, nothing above U+10FFFF. NUL is valid. */
bool dm_utf8_valid(const uint8_t *bytes, size_t n);
/* The character that begins here; *length: its bytes, 0 when none does. n > 0. */
uint32_t dm_utf8_character(const uint8_t *p, size_t n, size_t *length);
/* How many of the first `most` bytes are whole characters. text[most] is there: a text's end, or what is cut off. */
size_t dm_utf8_whole(const char *text, size_t most);
/* Are two texts the same but for the case of letters, of whatever alphabet? Character by character by the C library's Unicode tables: "GRÖßE" is "größe", but
 * "GRÖSSE" is another word. What is not UTF-8 is compared byte by byte. */
bool dm_utf8_same_letters(const char *a, size_t a_n, const char *b, size_t b_n);

#endif
