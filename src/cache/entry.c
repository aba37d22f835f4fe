/* An entry's life, and the writer's side of it; its head is in arrive.c. */
#include "cache/entry.h"

#include "cache/alloc.h"
#include "cache/coding.h"
#include "cache/part.h"
#include "cache/store.h"

/* ---- making and ending ---- */

struct zq_entry *zq_entry_new(struct zq_cache *cache)
{
    struct zq_entry *entry =
        cache != NULL ? zq_store_alloc(cache, sizeof(*entry)) : zq_cache_alloc(sizeof(*entry));

    if (entry == NULL)
        return NULL;
    *entry = (struct zq_entry){
        .magic = ZQ_ENTRY_MAGIC,
        .refs = 1,
        .cache = cache,
        .content_length = -1,
        .told_limit = ZQ_CACHE_WINDOW,
    };
    zq_list_init(&entry->link);
    zq_list_init(&entry->queued);
    zq_list_init(&entry->readers);
    zq_lock_init(&entry->lock, ZQ_LOCK_ENTRY);
    return entry;
}

void zq_entry_ref(struct zq_entry *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
}

/* Its allocation. */
static void *head_of(const struct zq_entry *entry)
{
    return entry->may_be_coded ? (void *)zq_entry_coded(entry) : (void *)(uintptr_t)entry->block.p;
}

static void entry_free(struct zq_entry *entry)
{
    struct zq_cache *cache = entry->cache;
    struct zq_entry *base = entry->base;

    ZQ_ASSERT(zq_list_empty(&entry->readers) && entry->slot == NULL);
    if (entry->base == NULL)
        zq_segments_free(cache, entry->first);
    if (entry->state == ZQ_ENTRY_WAITING || entry->state == ZQ_ENTRY_FAILED)
        zq_request_copy_free(cache, entry->copy);
    zq_tags_free(cache, entry->tags);
    if (entry->may_be_coded)
        zq_coded_fini(cache, zq_entry_coded(entry));
    zq_store_free(cache, head_of(entry), zq_entry_head_bytes(entry));
    zq_lock_fini(&entry->lock);
    entry->magic = 0;
    zq_store_free(cache, entry, sizeof(*entry));
    if (base != NULL)
        zq_entry_unref(base); /* which has none itself */
}

void zq_entry_unref(struct zq_entry *entry)
{
    ZQ_CHECK(entry, ZQ_ENTRY_MAGIC);
    if (atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) == 1)
        entry_free(entry);
}

struct zq_slice zq_entry_own_block(const struct zq_entry *entry)
{
    size_t added = entry->varied ? sizeof(ZQ_CODING_VARY) - 1 : 0;

    return zq_slice(entry->block.p, entry->block.n - added);
}

/* ---- the writer ---- */

void zq_entry_open(struct zq_entry *entry, struct zq_reader *leader, struct zq_writer *writer)
{
    zq_reader_attach(leader, entry);
    leader->leads = true;
    entry->leader = leader;
    writer->entry = entry;
    entry->writer = writer;
}

void zq_entry_open_unread(struct zq_entry *entry, struct zq_writer *writer)
{
    writer->entry = entry;
    entry->writer = writer;
}

void zq_writer_moved(struct zq_writer *writer)
{
    struct zq_entry *entry = zq_entry_of(writer);

    zq_lock_take(&entry->lock);
    entry->writer = writer;
    zq_lock_give(&entry->lock);
}

bool zq_writer_abandoned(const struct zq_writer *writer)
{
    struct zq_entry *entry = zq_entry_of(writer);

    zq_lock_take(&entry->lock);
    bool idle = zq_list_empty(&entry->readers);
    zq_lock_give(&entry->lock);
    return idle && (entry->shard == NULL || zq_store_drop_idle_fill(entry));
}

/* ---- content ---- */

/* What goes beyond the announced length is not passed on: behind it begins the next response. For
 * HEAD and the like that is all there is; elsewhere the response is broken. */
static struct zq_slice clip(struct zq_entry *entry, struct zq_slice data)
{
    uint64_t left = UINT64_MAX;

    if (entry->no_content || entry->base != NULL || entry->overrun)
        left = 0;
    else if (entry->content_length >= 0)
        left = (uint64_t)entry->content_length - entry->length;
    if (data.n > left) {
        data.n = (size_t)left;
        entry->overrun = !entry->no_content && entry->base == NULL;
    }
    return data;
}

/* Copies what still fits into the tail, where no reader looks yet. */
static size_t fill_tail(struct zq_entry *entry, struct zq_slice data)
{
    struct zq_segment *tail = entry->tail;

    if (tail == NULL)
        return 0;
    size_t used = (size_t)(entry->length - tail->start);
    size_t n = tail->size - used < data.n ? tail->size - used : data.n;
    memcpy(zq_segment_own(tail) + used, data.p, n);
    return n;
}

static void link_segments(struct zq_entry *entry, struct zq_segment *first)
{
    ZQ_LOCK_HELD(&entry->lock);
    if (entry->tail != NULL)
        entry->tail->next = first;
    else
        entry->first = first;
    for (; first != NULL; first = first->next)
        entry->tail = first;
}

/* A stored response lies in the heap, and has no chunk for that. */
static bool may_keep(const struct zq_entry *entry, struct zq_slice data,
                     const struct zq_chunk *chunk)
{
    return chunk != NULL && !entry->retained && data.n >= chunk->size / 4;
}

/* A segment that begins with `data`, from `start` on, or with as much of it as it has room for. */
static struct zq_segment *segment_of(struct zq_entry *entry, uint64_t start, struct zq_slice data,
                                     struct zq_chunk *chunk)
{
    if (may_keep(entry, data, chunk))
        return zq_segment_keep(start, data, chunk);
    struct zq_segment *segment = zq_segment_new(entry, start, data.n);
    if (segment != NULL)
        memcpy(zq_segment_own(segment), data.p, segment->size < data.n ? segment->size : data.n);
    return segment;
}

/* The same for all of it. 0 and `*first`, or ZQ_ENOMEM. */
static int segments_of(struct zq_entry *entry, uint64_t start, struct zq_slice data,
                       struct zq_chunk *chunk, struct zq_segment **first)
{
    struct zq_segment **place = first;

    *first = NULL;
    while (data.n > 0) {
        *place = segment_of(entry, start, data, chunk);
        if (*place == NULL) {
            zq_segments_free(entry->cache, *first);
            return ZQ_ENOMEM;
        }
        size_t n = (*place)->size < data.n ? (*place)->size : data.n;
        data = zq_slice(data.p + n, data.n - n);
        start += n;
        place = &(*place)->next;
    }
    return 0;
}

int zq_entry_append_chunk(struct zq_writer *writer, struct zq_slice data, struct zq_chunk *chunk)
{
    struct zq_entry *entry = zq_entry_of(writer);
    struct zq_segment *first;

    ZQ_ASSERT(entry->state == ZQ_ENTRY_FILLING);
    data = clip(entry, data);
    if (data.n == 0)
        return 0;
    if (entry->retained && entry->length + data.n > entry->cache->object_max)
        zq_entry_let_go(entry, ZQ_POLICY_SIZE);
    size_t filled = fill_tail(entry, data);
    if (segments_of(entry, entry->length + filled, zq_slice(data.p + filled, data.n - filled),
                    chunk, &first) < 0)
        return ZQ_ENOMEM;
    zq_lock_take(&entry->lock);
    link_segments(entry, first);
    entry->length += data.n;
    zq_readers_tell_more(entry);
    zq_segments_trim(entry);
    zq_lock_give(&entry->lock);
    return 0;
}

int zq_entry_append(struct zq_writer *writer, struct zq_slice data)
{
    return zq_entry_append_chunk(writer, data, NULL);
}

/* ---- the end ---- */

void zq_entry_freeze(struct zq_entry *entry)
{
    zq_lock_take(&entry->lock);
    entry->state = ZQ_ENTRY_COMPLETE;
    entry->writer = NULL;
    zq_segments_fit(entry);
    zq_readers_tell(entry);
    zq_readers_unlink(entry);
    atomic_store_explicit(&entry->frozen, true, memory_order_release);
    zq_lock_give(&entry->lock);
}

static void end(struct zq_entry *entry, enum zq_entry_state state)
{
    zq_lock_take(&entry->lock);
    entry->state = (uint8_t)state;
    entry->writer = NULL;
    zq_readers_tell(entry);
    zq_lock_give(&entry->lock);
}

static bool is_whole(const struct zq_entry *entry)
{
    return !entry->overrun && (entry->no_content || entry->content_length < 0 ||
                               (uint64_t)entry->content_length == entry->length);
}

static bool is_storable_part(const struct zq_entry *entry)
{
    return zq_entry_is_part(entry) && zq_part_is_sound(entry);
}

void zq_entry_finish(struct zq_writer *writer, bool complete)
{
    struct zq_entry *entry = zq_entry_of(writer);

    ZQ_ASSERT(entry->state == ZQ_ENTRY_FILLING);
    writer->entry = NULL;
    complete = entry->base != NULL || (complete && is_whole(entry));
    if (complete && entry->retained && is_storable_part(entry)) {
        zq_part_complete(entry);
    } else if (complete && entry->retained && !zq_entry_is_part(entry)) {
        zq_store_complete(entry, NULL);
    } else {
        if (entry->shard != NULL)
            zq_store_drop_fill(entry, ZQ_POLICY_STORABLE, 0);
        end(entry, complete ? ZQ_ENTRY_COMPLETE : ZQ_ENTRY_ABORTED);
    }
    zq_entry_unref(entry);
}

void zq_entry_fail(struct zq_writer *writer, unsigned status)
{
    struct zq_entry *entry = zq_entry_of(writer);

    ZQ_ASSERT(entry->state == ZQ_ENTRY_WAITING);
    writer->entry = NULL;
    if (entry->shard != NULL) {
        zq_purge_headed(entry);
        zq_store_drop_fill(entry, ZQ_POLICY_STORABLE, 0);
    }
    zq_lock_take(&entry->lock);
    entry->status = status;
    zq_lock_give(&entry->lock);
    end(entry, ZQ_ENTRY_FAILED);
    zq_entry_unref(entry);
}
