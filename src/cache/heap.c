#include "cache/heap.h"

#include <stdlib.h>
#include <sys/mman.h>

#define NONE UINT32_MAX
#define NO_PIECE UINT16_MAX

/* What begins at a page; INSIDE: nothing. */
enum kind { INSIDE, BLOCK, SLAB, RUN };

struct zq_page {
    uint32_t next, prev; /* BLOCK: of its order; SLAB with room: of its class */
    uint16_t n;          /* BLOCK: order; SLAB: class; RUN: pages */
    uint16_t live;       /* SLAB: pieces in use, */
    uint16_t piece;      /* and the first that is not */
    uint8_t kind;
};

/* Most that a small response is made of is smaller than FINE_MAX: there the steps are small. From
 * there on, as many bytes as make 19, 18, 17, … 2 pieces a page. */
static const uint16_t class_bytes[ZQ_HEAP_CLASSES] = {
    16,  24,  32,  40,  48,  56,  64,  72,  80,  88,  96,  104,  112,  120,
    128, 136, 144, 152, 160, 168, 176, 184, 192, 200, 208, 224,  240,  256,
    272, 288, 304, 336, 368, 400, 448, 512, 576, 672, 816, 1024, 1360, 2048,
};
#define FINE_MAX 208u
#define FINE_CLASSES 25u

/* ---- classes ---- */

static unsigned class_of(size_t bytes)
{
    unsigned class = FINE_CLASSES;

    if (bytes <= FINE_MAX)
        return bytes > 16 ? (unsigned)((bytes - 9) / 8) : 0;
    while (class_bytes[class] < bytes)
        class ++;
    return class;
}

static size_t pages_of(size_t bytes)
{
    return (bytes + ZQ_HEAP_PAGE - 1) / ZQ_HEAP_PAGE;
}

size_t zq_heap_class(size_t bytes)
{
    return bytes <= ZQ_HEAP_PIECE_MAX ? class_bytes[class_of(bytes)]
                                      : pages_of(bytes) * ZQ_HEAP_PAGE;
}

size_t zq_heap_fit(size_t bytes)
{
    if (bytes <= FINE_MAX || zq_heap_class(bytes) - bytes <= bytes / 8)
        return bytes;
    if (bytes > ZQ_HEAP_PAGE)
        return bytes / ZQ_HEAP_PAGE * ZQ_HEAP_PAGE;
    return bytes > ZQ_HEAP_PIECE_MAX ? ZQ_HEAP_PIECE_MAX : class_bytes[class_of(bytes) - 1];
}

/* ---- lists of pages, by index ---- */

static void push(struct zq_heap *heap, uint32_t *list, uint32_t at)
{
    struct zq_page *page = &heap->pages[at];

    page->prev = NONE;
    page->next = *list;
    if (*list != NONE)
        heap->pages[*list].prev = at;
    *list = at;
}

static void pull(struct zq_heap *heap, uint32_t *list, uint32_t at)
{
    struct zq_page *page = &heap->pages[at];

    if (page->prev != NONE)
        heap->pages[page->prev].next = page->next;
    else
        *list = page->next;
    if (page->next != NONE)
        heap->pages[page->next].prev = page->prev;
}

/* ---- blocks: 2^order pages, at a multiple of that ---- */

static bool is_block(const struct zq_heap *heap, uint32_t at, unsigned order)
{
    return at < heap->n_pages && heap->pages[at].kind == BLOCK && heap->pages[at].n == order;
}

static void put_block(struct zq_heap *heap, uint32_t at, unsigned order)
{
    for (; order < ZQ_HEAP_ORDERS - 1; order++) {
        uint32_t buddy = at ^ (1u << order);
        if (!is_block(heap, buddy, order))
            break;
        pull(heap, &heap->blocks[order], buddy);
        heap->pages[buddy].kind = INSIDE;
        at = buddy < at ? buddy : at;
    }
    heap->pages[at].kind = BLOCK;
    heap->pages[at].n = (uint16_t)order;
    push(heap, &heap->blocks[order], at);
}

/* Takes a block of that order off its list. */
static uint32_t take_block(struct zq_heap *heap, unsigned order)
{
    uint32_t at = heap->blocks[order];

    if (at != NONE) {
        pull(heap, &heap->blocks[order], at);
        heap->pages[at].kind = INSIDE;
    }
    return at;
}

static unsigned log2_down(uint32_t n)
{
    return 31 - (unsigned)__builtin_clz(n);
}

static unsigned log2_up(uint32_t n)
{
    return n > 1 ? log2_down(n - 1) + 1 : 0;
}

/* ---- runs: any number of pages ---- */

static void put_run(struct zq_heap *heap, uint32_t at, uint32_t n)
{
    while (n > 0) {
        unsigned aligned = at > 0 ? (unsigned)__builtin_ctz(at) : ZQ_HEAP_ORDERS - 1;
        unsigned order = log2_down(n);
        order = aligned < order ? aligned : order;
        order = order < ZQ_HEAP_ORDERS ? order : ZQ_HEAP_ORDERS - 1;
        put_block(heap, at, order);
        at += 1u << order;
        n -= 1u << order;
    }
}

/* The smallest block that is large enough gives it, and gets back what is too much. */
static uint32_t take_run(struct zq_heap *heap, uint32_t n)
{
    uint32_t at = NONE;

    for (unsigned order = log2_up(n); order < ZQ_HEAP_ORDERS && at == NONE; order++) {
        at = take_block(heap, order);
        if (at != NONE)
            put_run(heap, at + n, (1u << order) - n);
    }
    return at;
}

static void give_back(struct zq_heap *heap, uint32_t at, uint32_t n)
{
    heap->pages[at].kind = INSIDE;
    put_run(heap, at, n);
    atomic_fetch_sub_explicit(&heap->used, (uint64_t)n * ZQ_HEAP_PAGE, memory_order_relaxed);
}

static uint32_t take_pages(struct zq_heap *heap, uint32_t n, enum kind kind)
{
    uint32_t at = take_run(heap, n);

    if (at == NONE)
        return NONE;
    heap->pages[at].kind = (uint8_t)kind;
    heap->pages[at].n = (uint16_t)n;
    atomic_fetch_add_explicit(&heap->used, (uint64_t)n * ZQ_HEAP_PAGE, memory_order_relaxed);
    return at;
}

static char *address_of(const struct zq_heap *heap, uint32_t at)
{
    return heap->base + (size_t)at * ZQ_HEAP_PAGE;
}

static void *run_alloc(struct zq_heap *heap, size_t n)
{
    uint32_t at = take_pages(heap, (uint32_t)n, RUN);

    return at != NONE ? address_of(heap, at) : NULL;
}

/* ---- slabs: a free piece holds the number of the next one ---- */

static uint32_t slab_new(struct zq_heap *heap, unsigned class)
{
    uint32_t at = take_pages(heap, 1, SLAB);
    unsigned bytes = class_bytes[class], n = ZQ_HEAP_PAGE / bytes;

    if (at == NONE)
        return NONE;
    struct zq_page *page = &heap->pages[at];
    for (unsigned i = 0; i < n; i++) {
        uint16_t next = i + 1 < n ? (uint16_t)(i + 1) : NO_PIECE;
        memcpy(address_of(heap, at) + (size_t)i * bytes, &next, sizeof(next));
    }
    page->n = (uint16_t) class;
    page->live = 0;
    page->piece = 0;
    push(heap, &heap->slabs[class], at);
    return at;
}

/* A slab with room for a piece. Where there is no page for a new one, a larger piece that is free
 * serves as well: else what was evicted would be of no use to others than of its class. */
static uint32_t slab_for(struct zq_heap *heap, unsigned class)
{
    unsigned most = 2u * class_bytes[class];
    uint32_t at = heap->slabs[class];

    if (at == NONE)
        at = slab_new(heap, class);
    while (at == NONE && ++class < ZQ_HEAP_CLASSES && class_bytes[class] <= most)
        at = heap->slabs[class];
    return at;
}

static void *piece_alloc(struct zq_heap *heap, size_t bytes)
{
    uint32_t at = slab_for(heap, class_of(bytes));

    if (at == NONE)
        return NULL;
    struct zq_page *page = &heap->pages[at];
    char *piece = address_of(heap, at) + (size_t)page->piece * class_bytes[page->n];
    memcpy(&page->piece, piece, sizeof(page->piece));
    page->live++;
    if (page->piece == NO_PIECE)
        pull(heap, &heap->slabs[page->n], at);
    return piece;
}

static void piece_free(struct zq_heap *heap, uint32_t at, char *piece)
{
    struct zq_page *page = &heap->pages[at];
    uint32_t *list = &heap->slabs[page->n];

    if (page->piece == NO_PIECE)
        push(heap, list, at);
    memcpy(piece, &page->piece, sizeof(page->piece));
    page->piece = (uint16_t)((size_t)(piece - address_of(heap, at)) / class_bytes[page->n]);
    if (--page->live > 0)
        return;
    pull(heap, list, at);
    give_back(heap, at, 1);
}

/* ---- the door ---- */

static void count(struct zq_heap *heap, int64_t bytes)
{
    atomic_fetch_add_explicit(&heap->live, (uint64_t)bytes, memory_order_relaxed);
}

static uint32_t page_of(const struct zq_heap *heap, const void *p)
{
    ZQ_ASSERT(zq_heap_has(heap, p));
    return (uint32_t)((size_t)((const char *)p - heap->base) / ZQ_HEAP_PAGE);
}

/* Of an allocation that begins in that page. */
static size_t size_of(const struct zq_heap *heap, uint32_t at)
{
    const struct zq_page *page = &heap->pages[at];

    ZQ_ASSERT(page->kind == RUN || page->kind == SLAB);
    return page->kind == SLAB ? class_bytes[page->n] : (size_t)page->n * ZQ_HEAP_PAGE;
}

size_t zq_heap_size(struct zq_heap *heap, const void *p)
{
    zq_lock_take(&heap->lock);
    size_t bytes = size_of(heap, page_of(heap, p));
    zq_lock_give(&heap->lock);
    return bytes;
}

/* Locked. */
static void *alloc(struct zq_heap *heap, size_t bytes)
{
    void *p = NULL;

    ZQ_LOCK_HELD(&heap->lock);
    if (bytes <= ZQ_HEAP_PIECE_MAX)
        p = piece_alloc(heap, bytes);
    else if (bytes <= ZQ_HEAP_MAX)
        p = run_alloc(heap, pages_of(bytes));
    if (p != NULL)
        count(heap, (int64_t)size_of(heap, page_of(heap, p)));
    return p;
}

void *zq_heap_alloc(struct zq_heap *heap, size_t bytes)
{
    zq_lock_take(&heap->lock);
    void *p = alloc(heap, bytes);
    zq_lock_give(&heap->lock);
    return p;
}

void *zq_heap_alloc_some(struct zq_heap *heap, size_t *bytes)
{
    zq_lock_take(&heap->lock);
    void *p = alloc(heap, *bytes);
    size_t pages = *bytes > ZQ_HEAP_MAX ? ZQ_HEAP_MAX / ZQ_HEAP_PAGE : *bytes / ZQ_HEAP_PAGE;
    for (; p == NULL && pages > 0; pages /= 2) {
        size_t less = ((size_t)1 << log2_down((uint32_t)pages)) * ZQ_HEAP_PAGE;
        p = alloc(heap, less);
        *bytes = p != NULL ? less : *bytes;
    }
    zq_lock_give(&heap->lock);
    return p;
}

void zq_heap_cut(struct zq_heap *heap, void *p, size_t bytes)
{
    uint32_t at = page_of(heap, p), n = (uint32_t)pages_of(bytes);

    zq_lock_take(&heap->lock);
    struct zq_page *page = &heap->pages[at];
    if (page->kind == RUN && n > 0 && n < page->n) {
        uint32_t less = page->n - n;
        page->n = (uint16_t)n;
        count(heap, -(int64_t)less * ZQ_HEAP_PAGE);
        give_back(heap, at + n, less);
    }
    zq_lock_give(&heap->lock);
}

void zq_heap_free(struct zq_heap *heap, void *p)
{
    uint32_t at = page_of(heap, p);

    zq_lock_take(&heap->lock);
    struct zq_page *page = &heap->pages[at];
    count(heap, -(int64_t)size_of(heap, at));
    if (page->kind == SLAB)
        piece_free(heap, at, p);
    else
        give_back(heap, at, page->n);
    zq_lock_give(&heap->lock);
}

/* What a socket's queue refers to stays what it was: only the range lets go of the pages. That they
 * are anonymous matters: of a file's large pages the system would zero a part where it is. */
bool zq_heap_renew(struct zq_heap *heap, void *p)
{
    size_t bytes = zq_heap_size(heap, p);

    ZQ_ASSERT(bytes % ZQ_HEAP_PAGE == 0);
    if (madvise(p, bytes, MADV_DONTNEED) == 0)
        return true;
    zq_lock_take(&heap->lock);
    heap->lost += bytes;
    zq_lock_give(&heap->lock);
    return false;
}

/* ---- life ---- */

bool zq_heap_init(struct zq_heap *heap, uint64_t bytes)
{
    uint64_t n = bytes / (ZQ_HEAP_PAGE + sizeof(struct zq_page));

    *heap = (struct zq_heap){.n_pages = n < NONE ? (uint32_t)n : NONE};
    zq_lock_init(&heap->lock, ZQ_LOCK_HEAP);
    memset(heap->blocks, 0xff, sizeof(heap->blocks));
    memset(heap->slabs, 0xff, sizeof(heap->slabs));
    if (heap->n_pages == 0)
        return true;
    heap->pages = calloc(heap->n_pages, sizeof(*heap->pages));
    void *base = mmap(NULL, (size_t)heap->n_pages * ZQ_HEAP_PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    heap->base = base != MAP_FAILED ? base : NULL;
    if (heap->base == NULL || heap->pages == NULL)
        return false;
    put_run(heap, 0, heap->n_pages);
    return true;
}

void zq_heap_fini(struct zq_heap *heap)
{
    ZQ_ASSERT(zq_heap_used(heap) == heap->lost && zq_heap_live(heap) == heap->lost);
    if (heap->base != NULL)
        munmap(heap->base, (size_t)heap->n_pages * ZQ_HEAP_PAGE);
    free(heap->pages);
    zq_lock_fini(&heap->lock);
}
