/* Content: segments, and the window of what is not stored. */
#include "cache/alloc.h"
#include "cache/entry.h"
#include "cache/store.h"

static size_t segment_bytes(size_t size)
{
    return sizeof(struct zq_segment) + size;
}

/* With its struct, how large a segment shall be: what the announced length leaves, or else twice
 * the last one, and at least what there is to put into it; within the bound. */
static size_t wanted(const struct zq_entry *entry, uint64_t start, size_t need)
{
    uint64_t size = entry->tail != NULL ? (uint64_t)entry->tail->size * 2 : 0;

    if (entry->content_length >= 0 && !entry->no_content)
        size = (uint64_t)entry->content_length - start;
    size = size > need ? size : need;
    return segment_bytes(size < ZQ_SEGMENT_MAX ? (size_t)size : ZQ_SEGMENT_MAX);
}

/* In the store, for some of the `bytes` with its struct. NULL: no room. */
static struct zq_segment *stored_new(struct zq_cache *cache, uint64_t start, size_t bytes)
{
    bytes = zq_heap_class(zq_heap_fit(bytes));
    struct zq_segment *segment = zq_store_alloc_some(cache, &bytes);

    if (segment != NULL)
        *segment =
            (struct zq_segment){.start = start, .size = (uint32_t)(bytes - segment_bytes(0))};
    return segment;
}

struct zq_segment *zq_segment_new(struct zq_entry *entry, uint64_t start, size_t need)
{
    size_t bytes = wanted(entry, start, need);

    if (entry->retained) {
        struct zq_segment *segment = stored_new(entry->cache, start, bytes);
        if (segment != NULL)
            return segment;
        zq_entry_let_go(entry, ZQ_POLICY_STORABLE);
    }
    struct zq_segment *segment = zq_cache_alloc(bytes);
    if (segment != NULL)
        *segment =
            (struct zq_segment){.start = start, .size = (uint32_t)(bytes - segment_bytes(0))};
    return segment;
}

struct zq_segment *zq_segments_of(struct zq_cache *cache, struct zq_slice data)
{
    struct zq_segment *first = NULL, **place = &first;

    for (size_t start = 0; start < data.n;) {
        size_t left = data.n - start < ZQ_SEGMENT_MAX ? data.n - start : ZQ_SEGMENT_MAX;
        struct zq_segment *segment = stored_new(cache, start, segment_bytes(left));
        if (segment == NULL) {
            zq_segments_free(cache, first);
            return NULL;
        }
        size_t n = segment->size < left ? segment->size : left;
        memcpy(zq_segment_own(segment), data.p + start, n);
        start += n;
        *place = segment;
        place = &segment->next;
    }
    return first;
}

/* Gives back what of the last segment of stored content was not used. */
void zq_segments_fit(struct zq_entry *entry)
{
    struct zq_segment *tail = entry->tail;

    ZQ_LOCK_HELD(&entry->lock);
    if (!entry->retained || entry->base != NULL || tail == NULL || tail->kept)
        return;
    size_t bytes = zq_heap_class(segment_bytes((size_t)(entry->length - tail->start)));
    if (bytes >= segment_bytes(tail->size) || segment_bytes(tail->size) <= ZQ_HEAP_PIECE_MAX)
        return;
    if (bytes < ZQ_HEAP_PAGE)
        bytes = ZQ_HEAP_PAGE;
    zq_cache_cut(&entry->cache->heap, tail, bytes);
    tail->size = (uint32_t)(bytes - segment_bytes(0));
}

struct zq_segment *zq_segment_keep(uint64_t start, struct zq_slice data, struct zq_chunk *chunk)
{
    struct zq_kept *kept = zq_cache_alloc(sizeof(*kept));

    if (kept == NULL)
        return NULL;
    ZQ_ASSERT(data.n <= UINT32_MAX);
    *kept = (struct zq_kept){.segment = {.start = start, .size = (uint32_t)data.n, .kept = true},
                             .chunk = chunk,
                             .data = data.p};
    zq_chunk_ref(chunk);
    return &kept->segment;
}

static void kept_free(struct zq_kept *kept)
{
    zq_chunk_unref(kept->chunk);
    zq_cache_dealloc(NULL, kept, sizeof(*kept));
}

/* False: it cannot be had back. */
static bool take_back(struct zq_cache *cache, struct zq_segment *segment)
{
    bool lent = atomic_load_explicit(&segment->lent, memory_order_relaxed);

    return !lent || cache == NULL || zq_cache_renew(&cache->heap, segment);
}

static void segment_free(struct zq_cache *cache, struct zq_segment *segment)
{
    size_t bytes = segment_bytes(segment->size);

    if (segment->kept)
        kept_free(ZQ_CONTAINER(segment, struct zq_kept, segment));
    else if (take_back(cache, segment))
        zq_store_free(cache, segment, bytes);
}

void zq_segments_free(struct zq_cache *cache, struct zq_segment *first)
{
    while (first != NULL) {
        struct zq_segment *next = first->next;
        segment_free(cache, first);
        first = next;
    }
}

/* The tail stays: the writer may be filling it, without the lock. */
void zq_segments_trim(struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->lock);
    if (entry->retained || entry->base != NULL || entry->first == NULL)
        return;
    uint64_t passed = zq_readers_passed(entry);
    while (entry->first != entry->tail && entry->first->start + entry->first->size <= passed) {
        struct zq_segment *segment = entry->first;
        entry->first = segment->next;
        segment_free(entry->cache, segment);
    }
}

void zq_entry_let_go(struct zq_entry *entry, enum zq_policy_verdict why)
{
    zq_store_drop_fill(entry, why, entry->freshness.response_ms);
    zq_lock_take(&entry->lock);
    entry->retained = false;
    for (struct zq_node *n = entry->readers.next; n != &entry->readers; n = n->next)
        ZQ_CONTAINER(n, struct zq_reader, node)->segment = NULL;
    zq_readers_find_slowest(entry);
    zq_segments_trim(entry);
    zq_lock_give(&entry->lock);
}

uint64_t zq_entry_limit(const struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->lock);
    if (entry->retained || entry->base != NULL || entry->state == ZQ_ENTRY_WAITING)
        return entry->length + ZQ_CACHE_WINDOW;
    return zq_readers_passed(entry) + ZQ_CACHE_WINDOW;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

size_t zq_writer_window(const struct zq_writer *writer)
{
    struct zq_entry *entry = writer->entry;

    ZQ_CHECK(entry, ZQ_ENTRY_MAGIC);
    zq_lock_take(&entry->lock);
    uint64_t limit = zq_entry_limit(entry);
    size_t window =
        limit > entry->length ? (size_t)least(limit - entry->length, ZQ_CACHE_WINDOW) : 0;
    zq_lock_give(&entry->lock);
    return window;
}
