/* Content: segments, and the window of what is not stored. */
#include "cache/alloc.h"
#include "cache/entry.h"
#include "cache/store.h"

/* How large the next segment shall be: what the announced length leaves, or else twice the last
 * one, between the bounds. */
static size_t next_size(const struct zq_entry *entry, size_t need)
{
    size_t size = ZQ_SEGMENT_MIN;

    if (entry->content_length >= 0 && !entry->no_content) {
        uint64_t left = (uint64_t)entry->content_length - entry->length;
        size = left < ZQ_SEGMENT_MAX ? (size_t)left : ZQ_SEGMENT_MAX;
    } else if (entry->tail != NULL) {
        size = entry->tail->size < ZQ_SEGMENT_MAX / 2 ? entry->tail->size * 2 : ZQ_SEGMENT_MAX;
    }
    return size > need ? size : need;
}

static size_t segment_bytes(size_t size)
{
    return sizeof(struct zq_segment) + size;
}

struct zq_segment *zq_segment_new(struct zq_entry *entry, size_t need)
{
    size_t size = next_size(entry, need);

    ZQ_ASSERT(size <= UINT32_MAX);
    if (entry->retained && !zq_store_reserve(entry->cache, segment_bytes(size))) {
        zq_entry_let_go(entry, ZQ_POLICY_STORABLE);
        size = next_size(entry, need);
    }
    bool counted = entry->retained;
    struct zq_segment *segment = zq_cache_alloc(segment_bytes(size));
    if (segment == NULL) {
        if (counted)
            zq_store_release(entry->cache, segment_bytes(size));
        return NULL;
    }
    *segment = (struct zq_segment){.size = (uint32_t)size, .counted = counted};
    return segment;
}

struct zq_segment *zq_segment_keep(struct zq_slice data, struct zq_chunk *chunk)
{
    struct zq_kept *kept = zq_cache_alloc(sizeof(*kept));

    if (kept == NULL)
        return NULL;
    ZQ_ASSERT(data.n <= UINT32_MAX);
    *kept = (struct zq_kept){
        .segment = {.size = (uint32_t)data.n, .kept = true}, .chunk = chunk, .data = data.p};
    zq_chunk_ref(chunk);
    return &kept->segment;
}

static void kept_free(struct zq_kept *kept)
{
    zq_chunk_unref(kept->chunk);
    zq_cache_dealloc(kept, sizeof(*kept));
}

static void segment_free(struct zq_entry *entry, struct zq_segment *segment)
{
    size_t bytes = segment_bytes(segment->size);
    bool counted = segment->counted;

    if (segment->kept) {
        kept_free(ZQ_CONTAINER(segment, struct zq_kept, segment));
        return;
    }
    zq_cache_dealloc(segment, bytes);
    if (counted)
        zq_store_release(entry->cache, bytes);
}

void zq_segments_free(struct zq_entry *entry, struct zq_segment *first)
{
    while (first != NULL) {
        struct zq_segment *next = first->next;
        segment_free(entry, first);
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
        segment_free(entry, segment);
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
