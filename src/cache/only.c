/* Content that gets to the only one who wants it without passing through the entry. */
#include "cache/entry.h"

/* The writer is alone in writing these. */
static bool is_passed_on(const struct zq_entry *entry)
{
    return !entry->retained && !entry->no_content && !entry->overrun && entry->base == NULL &&
           entry->state == ZQ_ENTRY_FILLING;
}

bool zq_reader_is_only(const struct zq_reader *reader, const struct zq_writer *writer)
{
    struct zq_entry *entry = zq_entry_of(writer);

    zq_lock_take(&entry->lock);
    bool only = is_passed_on(entry) && entry->readers.next == &reader->node &&
                entry->readers.prev == &reader->node && !reader->cut &&
                reader->offset == entry->length;
    zq_lock_give(&entry->lock);
    return only;
}

void zq_reader_bypass(struct zq_reader *reader, struct zq_writer *writer, uint64_t bytes)
{
    struct zq_entry *entry = zq_entry_of(writer);

    ZQ_ASSERT(reader->entry == entry && reader->offset == entry->length);
    ZQ_ASSERT(entry->content_length < 0 ||
              bytes <= (uint64_t)entry->content_length - entry->length);
    zq_lock_take(&entry->lock);
    zq_segments_free(entry->cache, entry->first); /* all passed: what comes begins a new one */
    entry->first = entry->tail = NULL;
    entry->length += bytes;
    reader->offset = reader->seen = entry->length;
    zq_readers_find_slowest(entry);
    zq_lock_give(&entry->lock);
}
