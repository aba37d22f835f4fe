/* room: super */
#include "suggest.h"

#include <string.h>

#define WORD_MAX 63

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t zq_suggest_distance(const char *a, const char *b)
{
    size_t an = strlen(a), bn = strlen(b);
    size_t d[WORD_MAX + 1][WORD_MAX + 1];

    if (an > WORD_MAX || bn > WORD_MAX)
        return (size_t)-1;
    for (size_t i = 0; i <= an; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= bn; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= an; i++)
        for (size_t j = 1; j <= bn; j++) {
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
                            d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[an][bn];
}

const char *zq_suggest(const char *word, const char *const *words, size_t n)
{
    size_t length = strlen(word), bound = least(3, 1 + length / 4), nearest = bound + 1;
    const char *found = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t distance = zq_suggest_distance(word, words[i]);

        if (distance < nearest) {
            nearest = distance;
            found = words[i];
        }
    }
    for (size_t i = 0; i < n && !found && length >= 3; i++)
        if (strncmp(word, words[i], length) == 0)
            found = words[i];
    return found;
}
