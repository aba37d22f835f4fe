/* room: super
 *
 * `did you mean`: the nearest of a set of words.
 */
#ifndef ZQ_SUPER_SUGGEST_H
#define ZQ_SUPER_SUGGEST_H

#include <stddef.h>

/* The edit distance (Levenshtein, with swapped neighbours counting once). Words longer than 63
 * bytes are far from everything. */
size_t zq_suggest_distance(const char *a, const char *b);

/* The nearest of `n` words, or the first that begins with `word`; NULL if none is near. */
const char *zq_suggest(const char *word, const char *const *words, size_t n);

#endif
