#include "cache/alloc.h"

#include <stdlib.h>
#include <string.h>

#ifdef ZQ_DEBUG
_Thread_local unsigned zq_cache_alloc_fails_at;
#define POISON 0xdb
#endif

void *zq_cache_alloc(size_t bytes)
{
#ifdef ZQ_DEBUG
    if (zq_cache_alloc_fails_at > 0 && --zq_cache_alloc_fails_at == 0)
        return NULL;
#endif
    return malloc(bytes);
}

void zq_cache_dealloc(void *p, size_t bytes)
{
#ifdef ZQ_DEBUG
    if (p != NULL)
        memset(p, POISON, bytes);
#else
    (void)bytes;
#endif
    free(p);
}

void *zq_cache_shrink(void *p, size_t bytes)
{
    return realloc(p, bytes);
}
