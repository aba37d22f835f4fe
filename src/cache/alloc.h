/* The cache's allocations: in the store's heap, where they count against --cache-size, or outside.
 * Debug builds poison what is freed, and let a test make one allocation of its thread fail. Where
 * AddressSanitizer runs, each is one of its own, so that it finds what is used after it was freed:
 * the heap then only counts. */
#ifndef ZQ_CACHE_ALLOC_H
#define ZQ_CACHE_ALLOC_H

#include "cache/heap.h"

/* Outside; NULL when out of memory. Release: zq_cache_dealloc, for the heap NULL. */
void *zq_cache_alloc(size_t bytes);

/* In the heap; NULL when it has no room. Locks the heap. Release: zq_cache_dealloc. */
void *zq_cache_alloc_in(struct zq_heap *heap, size_t bytes);
/* The same, or the most that there is in one piece: `*bytes` says how much. */
void *zq_cache_alloc_some(struct zq_heap *heap, size_t *bytes);
/* What an allocation takes of the heap. */
size_t zq_cache_size(struct zq_heap *heap, void *p);
/* Makes an allocation in the heap smaller, where it is. */
void zq_cache_cut(struct zq_heap *heap, void *p, size_t bytes);

/* Before zq_cache_dealloc of what the system may still be sending from: see zq_heap_renew. What
 * lies outside of the heap nobody sends from, and so there is nothing to do. False: it stays as it
 * is. */
bool zq_cache_renew(struct zq_heap *heap, void *p);

/* `bytes` as allocated; NULL is fine. `heap` may be that of a cache that it was not allocated in.
 */
void zq_cache_dealloc(struct zq_heap *heap, void *p, size_t bytes);

#ifdef ZQ_DEBUG
/* The n-th allocation from now on fails, once; 0: none does. */
extern _Thread_local unsigned zq_cache_alloc_fails_at;
#endif
/* Is it now that it has to? Told once, by the call that would have allocated. */
bool zq_cache_alloc_fails(void);

#endif
