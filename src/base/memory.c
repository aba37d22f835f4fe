#include "zq/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

void zq_memory_keep(size_t block_bytes, size_t bytes)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, (int)block_bytes);
    mallopt(M_TRIM_THRESHOLD, (int)bytes);
#else
    (void)block_bytes;
    (void)bytes;
#endif
}

/* ---- buffers ---- */

void zq_buf_fini(struct zq_buf *b)
{
    free(b->p);
    *b = (struct zq_buf){0};
}

static bool grow(struct zq_buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : 256;

    while (cap < need) {
        if (cap > SIZE_MAX / 2)
            return false;
        cap *= 2;
    }
    char *p = malloc(cap);
    if (p == NULL)
        return false;
    if (b->n > 0)
        memcpy(p, b->p + b->off, b->n);
    free(b->p);
    b->p = p;
    b->off = 0;
    b->cap = cap;
    return true;
}

char *zq_buf_reserve(struct zq_buf *b, size_t n)
{
    if (n > SIZE_MAX - b->n - b->off)
        return NULL;
    if (b->off + b->n + n <= b->cap && b->p != NULL)
        return b->p + b->off + b->n;
    if (b->n + n <= b->cap && b->off >= b->n) {
        /* The data fits in front of itself without overlap: moving is cheaper than growing. */
        memcpy(b->p, b->p + b->off, b->n);
        b->off = 0;
    } else if (!grow(b, b->n + n)) {
        return NULL;
    }
    return b->p + b->off + b->n;
}

int zq_buf_append(struct zq_buf *b, const void *p, size_t n)
{
    if (n == 0)
        return 0;
    char *to = zq_buf_reserve(b, n);
    if (to == NULL)
        return ZQ_ENOMEM;
    memcpy(to, p, n);
    b->n += n;
    return 0;
}

int zq_buf_vprintf(struct zq_buf *b, const char *format, va_list arguments)
{
    for (size_t room = 128;;) {
        char *to = zq_buf_reserve(b, room);
        if (to == NULL)
            return ZQ_ENOMEM;
        va_list again;
        va_copy(again, arguments);
        int n = vsnprintf(to, room, format, again);
        va_end(again);
        if (n < 0)
            return ZQ_EINVAL;
        if ((size_t)n < room) {
            b->n += (size_t)n;
            return 0;
        }
        room = (size_t)n + 1;
    }
}

int zq_buf_printf(struct zq_buf *b, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int error = zq_buf_vprintf(b, format, arguments);
    va_end(arguments);
    return error;
}

void zq_buf_consume(struct zq_buf *b, size_t n)
{
    ZQ_ASSERT(n <= b->n);
    b->off += n;
    b->n -= n;
    if (b->n == 0)
        b->off = 0;
}

/* ---- chunks ---- */

struct zq_chunk *zq_chunk_new(size_t size)
{
    struct zq_chunk *chunk = malloc(sizeof(*chunk) + size);

    if (chunk != NULL) {
        atomic_init(&chunk->refs, 1);
        chunk->size = size;
        chunk->release = NULL;
    }
    return chunk;
}

void zq_chunk_ref(struct zq_chunk *chunk)
{
    atomic_fetch_add_explicit(&chunk->refs, 1, memory_order_relaxed);
}

void zq_chunk_unref(struct zq_chunk *chunk)
{
    if (chunk == NULL || atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (chunk->release != NULL)
        chunk->release(chunk);
    free(chunk);
}

/* Acquire: what the others read was read before it is overwritten. */
bool zq_chunk_is_mine(const struct zq_chunk *chunk)
{
    return atomic_load_explicit(&chunk->refs, memory_order_acquire) == 1;
}

/* ---- arenas ---- */

struct zq_arena_block {
    struct zq_arena_block *older;
    size_t cap;
    _Alignas(16) char data[];
};

#define ARENA_BLOCK_BYTES 4096

static struct zq_arena_block *new_block(size_t least)
{
    size_t cap = ARENA_BLOCK_BYTES - sizeof(struct zq_arena_block);

    if (cap < least)
        cap = least;
    struct zq_arena_block *block = malloc(sizeof(*block) + cap);
    if (block != NULL)
        *block = (struct zq_arena_block){.cap = cap};
    return block;
}

static void use_block(struct zq_arena *a, struct zq_arena_block *block)
{
    *a = (struct zq_arena){.head = block, .next = block->data, .left = block->cap};
}

void *zq_arena_alloc_block(struct zq_arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    struct zq_arena_block *block = new_block((n + 15) & ~(size_t)15);
    if (block == NULL)
        return NULL;
    block->older = a->head;
    use_block(a, block);
    return zq_arena_alloc(a, n);
}

struct zq_slice zq_arena_copy(struct zq_arena *a, struct zq_slice s)
{
    char *p = zq_arena_alloc(a, s.n ? s.n : 1);

    if (p == NULL)
        return (struct zq_slice){0};
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return zq_slice(p, s.n);
}

void zq_arena_reset(struct zq_arena *a)
{
    while (a->head != NULL && a->head->older != NULL) {
        struct zq_arena_block *older = a->head->older;
        free(a->head);
        a->head = older;
    }
    if (a->head != NULL)
        use_block(a, a->head);
}

void zq_arena_fini(struct zq_arena *a)
{
    zq_arena_reset(a);
    free(a->head);
    *a = (struct zq_arena){0};
}
