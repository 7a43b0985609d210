/* json_output.h — one JSON object a line on stdout, for machines. NULL texts and unknown times become null.
 * Texts that are not UTF-8 keep their readable part: bytes that are not are shown as U+FFFD. */
#ifndef DM_CLI_JSON_OUTPUT_H
#define DM_CLI_JSON_OUTPUT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

void dm_json_text(json_t *object, const char *key, const char *text);
void dm_json_count(json_t *object, const char *key, uint64_t n);
void dm_json_seconds(json_t *object, const char *key, int64_t us);   /* negative: null */
void dm_json_time(json_t *object, const char *key, int64_t wall_us); /* 0: null */
/* Prints the object and a newline, and releases it. */
void dm_json_print(json_t *take_object, FILE *out);
void dm_json_print_as(json_t *take_value, size_t flags, FILE *out); /* of jansson: JSON_INDENT(2) */

#endif
