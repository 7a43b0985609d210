/* json_shorten.h — numbers of a JSON text with the fewest digits that read back as the same double: 0.1, not 0.10000000000000001. */
#ifndef DM_BASE_JSON_SHORTEN_H
#define DM_BASE_JSON_SHORTEN_H

/* In place, which fits, for nothing gets longer. Whole numbers and what stands in strings stay. Returns `text`. */
char *dm_json_shorten(char *text);

#endif
