/* Responses that are in no store: complete from the start, and kept by whoever made them. */
#include "cache/condition.h"
#include "cache/entry.h"
#include "cache/policy.h"

static void freeze_with(struct zq_entry *entry, struct zq_segment *content, size_t length)
{
    entry->retained = true; /* all of it stays */
    entry->first = entry->tail = content;
    entry->length = length;
    zq_entry_freeze(entry);
}

struct zq_entry *zq_held_new(const struct zq_cache_response *response, struct zq_slice body)
{
    struct zq_entry *entry = zq_entry_new(NULL);
    struct zq_chunk *chunk = zq_chunk_new(body.n);
    struct zq_segment *content = NULL;
    struct zq_writer writer = {0};

    if (entry == NULL || chunk == NULL)
        goto fail;
    if (body.n > 0)
        memcpy(chunk->data, body.p, body.n);
    content = zq_segment_keep(0, zq_slice(chunk->data, body.n), chunk);
    zq_chunk_unref(chunk);
    chunk = NULL;
    zq_entry_open_unread(entry, &writer);
    if (content == NULL || zq_entry_head(&writer, response, 0, 0) < 0)
        goto fail;
    freeze_with(entry, content, body.n);
    return entry;
fail:
    zq_chunk_unref(chunk);
    if (content != NULL)
        zq_segments_free(NULL, content);
    if (entry != NULL)
        zq_entry_unref(entry);
    return NULL;
}

void zq_held_free(struct zq_entry *entry)
{
    if (entry != NULL)
        zq_entry_unref(entry);
}

void zq_reader_hold(struct zq_reader *reader, const struct zq_fields *request,
                    struct zq_entry *held)
{
    zq_reader_reset(reader, request);
    reader->traits = zq_policy_request(request);
    zq_reader_attach_frozen(reader, held);
}

bool zq_reader_refused(const struct zq_reader *reader)
{
    const struct zq_entry *held = reader->entry;
    struct zq_validators v = zq_validators_of(held->block);

    return held->status >= 200 && held->status < 300 && zq_condition_failed(&reader->request, &v);
}
