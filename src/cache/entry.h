/* An entry: one response, on its way or complete.
 *
 *   WAITING ──head──► FILLING ──finish──► COMPLETE
 *      └──fail──► FAILED  └──cut short──► ABORTED
 *
 * A retained entry keeps all its bytes (it is, or may become, a stored response); any other keeps
 * a window: segments that all readers have passed are freed. An entry that is COMPLETE and
 * retained is frozen: nothing in it changes any more, and readers take no lock.
 *
 * Who may touch what:
 *   shard lock   slot, link, tags (for good once the head is there)
 *   queue lock   queued, once the head is there; before, the purges' lock
 *   entry lock   state, readers (and what the cache keeps in them), leader, copy, writer, first,
 *                length, the head
 *   the writer   is alone in writing retained, length, tail; so it reads them without the lock
 *   for good     cache, shard, traits, born
 */
#ifndef ZQ_CACHE_ENTRY_H
#define ZQ_CACHE_ENTRY_H

#include "cache/coded.h"
#include "cache/lock.h"
#include "cache/policy.h"
#include "zq/cache.h"

#include <stdatomic.h>

struct zq_slot;
struct zq_shard;

/* Content. A segment is filled before the next one begins. Its bytes are behind it, or kept. */
struct zq_segment {
    struct zq_segment *next;
    uint64_t start; /* the offset of its first byte in the content */
    uint32_t size;
    bool kept;        /* a struct zq_kept: the bytes lie in a chunk */
    atomic_bool lent; /* a reader got so much of it that sockets may refer to its pages */
};
struct zq_kept {
    struct zq_segment segment;
    struct zq_chunk *chunk;
    const char *data;
};
static inline char *zq_segment_own(struct zq_segment *segment)
{
    return (char *)(segment + 1);
}
static inline const char *zq_segment_data(const struct zq_segment *segment)
{
    return segment->kept ? ZQ_CONTAINER(segment, struct zq_kept, segment)->data
                         : (const char *)(segment + 1);
}
/* With its struct 64 KiB. Room is made for one at a time, so that this takes no ms. */
#define ZQ_SEGMENT_MAX ((64u << 10) - sizeof(struct zq_segment))

/* A copy of the leader's request, made when it leaves others behind: the head is judged by it. */
struct zq_request_copy {
    size_t bytes; /* of the allocation */
    struct zq_fields fields;
    struct zq_field v[];
};

enum zq_entry_state {
    ZQ_ENTRY_WAITING,
    ZQ_ENTRY_FILLING,
    ZQ_ENTRY_COMPLETE,
    ZQ_ENTRY_ABORTED,
    ZQ_ENTRY_FAILED
};

struct zq_entry {
    unsigned magic;
    atomic_uint refs;
    /* What a hit looks at. */
    struct zq_freshness freshness; /* without a head: response_ms is the request's time */
    struct zq_node link;           /* in slot->variants or slot->fills */
    struct zq_slot *slot;          /* NULL: not in the index */
    atomic_bool visited;           /* set by hits, cleared by the queue's hand */
    atomic_bool frozen;
    atomic_bool expired; /* a soft purge made it stale */
    uint8_t state;       /* enum zq_entry_state */

    uint16_t status;
    uint16_t traits; /* of the leader's request */
    bool close : 1, no_content : 1;
    bool may_be_coded : 1; /* in a content coding */
    bool varied : 1;       /* the block's last line is not the application's */
    bool stands_in : 1;    /* it is a stored response, for want of another */
    bool retained, overrun;
    uint32_t withheld_n, vary_n, hidden_n;
    /* The head, in one allocation: a struct zq_coded where it may be coded, the block, field lines
     * that only the leader gets, Vary's, and lines that nobody gets. */
    struct zq_slice block;
    int64_t content_length; /* as announced; -1: not known */
    uint64_t length;        /* of what was appended */
    struct zq_segment *first;
    union {
        struct zq_request_copy *copy; /* while there is no head */
        struct zq_segment *tail;      /* once it is there */
    };

    struct zq_cache *cache; /* NULL where the method is none of the cache's */
    struct zq_shard *shard; /* NULL for a PASS, which is not in the store */
    struct zq_node queued;  /* among the fetches without a head, then among the variants */
    uint64_t born;          /* the number of the last purge when the fetch began */
    struct zq_tags *tags;   /* NULL: none */

    struct zq_lock lock;
    unsigned n_passed; /* unless retained: how many readers are the slowest, */
    union {
        uint64_t passed;   /* and at which offset */
        int64_t purged_ms; /* stored, and expired: when that came, written before */
    };
    struct zq_node readers;
    struct zq_writer *writer; /* NULL once closed */
    uint64_t told_limit;      /* how far the writer was last told it may go */
    struct zq_reader *leader; /* the reader that the fetch is for; NULL when it has left */
    /* Counted. Until the head is there: the stored response that the request selects, which may be
     * validated or serve for want of another. Then: whose content this one shows, if not its own.
     * The writer's. */
    struct zq_entry *base;
};
#define ZQ_ENTRY_MAGIC 0x5a51454eu

static inline struct zq_entry *zq_entry_of(const struct zq_writer *writer)
{
    ZQ_CHECK(writer->entry, ZQ_ENTRY_MAGIC);
    return writer->entry;
}

/* May a new request be answered with it? Shard locked. */
static inline bool zq_entry_is_fresh(const struct zq_entry *entry, int64_t now_ms)
{
    return !atomic_load_explicit(&entry->expired, memory_order_relaxed) &&
           zq_freshness_is_fresh(&entry->freshness, now_ms);
}

/* Its freshness; of one that is stored and that a soft purge made stale, with the lifetime ended
 * there, from where what may be used stale is reckoned. */
static inline struct zq_freshness zq_entry_freshness(const struct zq_entry *entry)
{
    struct zq_freshness f = entry->freshness;

    if (atomic_load_explicit(&entry->expired, memory_order_acquire))
        f.lifetime_ms = zq_freshness_lifetime_until(&f, entry->purged_ms);
    return f;
}

/* What remains of its freshness, away from 0: what is fresh for half a second has 1, what is over
 * by that has -1, what a soft purge made stale has never more than 0. So a fresh response's age
 * (rounded down) and what remains make up its lifetime. */
int64_t zq_entry_remaining_s(const struct zq_entry *entry, int64_t now_ms);

/* Whose content a frozen entry shows. */
static inline struct zq_entry *zq_entry_owner(const struct zq_entry *entry)
{
    return entry->base != NULL ? entry->base : (struct zq_entry *)(uintptr_t)entry;
}

/* Its forms in content codings (coded.h), or NULL. */
static inline struct zq_coded *zq_entry_coded(const struct zq_entry *entry)
{
    return entry->may_be_coded ? (struct zq_coded *)(uintptr_t)entry->block.p - 1 : NULL;
}

/* The block as the application made it. */
struct zq_slice zq_entry_own_block(const struct zq_entry *entry);

/* Its answer is for its own reader alone, until it is complete. */
static inline bool zq_entry_is_alone(const struct zq_entry *entry)
{
    return (entry->traits & ZQ_REQUEST_ALONE) != 0;
}

/* Stored, it is a part of a representation (part.h). */
static inline bool zq_entry_is_part(const struct zq_entry *entry)
{
    return entry->status == 206;
}

static inline struct zq_slice zq_entry_vary(const struct zq_entry *entry)
{
    return zq_slice(entry->block.p + entry->block.n + entry->withheld_n, entry->vary_n);
}

static inline struct zq_slice zq_entry_hidden(const struct zq_entry *entry)
{
    return zq_slice(zq_entry_vary(entry).p + entry->vary_n, entry->hidden_n);
}

static inline size_t zq_entry_head_bytes(const struct zq_entry *entry)
{
    return (entry->may_be_coded ? sizeof(struct zq_coded) : 0) + entry->block.n +
           entry->withheld_n + entry->vary_n + entry->hidden_n;
}

static inline bool zq_entry_is_frozen(const struct zq_entry *entry)
{
    return atomic_load_explicit(&entry->frozen, memory_order_acquire);
}

/* ---- life (entry.c) ---- */

/* WAITING, with one reference, in a cache's heap or, with NULL, in none. NULL when there is no
 * room, or out of memory. No lock held. Release: zq_entry_unref */
struct zq_entry *zq_entry_new(struct zq_cache *cache);
void zq_entry_ref(struct zq_entry *entry);
void zq_entry_unref(struct zq_entry *entry); /* no entry lock held */

/* Attaches the reader that it is for, and opens the writer, which takes over the reference of
 * zq_entry_new. Not shared yet. */
void zq_entry_open(struct zq_entry *entry, struct zq_reader *leader, struct zq_writer *writer);
/* The same for a fetch that nobody waits for. */
void zq_entry_open_unread(struct zq_entry *entry, struct zq_writer *writer);
/* COMPLETE, frozen, all told. Takes the entry's lock. */
void zq_entry_freeze(struct zq_entry *entry);

/* ---- the leader's request (leader.c) ---- */

/* The leader leaves. While others wait for the head its request is kept, if there is room. Entry
 * locked. */
void zq_entry_lose_leader(struct zq_entry *entry);
/* The leader's request, or NULL when nothing is known of it any more. Entry locked. */
const struct zq_fields *zq_entry_request(const struct zq_entry *entry);
/* Keeps the request of a fetch that no reader leads; `anonymous`: without its credentials. False
 * without room. No lock held; not shared yet. */
bool zq_entry_keep_request(struct zq_entry *entry, const struct zq_fields *request, bool anonymous);
void zq_request_copy_free(struct zq_cache *cache, struct zq_request_copy *copy); /* or NULL */

/* ---- readers (reader.c) ---- */

/* Zeroes all but `notify`. The reader must be detached. */
void zq_reader_reset(struct zq_reader *reader, const struct zq_fields *request);
/* Attaches to a frozen entry: no lock, and no place in the list. */
void zq_reader_attach_frozen(struct zq_reader *reader, struct zq_entry *entry);
/* Attaches to any other; entry locked, or not shared yet. Each takes a reference. */
void zq_reader_attach(struct zq_reader *reader, struct zq_entry *entry);

/* All of these with the entry locked. */
void zq_readers_tell(struct zq_entry *entry);      /* something other than content has changed */
void zq_readers_tell_more(struct zq_entry *entry); /* content was appended */
void zq_readers_unlink(struct zq_entry *entry);    /* they will never be told anything again */
void zq_reader_release(struct zq_reader *reader);
/* The slowest are looked for: the entry has just begun to keep no more than a window. */
void zq_readers_find_slowest(struct zq_entry *entry);
/* The offset that all readers have passed; the end when there is none. Not for retained ones. */
uint64_t zq_readers_passed(const struct zq_entry *entry);

/* ---- content (segment.c) ---- */

/* A segment for some of `need` bytes, from `start` on. In the store when the entry is retained; an
 * entry that there is no room for loses that. NULL when out of memory. No lock held. */
struct zq_segment *zq_segment_new(struct zq_entry *entry, uint64_t start, size_t need);
/* One that keeps `data` where it is, in `chunk`. NULL when out of memory. */
struct zq_segment *zq_segment_keep(uint64_t start, struct zq_slice data, struct zq_chunk *chunk);
/* A copy of `data` in the store; NULL: no room. No lock held. */
struct zq_segment *zq_segments_of(struct zq_cache *cache, struct zq_slice data);
void zq_segments_free(struct zq_cache *cache, struct zq_segment *first);
/* The content is complete: gives back what the last segment has too much. Entry locked. */
void zq_segments_fit(struct zq_entry *entry);
/* Frees what all readers have passed of an entry that is not retained. Entry locked. */
void zq_segments_trim(struct zq_entry *entry);
/* The entry will not be stored: it goes off the index, and keeps only a window from now on. Why is
 * remembered with the key, if that is not STORABLE. The writer's; no lock held. */
void zq_entry_let_go(struct zq_entry *entry, enum zq_policy_verdict why);
/* How far the writer may go, as an offset. Entry locked. */
uint64_t zq_entry_limit(const struct zq_entry *entry);

#endif
