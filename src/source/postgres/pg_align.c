#include "source/postgres/pg_align.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define IMPOSSIBLE (-1000000)

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* A name as it was known before weighs more than a name of today: the message is older than today. */
static int fit(const struct pg_message_column *c, const struct pg_attribute *a)
{
    bool before = same(c->name, a->name_before), now = same(c->name, a->name_now);
    int score = 8 * before + 5 * now + (c->type == a->type_now || c->type == a->type_before);
    if (!before && a->name_now == NULL)
        score += a->changed_since ? 4 : -4;
    else if (!before && !now && !a->changed_since)
        score -= 6;
    return score;
}

/* best[i][j]: the best score of the first i columns among the first j attributes. */
bool pg_align(const struct pg_message_column *columns, size_t n, const struct pg_attribute *attributes,
              size_t m, bool uncommitted, int32_t *attnums)
{
    size_t total = m + (uncommitted ? n : 0), row = total + 1;
    if (n > total)
        return false;
    int *best = dm_xzalloc((n + 1) * row, sizeof *best);
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 0; j <= total; j++) {
            int score = IMPOSSIBLE;
            if (j >= i) {
                score = best[(i - 1) * row + j - 1] + (j <= m ? fit(&columns[i - 1], &attributes[j - 1]) : 0);
                if (best[i * row + j - 1] >= score)
                    score = best[i * row + j - 1];
            }
            best[i * row + j] = score;
        }
    }
    int32_t last = m > 0 ? attributes[m - 1].attnum : 0;
    for (size_t i = n, j = total; i > 0; i--) {
        while (best[i * row + j] == best[i * row + j - 1]) /* the leftmost place of the best score */
            j--;
        attnums[i - 1] = j <= m ? attributes[j - 1].attnum : last + (int32_t)(j - m);
        j--;
    }
    free(best);
    return true;
}

bool pg_align_guessed(const struct pg_message_column *columns, size_t n,
                      const struct pg_attribute *attributes, size_t m, const int32_t *attnums)
{
    for (size_t i = 0, j = 0; i < n; i++) {
        /* The attributes between the neighbours' own are those that this column could be. */
        int32_t end = i + 1 < n ? attnums[i + 1] : INT32_MAX;
        bool named = false;
        size_t others = 0;
        for (; j < m && attributes[j].attnum < end; j++) {
            const struct pg_attribute *a = &attributes[j];
            if (a->attnum == attnums[i])
                named = same(columns[i].name, a->name_before) || same(columns[i].name, a->name_now);
            else if (a->changed_since && (i == 0 || a->attnum > attnums[i - 1]))
                others++;
        }
        if (!named && others > 0)
            return true;
        while (j > 0 && attributes[j - 1].attnum > attnums[i]) /* the next column could be them too */
            j--;
    }
    return false;
}
