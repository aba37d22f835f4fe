/* The cache's heap. Debug builds poison what is freed, and let a test make one allocation of its
 * thread fail. */
#ifndef ZQ_CACHE_ALLOC_H
#define ZQ_CACHE_ALLOC_H

#include <stddef.h>

void *zq_cache_alloc(size_t bytes); /* NULL when out of memory; release: zq_cache_dealloc */
void zq_cache_dealloc(void *p, size_t bytes); /* `bytes` as allocated; NULL is fine */

/* Makes an allocation smaller, perhaps elsewhere; NULL, and it stays as it was, when that fails. */
void *zq_cache_shrink(void *p, size_t bytes);

#ifdef ZQ_DEBUG
/* The n-th allocation from now on fails, once; 0: none does. */
extern _Thread_local unsigned zq_cache_alloc_fails_at;
#endif

#endif
