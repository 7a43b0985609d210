/* nearest_word.h — "did you mean …?": the candidate that a mistyped word most likely stands for. Thread safe. */
#ifndef DM_CONFIG_NEAREST_WORD_H
#define DM_CONFIG_NEAREST_WORD_H

#include <stddef.h>

/* The closest of the n candidates (NULL entries are skipped), or NULL when none is close. Borrowed. */
const char *dm_nearest_word(const char *word, const char *const *candidates, size_t n);

#endif
