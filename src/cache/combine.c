#include "cache/combine.h"

#include "cache/block.h"
#include "cache/coding.h"
#include "cache/entry.h"
#include "cache/store.h"
#include "cache/validate.h"

#include <stdlib.h>

/* The head: the merged block, Vary's as the newer has it, and what is hidden. */
static bool make_head(struct zq_entry *entry, const struct zq_merged *merged,
                      const struct zq_entry *newer)
{
    const struct zq_slice block = merged->response.block, vary = zq_entry_vary(newer);
    const struct zq_slice coding = newer->varied ? ZQ_SLICE(ZQ_CODING_VARY) : ZQ_SLICE("");
    size_t hidden = zq_block_hidden(NULL, &merged->fields);
    size_t n = block.n + coding.n + vary.n + hidden;
    char *head = zq_store_alloc(entry->cache, n);

    if (head == NULL)
        return false;
    char *to = zq_put(zq_put(head, block), coding);
    entry->block = zq_slice(head, (size_t)(to - head));
    entry->varied = newer->varied;
    if (vary.n > 0)
        to = zq_put(to, vary);
    if (hidden > 0)
        zq_block_hidden(to, &merged->fields);
    entry->vary_n = (uint32_t)vary.n;
    entry->hidden_n = (uint32_t)hidden;
    return true;
}

static bool fill(struct zq_entry *entry, const struct zq_entry *stored,
                 const struct zq_entry *newer, const struct zq_part *whole)
{
    struct zq_writer writer = {0};
    struct zq_part part;

    zq_part_of_block(newer->block, newer->length, &part);
    zq_entry_open_unread(entry, &writer);
    int error = zq_part_copy(&writer, stored, whole->first, part.first);
    if (error == 0)
        error = zq_part_copy(&writer, newer, part.first, part.end);
    if (error == 0)
        error = zq_part_copy(&writer, stored, part.end, whole->end);
    entry->writer = NULL;
    return error == 0 && entry->retained && entry->length == whole->end - whole->first;
}

static struct zq_entry *entry_like(const struct zq_entry *newer)
{
    struct zq_entry *entry = zq_entry_new(newer->cache);

    if (entry == NULL)
        return NULL;
    entry->shard = newer->shard;
    entry->born = newer->born;
    entry->traits = newer->traits;
    entry->freshness = newer->freshness;
    entry->retained = true;
    return entry;
}

static struct zq_entry *combine(const struct zq_entry *stored, const struct zq_entry *newer,
                                const struct zq_merged *merged, const struct zq_part *whole)
{
    struct zq_entry *entry = entry_like(newer);

    if (entry == NULL)
        return NULL;
    bool ok = zq_tags_of(entry->cache, &merged->fields, &entry->tags) == 0 &&
              make_head(entry, merged, newer);
    /* The head is there: `tail` takes the place of `copy`. */
    entry->tail = NULL;
    entry->state = ZQ_ENTRY_FILLING;
    entry->status = (uint16_t)merged->response.status;
    entry->content_length = merged->response.content_length;
    if (ok && fill(entry, stored, newer, whole)) {
        zq_entry_freeze(entry);
        return entry;
    }
    zq_entry_unref(entry);
    return NULL;
}

struct zq_entry *zq_combine(struct zq_entry *stored, struct zq_entry *newer,
                            const struct zq_part *whole)
{
    struct zq_fields hidden;
    struct zq_entry *entry = NULL;
    struct zq_merged merged;

    if (zq_fields_of_lines(&hidden, zq_entry_hidden(newer)) < 0)
        return NULL;
    const struct zq_cache_response response = {.block = zq_entry_own_block(newer),
                                               .fields = &hidden};
    if (zq_merged_init(&merged, &response, stored, whole) == 0)
        entry = combine(stored, newer, &merged, whole);
    zq_merged_fini(&merged);
    free(hidden.v);
    return entry;
}
