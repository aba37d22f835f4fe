/* The store's memory: one range of addresses, mapped at the start, and never more. So whatever is
 * asked of it, in whatever order, no more than that range is ever resident for the store.
 *
 * The range is cut into pages of 4 KiB. Up to 2 KiB an allocation takes a piece of a slab: a page
 * of pieces of one class. Beyond, it takes a run of whole pages. What is free of pages is kept in
 * blocks of 2^k pages, which join their buddies (Knowlton, 1965); a slab that is empty is free at
 * once. What is counted is what is taken: pages, those in part used as well.
 *
 * The system may be sending from a run that is freed: its pages are in the queues of sockets until
 * the clients have taken them. Such a run is renewed before.
 *
 * Thread-safe: one lock, held for some tens of instructions, behind all others of the cache.
 */
#ifndef ZQ_CACHE_HEAP_H
#define ZQ_CACHE_HEAP_H

#include "cache/lock.h"

#include <stdatomic.h>

#define ZQ_HEAP_PAGE 4096u
#define ZQ_HEAP_ORDERS 9   /* blocks of 1, 2, 4, … 256 pages */
#define ZQ_HEAP_CLASSES 42 /* of pieces, see heap.c */
#define ZQ_HEAP_PIECE_MAX 2048u
#define ZQ_HEAP_MAX (ZQ_HEAP_PAGE << (ZQ_HEAP_ORDERS - 1)) /* of one allocation: 1 MiB */

struct zq_page;
struct zq_heap {
    struct zq_lock lock;
    char *base; /* NULL: of no bytes */
    uint32_t n_pages;
    struct zq_page *pages;
    uint32_t blocks[ZQ_HEAP_ORDERS]; /* the first free block of that many pages */
    uint32_t slabs[ZQ_HEAP_CLASSES]; /* the first slab of that class with room */
    atomic_uint_least64_t used, live;
    uint64_t lost; /* of those, what could not be renewed, and so is never free again */
};

/* Takes `bytes`, with its own tables in them, from the system. False: out of memory. */
bool zq_heap_init(struct zq_heap *heap, uint64_t bytes);
void zq_heap_fini(struct zq_heap *heap); /* nothing is allocated; fine after a failed init */

/* Aligned to 8. NULL: no room, or `bytes` over ZQ_HEAP_MAX. Release: zq_heap_free. */
void *zq_heap_alloc(struct zq_heap *heap, size_t bytes);
/* The same, or where there is no run of so many pages the longest that there is: `*bytes` says how
 * much it became. */
void *zq_heap_alloc_some(struct zq_heap *heap, size_t *bytes);
/* Makes an allocation smaller where it is, by whole pages. */
void zq_heap_cut(struct zq_heap *heap, void *p, size_t bytes);
void zq_heap_free(struct zq_heap *heap, void *p);
/* Gives a run other pages, of zeros, so that whoever writes there next does not write into what is
 * on its way. Some 10 µs for 64 KiB; not locked, as the run is still the caller's alone. False: it
 * must neither be written to nor freed any more. */
bool zq_heap_renew(struct zq_heap *heap, void *p);
static inline bool zq_heap_has(const struct zq_heap *heap, const void *p)
{
    return (uintptr_t)p - (uintptr_t)heap->base < (uint64_t)heap->n_pages * ZQ_HEAP_PAGE;
}

/* What an allocation takes: its class, or its pages; a larger class only where there is no other.
 */
size_t zq_heap_class(size_t bytes);
size_t zq_heap_size(struct zq_heap *heap, const void *p); /* what it took */
/* How much to ask for when the rest may go elsewhere: `bytes` if no more than an eighth of it would
 * be lost, else the largest class below. */
size_t zq_heap_fit(size_t bytes);

static inline uint64_t zq_heap_used(const struct zq_heap *heap) /* in pages that are taken */
{
    return atomic_load_explicit(&heap->used, memory_order_relaxed);
}
static inline uint64_t zq_heap_room(const struct zq_heap *heap) /* in pages that are not */
{
    return (uint64_t)heap->n_pages * ZQ_HEAP_PAGE - zq_heap_used(heap);
}
static inline uint64_t zq_heap_live(const struct zq_heap *heap) /* in allocations */
{
    return atomic_load_explicit(&heap->live, memory_order_relaxed);
}

#endif
