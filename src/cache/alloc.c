#include "cache/alloc.h"

#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__
#endif
#endif

#ifdef ZQ_DEBUG
_Thread_local unsigned zq_cache_alloc_fails_at;
#define POISON 0xdb
#endif

bool zq_cache_alloc_fails(void)
{
#ifdef ZQ_DEBUG
    return zq_cache_alloc_fails_at > 0 && --zq_cache_alloc_fails_at == 0;
#else
    return false;
#endif
}

#ifdef __SANITIZE_ADDRESS__

/* `place` is what the heap gave, which is never written to. */
struct shadow {
    _Alignas(16) void *place; /* NULL: outside */
};

static void *wrap(struct zq_heap *heap, void *place, size_t bytes)
{
    struct shadow *shadow = malloc(sizeof(*shadow) + bytes);

    if (shadow == NULL && place != NULL)
        zq_heap_free(heap, place);
    if (shadow == NULL)
        return NULL;
    shadow->place = place;
    return shadow + 1;
}

static void *place_of(void *p)
{
    return ((struct shadow *)p - 1)->place;
}

static bool is_in(const struct zq_heap *heap, const void *p)
{
    (void)heap;
    (void)p;
    return false;
}

static void give(struct zq_heap *heap, void *p)
{
    if (place_of(p) != NULL)
        zq_heap_free(heap, place_of(p));
    free((struct shadow *)p - 1);
}

#else

static void *wrap(struct zq_heap *heap, void *place, size_t bytes)
{
    (void)heap;
    return place != NULL ? place : malloc(bytes);
}

static void *place_of(void *p)
{
    return p;
}

static bool is_in(const struct zq_heap *heap, const void *p)
{
    return heap != NULL && zq_heap_has(heap, p);
}

static void give(struct zq_heap *heap, void *p)
{
    if (is_in(heap, p))
        zq_heap_free(heap, p);
    else
        free(p);
}

#endif

void *zq_cache_alloc(size_t bytes)
{
    return zq_cache_alloc_fails() ? NULL : wrap(NULL, NULL, bytes);
}

void *zq_cache_alloc_in(struct zq_heap *heap, size_t bytes)
{
    void *place = zq_heap_alloc(heap, bytes);

    return place != NULL ? wrap(heap, place, bytes) : NULL;
}

void *zq_cache_alloc_some(struct zq_heap *heap, size_t *bytes)
{
    void *place = zq_heap_alloc_some(heap, bytes);

    return place != NULL ? wrap(heap, place, *bytes) : NULL;
}

size_t zq_cache_size(struct zq_heap *heap, void *p)
{
    return zq_heap_size(heap, place_of(p));
}

void zq_cache_cut(struct zq_heap *heap, void *p, size_t bytes)
{
    zq_heap_cut(heap, place_of(p), bytes);
}

bool zq_cache_renew(struct zq_heap *heap, void *p)
{
    return !is_in(heap, p) || zq_heap_renew(heap, p);
}

void zq_cache_dealloc(struct zq_heap *heap, void *p, size_t bytes)
{
    if (p == NULL)
        return;
#ifdef ZQ_DEBUG
    memset(p, POISON, bytes);
#else
    (void)bytes;
#endif
    give(heap, p);
}
