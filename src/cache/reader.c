/* The reader's side. A look (state, peek) that finds nothing new is followed by a notification once
 * there is; between a notification and the next look there is no other. */
#include "cache/coded.h"
#include "cache/entry.h"

/* The writer hears of progress in steps of this, not of every write to a client. */
#define LIMIT_STEP (ZQ_CACHE_WINDOW / 4)
/* Of several readers, one further behind the fastest may hold it up. */
#define LAG_MAX (ZQ_CACHE_WINDOW / 2)

/* ---- attaching ---- */

void zq_reader_reset(struct zq_reader *reader, const struct zq_fields *request)
{
    void (*notify)(struct zq_reader *) = reader->notify;

    ZQ_ASSERT(reader->entry == NULL);
    *reader = (struct zq_reader){.notify = notify, .request = *request};
    zq_list_init(&reader->node);
}

void zq_reader_attach_frozen(struct zq_reader *reader, struct zq_entry *entry)
{
    zq_entry_ref(entry);
    reader->entry = entry;
}

void zq_reader_attach(struct zq_reader *reader, struct zq_entry *entry)
{
    zq_entry_ref(entry);
    reader->entry = entry;
    reader->shared = true;
    zq_list_append(&entry->readers, &reader->node);
}

/* ---- telling; entry locked ---- */

static void tell(struct zq_reader *reader)
{
    if (reader->told)
        return;
    reader->told = true;
    reader->notify(reader);
}

static struct zq_reader *reader_at(struct zq_node *node)
{
    return ZQ_CONTAINER(node, struct zq_reader, node);
}

void zq_readers_tell(struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->lock);
    for (struct zq_node *n = entry->readers.next; n != &entry->readers; n = n->next)
        tell(reader_at(n));
}

/* A reader that has not taken yet what it saw comes back for it, and then sees the rest too. */
static bool took_all_it_saw(const struct zq_reader *reader)
{
    return reader->offset >= reader->seen;
}

void zq_readers_tell_more(struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->lock);
    for (struct zq_node *n = entry->readers.next; n != &entry->readers; n = n->next)
        if (took_all_it_saw(reader_at(n)))
            tell(reader_at(n));
}

void zq_readers_unlink(struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->lock);
    entry->leader = NULL;
    while (!zq_list_empty(&entry->readers))
        zq_list_remove(entry->readers.next);
}

void zq_reader_release(struct zq_reader *reader)
{
    ZQ_LOCK_HELD(&reader->entry->lock);
    reader->released = true;
    zq_list_remove(&reader->node);
    tell(reader);
}

void zq_readers_find_slowest(struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->lock);
    entry->passed = UINT64_MAX;
    for (struct zq_node *n = entry->readers.next; n != &entry->readers; n = n->next) {
        uint64_t offset = reader_at(n)->offset;
        if (offset < entry->passed) {
            entry->passed = offset;
            entry->n_passed = 0;
        }
        entry->n_passed += offset == entry->passed;
    }
}

uint64_t zq_readers_passed(const struct zq_entry *entry)
{
    return zq_list_empty(&entry->readers) ? entry->length : entry->passed;
}

/* A reader went on from an offset, or left there. Only the last of the slowest makes a difference:
 * a thousand readers in step cost a walk a step, not one for each. */
static void went_on(struct zq_entry *entry, uint64_t from)
{
    ZQ_LOCK_HELD(&entry->lock);
    if (entry->retained || entry->state == ZQ_ENTRY_WAITING || from != entry->passed ||
        --entry->n_passed > 0)
        return;
    zq_readers_find_slowest(entry);
    zq_segments_trim(entry);
}

/* Readers have moved on or left. */
static void tell_writer(struct zq_entry *entry)
{
    ZQ_LOCK_HELD(&entry->lock);
    /* A writer that is being moved to its place has no callback yet, and asks by itself then. */
    if (entry->writer == NULL || entry->writer->notify == NULL)
        return;
    uint64_t limit = zq_entry_limit(entry);
    if (!zq_list_empty(&entry->readers) &&
        (entry->retained || limit < entry->told_limit + LIMIT_STEP))
        return;
    entry->told_limit = limit;
    entry->writer->notify(entry->writer);
}

/* ---- readers that hold up the others ---- */

static uint64_t fastest(const struct zq_entry *entry)
{
    uint64_t offset = 0;

    for (struct zq_node *n = entry->readers.next; n != &entry->readers; n = n->next)
        if (reader_at(n)->offset > offset)
            offset = reader_at(n)->offset;
    return offset;
}

/* Its segments stay until it has left: it may be writing them out. */
static void cut(struct zq_reader *reader)
{
    reader->cut = true;
    tell(reader);
}

bool zq_writer_cut_laggards(struct zq_writer *writer, int64_t now_ms, int64_t limit_ms)
{
    struct zq_entry *entry = writer->entry;
    bool any = false;

    ZQ_CHECK(entry, ZQ_ENTRY_MAGIC);
    zq_lock_take(&entry->lock);
    uint64_t front = entry->retained ? 0 : fastest(entry);
    for (struct zq_node *n = entry->readers.next; n != &entry->readers; n = n->next) {
        struct zq_reader *reader = reader_at(n);
        if (front <= reader->offset + LAG_MAX)
            reader->behind_ms = 0;
        else if (reader->behind_ms == 0)
            reader->behind_ms = now_ms;
        else if (now_ms - reader->behind_ms >= limit_ms)
            cut(reader);
        any |= reader->behind_ms != 0;
    }
    zq_lock_give(&entry->lock);
    return any;
}

/* ---- looking ---- */

/* Locks the entry of a reader unless it is frozen. True: locked, and to be given back. */
static bool enter(const struct zq_reader *reader)
{
    ZQ_CHECK(reader->entry, ZQ_ENTRY_MAGIC);
    if (zq_entry_is_frozen(reader->entry))
        return false;
    zq_lock_take(&reader->entry->lock);
    return true;
}

static void leave(const struct zq_reader *reader, bool locked)
{
    if (locked)
        zq_lock_give(&reader->entry->lock);
}

static void note_look(struct zq_reader *reader, bool locked)
{
    if (!locked)
        return;
    reader->told = false;
    reader->seen = reader->entry->length;
}

static enum zq_reader_state state_of(const struct zq_reader *reader)
{
    if (reader->released)
        return ZQ_READER_RELEASED;
    if (reader->cut)
        return ZQ_READER_ABORTED;
    switch ((enum zq_entry_state)reader->entry->state) {
    case ZQ_ENTRY_WAITING:
        return ZQ_READER_WAITING;
    case ZQ_ENTRY_FILLING:
        return ZQ_READER_OPEN;
    case ZQ_ENTRY_COMPLETE:
        return ZQ_READER_COMPLETE;
    case ZQ_ENTRY_ABORTED:
        return ZQ_READER_ABORTED;
    case ZQ_ENTRY_FAILED:
        break;
    }
    return ZQ_READER_FAILED;
}

static bool has_head(enum zq_reader_state state)
{
    return state == ZQ_READER_OPEN || state == ZQ_READER_COMPLETE || state == ZQ_READER_ABORTED;
}

enum zq_reader_state zq_reader_state(struct zq_reader *reader)
{
    bool locked = enter(reader);
    enum zq_reader_state state = state_of(reader);

    note_look(reader, locked);
    leave(reader, locked);
    return state;
}

unsigned zq_entry_status(const struct zq_reader *reader)
{
    bool locked = enter(reader);
    unsigned status = reader->entry->status;

    leave(reader, locked);
    return status;
}

int64_t zq_entry_remaining_s(const struct zq_entry *entry, int64_t now_ms)
{
    const struct zq_freshness f = zq_entry_freshness(entry);
    int64_t ms = f.lifetime_ms - zq_freshness_age_ms(&f, now_ms);

    if (ms > 0 && atomic_load_explicit(&entry->expired, memory_order_relaxed))
        ms = 0; /* by a clock that is behind the purge's */
    return ms >= 0 ? (ms + 999) / 1000 : -((-ms + 999) / 1000);
}

void zq_entry_describe(const struct zq_reader *reader, int64_t now_ms, struct zq_entry_info *out)
{
    bool locked = enter(reader);
    const struct zq_entry *entry = reader->entry;

    ZQ_ASSERT(has_head(state_of(reader)));
    *out = (struct zq_entry_info){
        .status = entry->status,
        .block = entry->block,
        .content_length = entry->content_length,
        .close = entry->close && reader->leads,
        .stored = entry->retained,
        .had_content = entry->base != NULL,
        .stands_in = entry->stands_in,
        .age_s = zq_freshness_age_ms(&entry->freshness, now_ms) / 1000,
        .remaining_s = zq_entry_remaining_s(entry, now_ms),
    };
    if (entry->state == ZQ_ENTRY_COMPLETE && out->content_length < 0 && !entry->no_content)
        out->content_length = (int64_t)entry->length;
    if (reader->leads)
        out->block.n += entry->withheld_n;
    if (reader->head != NULL) {
        out->block = zq_slice(reader->head->data, reader->head->n);
        out->content_length = (int64_t)reader->body->n;
    }
    leave(reader, locked);
}

/* ---- reading ---- */

static const struct zq_segment *skip_passed(const struct zq_segment *segment, uint64_t offset)
{
    while (segment != NULL && segment->start + segment->size <= offset)
        segment = segment->next;
    return segment;
}

static const struct zq_segment *segment_at(const struct zq_reader *reader)
{
    const struct zq_segment *first =
        reader->body != NULL ? reader->body->first : reader->entry->first;

    return skip_passed(reader->segment ? reader->segment : first, reader->offset);
}

/* Readers of one response share the line: it is written to once. */
static void note_lent(const struct zq_segment *segment)
{
    atomic_bool *lent = &((struct zq_segment *)(uintptr_t)segment)->lent;

    if (!atomic_load_explicit(lent, memory_order_relaxed))
        atomic_store_explicit(lent, true, memory_order_relaxed);
}

/* Up to `max` runs from `*offset`, which lies in `segment`, to `length`; moves `*offset` behind
 * them. */
static int runs(const struct zq_segment *segment, uint64_t *offset, uint64_t length,
                struct iovec *iov, int max)
{
    int n = 0;

    for (; n < max && segment != NULL && *offset < length; segment = segment->next) {
        uint64_t stop = segment->start + segment->size;
        stop = stop < length ? stop : length;
        iov[n].iov_base =
            (void *)(uintptr_t)(zq_segment_data(segment) + (*offset - segment->start));
        iov[n].iov_len = (size_t)(stop - *offset);
        if (iov[n++].iov_len >= ZQ_CACHE_LENT_MIN)
            note_lent(segment);
        *offset = stop;
    }
    return n;
}

/* Content in a coding is all there. */
static int peek_coded(const struct zq_reader *reader, struct iovec *iov, int max, bool *end)
{
    uint64_t offset = reader->offset;
    int n = runs(segment_at(reader), &offset, reader->body->n, iov, max);

    *end = offset == reader->body->n;
    return n;
}

int zq_reader_peek(struct zq_reader *reader, struct iovec *iov, int max, bool *end)
{
    if (reader->body != NULL)
        return peek_coded(reader, iov, max, end);
    bool locked = enter(reader);
    const struct zq_entry *entry = reader->entry;
    enum zq_reader_state state = state_of(reader);
    const struct zq_segment *segment = has_head(state) ? segment_at(reader) : NULL;
    uint64_t offset = reader->offset;
    int n = runs(segment, &offset, entry->length, iov, max);

    *end = state == ZQ_READER_COMPLETE && offset == entry->length;
    note_look(reader, locked);
    leave(reader, locked);
    return n;
}

/* Segments of a retained entry stay, so its readers can remember where they are (but one that was
 * released is not told when they go after all); the others start from the first, of few. */
static void remember_segment(struct zq_reader *reader)
{
    const struct zq_segment *segment = has_head(state_of(reader)) ? segment_at(reader) : NULL;

    if (segment != NULL)
        reader->segment = segment;
}

void zq_reader_advance(struct zq_reader *reader, uint64_t bytes)
{
    if (reader->body != NULL) {
        ZQ_ASSERT(bytes <= reader->body->n - reader->offset);
        reader->offset += bytes;
        remember_segment(reader);
        return;
    }
    bool locked = enter(reader);
    struct zq_entry *entry = reader->entry;
    uint64_t from = reader->offset;

    ZQ_ASSERT(bytes <= entry->length - from);
    reader->offset += bytes;
    if (entry->length - reader->offset <= LAG_MAX)
        reader->behind_ms = 0;
    if (entry->retained)
        remember_segment(reader);
    if (locked && !zq_list_empty(&reader->node)) {
        /* It may wait now for more than it saw, and that may have come meanwhile. */
        if (took_all_it_saw(reader) && entry->length > reader->seen)
            tell(reader);
        if (bytes > 0)
            went_on(entry, from);
        tell_writer(entry);
    }
    leave(reader, locked);
}

void zq_reader_detach(struct zq_reader *reader)
{
    struct zq_entry *entry = reader->entry;

    if (entry == NULL)
        return;
    ZQ_CHECK(entry, ZQ_ENTRY_MAGIC);
    if (reader->shared) {
        zq_lock_take(&entry->lock);
        if (!zq_list_empty(&reader->node)) {
            zq_list_remove(&reader->node);
            if (entry->leader == reader)
                zq_entry_lose_leader(entry);
            went_on(entry, reader->offset);
            tell_writer(entry);
        }
        zq_lock_give(&entry->lock);
    }
    reader->entry = NULL;
    reader->segment = NULL;
    reader->body = NULL;
    reader->head = NULL;
    zq_entry_unref(entry);
}
