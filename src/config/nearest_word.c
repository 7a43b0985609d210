#include "config/nearest_word.h"

#include <stdint.h>
#include <string.h>

#define LONGEST 48

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

/* Edits (insert, delete, replace, swap of neighbours) between two words of at most LONGEST characters. */
static size_t edits(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t cost = fold(a[i - 1]) == fold(b[j - 1]) ? 0 : 1;
            now[j] = least(least(now[j - 1] + 1, last[j] + 1), last[j - 1] + cost);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

const char *dm_nearest_word(const char *word, const char *const *candidates, size_t n)
{
    size_t length = strlen(word);
    if (length == 0 || length > LONGEST)
        return NULL;
    const char *best = NULL;
    size_t best_edits = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (candidates[i] == NULL)
            continue;
        size_t m = strlen(candidates[i]);
        if (m > LONGEST)
            continue;
        size_t e = edits(word, length, candidates[i], m);
        if (e < best_edits) {
            best_edits = e;
            best = candidates[i];
        }
    }
    /* A third of the word may be wrong; more than that is a guess that misleads. */
    size_t allowed = length < 3 ? 1 : (length + 2) / 3;
    return best_edits <= allowed ? best : NULL;
}
