/* room: cache
 *
 * The shared cache (RFC 9111): policy, key, store, and the entries that responses stream through.
 *
 * Every response that comes from a worker passes through an entry, stored or not: one writer (the
 * fetch, on one I/O thread) fills it, any number of readers (exchanges, on any thread) read from
 * it at their own pace. A storable entry keeps all its bytes; any other keeps a window: what all
 * readers have passed is freed, and the writer is told how much it may ask for.
 *
 *   zq_cache_get ── HIT:  the reader has a complete, fresh entry
 *                ── JOIN: the reader waits on an entry that another fetch fills
 *                ── LEAD: the caller fetches; others may wait on it; stored if it proves storable
 *                ── PASS: the caller fetches for this reader alone; a part may be stored
 *                ── NEVER: only-if-cached, and nothing is: 504 (RFC 9111 5.2.1.7)
 *
 * Threads: the cache and its entries are shared, all functions may be called from any thread, but
 * one writer's calls and one reader's calls each stay on one thread. Lock order: shard → entry →
 * the loop mailbox that a notify callback posts to. Callbacks run under the entry's lock, on the
 * caller's thread: they may only post.
 *
 * Ownership: entries are counted; a reader holds one reference from get to zq_reader_detach, a
 * writer one from get to zq_entry_finish or zq_entry_fail. A ready entry is immutable. Memory is
 * one range of addresses, as large as --cache-size and mapped at the start, that holds all there is
 * of stored responses, also of those that were evicted while readers hold them: it comes back when
 * the last reference goes. What finds no room there is not stored.
 */
#ifndef ZQ_CACHE_H
#define ZQ_CACHE_H

#include "zq/base.h"
#include "zq/field.h"

#include <sys/uio.h>
#include <time.h>

struct zq_cache;
struct zq_entry;

enum zq_cache_verdict { ZQ_CACHE_HIT, ZQ_CACHE_JOIN, ZQ_CACHE_LEAD, ZQ_CACHE_PASS, ZQ_CACHE_NEVER };

/* Why a request was forwarded: the `fwd` values of RFC 9211 2.2. */
#define ZQ_CACHE_FORWARDS(X)                                                                       \
    X(NONE, "")                                                                                    \
    X(BYPASS, "bypass")       /* the cache is off, or this request must not meet it */             \
    X(METHOD, "method")       /* not GET or HEAD */                                                \
    X(URI_MISS, "uri-miss")   /* nothing under this key */                                         \
    X(VARY_MISS, "vary-miss") /* something, but selected by other field values */                  \
    X(STALE, "stale")         /* a stored response, no longer fresh */                             \
    X(PARTIAL, "partial")     /* a part of one, but not all that was asked for */                  \
    X(REQUEST, "request")     /* a fresh one, but the request's Cache-Control refused it */

enum zq_cache_forward {
#define X(name, word) ZQ_FORWARD_##name,
    ZQ_CACHE_FORWARDS(X)
#undef X
};
const char *zq_cache_forward_word(enum zq_cache_forward forward);

/* What the cache must know of a request. Borrowed for the call, but what `fields->v` points to for
 * as long as the reader is attached: the head is judged by it. */
struct zq_cache_request {
    bool is_get, is_head;     /* neither: every other method */
    bool is_post;             /* its answer may stand for a GET: see zq_writer_adopt */
    bool has_body;            /* never looked up or stored */
    bool untrusted_forwarded; /* Forwarded or X-Forwarded-* of an untrusted peer: never stored */
    bool decorated;           /* its view is declared to answer what can be stored */
    struct zq_slice scheme, host, target; /* see zq_cache_key */
    const struct zq_fields *fields;
};

/* Appends the key of a request: scheme, host in lower case without the scheme's default port, and
 * the target's bytes as they came (the hex digits of escapes folded to upper case). Two requests
 * that the application could tell apart never share one. Also what purge will use. */
int zq_cache_key(struct zq_buf *out, struct zq_slice scheme, struct zq_slice host,
                 struct zq_slice target);
/* The host as it is in a key: what the application is to see where its answer may be shared. Part
 * of `host`, or from `arena`; p is NULL when out of memory. The scheme is in lower case. */
struct zq_slice zq_cache_host(struct zq_slice scheme, struct zq_slice host, struct zq_arena *arena);

/* A reader: embedded in the exchange, zero-initialised, never moved while attached. */
struct zq_segment;
struct zq_coded_body;
struct zq_coded_head;
struct zq_reader {
    struct zq_entry *entry; /* NULL when detached */
    uint64_t offset;        /* bytes passed */
    /* There is something new since the last look (zq_reader_state, zq_reader_peek): head, bytes,
     * end, or release. Between two looks it comes once. May come spuriously. What was there when
     * the reader was attached is not notified: look once then. */
    void (*notify)(struct zq_reader *reader);
    /* The rest is the cache's. */
    struct zq_node node;
    const struct zq_segment *segment; /* that `offset` lies in; NULL: to be looked for */
    uint64_t seen;                    /* how far the content went at the last look */
    struct zq_fields request;
    unsigned traits;   /* what the request's fields mean to the cache */
    bool leads;        /* it gets the fields that are kept from all others */
    bool shared;       /* attached to an entry that may change: look under its lock */
    bool told;         /* notified since the last look */
    bool released;     /* the response is not for it */
    bool cut;          /* it held up the others for too long */
    int64_t behind_ms; /* since when it does; 0: it does not */
    /* A hit that goes out in a content coding; NULL: in none. The entry's. */
    const struct zq_coded_body *body;
    const struct zq_coded_head *head;
};

/* A writer: embedded in the fetch. */
struct zq_writer {
    struct zq_entry *entry; /* NULL when closed */
    /* Readers have moved on by a good part of the window, or none is left: zq_writer_window or
     * zq_writer_abandoned changed. A writer's own calls do not notify it. */
    void (*notify)(struct zq_writer *writer);
    /* Set by zq_cache_get: the whole response is wanted, so that it can be stored. The request goes
     * out without Range, If-Range, If-None-Match and If-Modified-Since (RFC 9111 3.3, 4.3.1), and
     * zq_answer_choose applies them to what comes. */
    bool whole;
    /* Set by zq_cache_get, for a refresh: the stored response was made for a request without Cookie
     * and Authorization, and so is the next one to be: it goes out without them. */
    bool anonymous;
    /* Set by zq_cache_get, and borrowed until the head or the end: the validators of a stored
     * response, for If-None-Match and If-Modified-Since; p is NULL: none. A 304 answers them. */
    struct zq_slice etag, last_modified;
    /* The same: a part is stored, and what is missing begins here; 0: nothing of it is wanted by
     * itself. For Range and, if it has a validator, If-Range. A 206 is combined with the part. */
    uint64_t rest;
    struct zq_slice if_range;
    /* Set by zq_entry_head for what LEAD opened: it goes to the store, or why not, in a word. */
    bool stored;
    const char *refusal;
    /* Set by zq_cache_get, for zq_writer_adopt: the numbers of purges and invalidations before. */
    bool adoptable;
    uint64_t purges;
    unsigned invalidations[2];
};

struct zq_cache *zq_cache_new(uint64_t size_bytes); /* 0: nothing is ever stored */
void zq_cache_free(struct zq_cache *cache);         /* no reader or writer may be left */
/* Bytes of keys, tags, stored responses and those on their way into the store, each allocation with
 * what its class rounds it up to. They lie in pages, and these are never more than the size, with
 * the tables (1/100 of it). What is not stored lies elsewhere: windows, and responses for which
 * readers left no room. */
uint64_t zq_cache_used(const struct zq_cache *cache);

/* Where the RFCs leave a choice; all false is the safe one. */
struct zq_cache_rules {
    bool heuristic;   /* a lifetime by Last-Modified where nothing says another (RFC 9111 4.2.2) */
    bool set_cookie;  /* responses with Set-Cookie may be stored */
    bool rfc_cookies; /* requests with Cookie are like any other */
    bool directives;  /* what a request's Cache-Control and Pragma ask for counts */
    int64_t grace_ms; /* stale responses are used so long where the application is out of reach */
};
/* Before other threads know the cache. */
void zq_cache_set_rules(struct zq_cache *cache, const struct zq_cache_rules *rules);
/* Responses with more content are not stored; at first an eighth of the cache's size. Before other
 * threads know the cache. */
void zq_cache_set_object_max(struct zq_cache *cache, uint64_t bytes);

/* Content codings that stored responses are compressed with, once, by a helper thread, and only
 * when a hit wants one: until it is there, hits go out without a coding. */
#define ZQ_CODINGS(X)                                                                              \
    X(GZIP, "gzip")                                                                                \
    X(BR, "br")                                                                                    \
    X(ZSTD, "zstd")
enum zq_coding {
#define X(name, word) ZQ_CODING_##name,
    ZQ_CODINGS(X)
#undef X
        ZQ_CODING_COUNT
};
const char *zq_coding_word(enum zq_coding coding);
int zq_coding_of(struct zq_slice word); /* -1: none of them */

struct zq_coding_rules {
    enum zq_coding
        codings[ZQ_CODING_COUNT]; /* each once; what clients like the same, in that order */
    size_t n;
    uint64_t min_bytes; /* of content that is worth it */
};
/* Starts the thread, which zq_cache_free ends. Before other threads know the cache. 0, or ZQ_ENOMEM
 * when there can be none. */
int zq_cache_compress(struct zq_cache *cache, const struct zq_coding_rules *rules);

/* Decides for a request and attaches `reader` (its notify set by the caller). For LEAD and PASS it
 * also opens `writer` (its notify set by the caller) on the new entry; HIT and JOIN leave it
 * alone. `*forward` says why it is no hit. `may_join` false: this request must go by itself (it
 * was released from a fetch before). A HIT with `writer` opened is stale (RFC 5861 3): the caller
 * fetches, too, by GET and with this request's fields, but the reader does not wait for that.
 * Returns a verdict or ZQ_ENOMEM. */
int zq_cache_get(struct zq_cache *cache, const struct zq_cache_request *request, int64_t now_ms,
                 bool may_join, struct zq_reader *reader, struct zq_writer *writer,
                 enum zq_cache_forward *forward);

/* A non-error response to an unsafe method: what is stored under that key is dropped, and fetches
 * in flight for it will not be stored (RFC 9111 4.4). A hard purge of one key, without a number. */
void zq_cache_invalidate(struct zq_cache *cache, struct zq_slice scheme, struct zq_slice host,
                         struct zq_slice target);

/* ---- the writer's side ---- */

/* Before the head of an answer to POST that names the target as its Content-Location, and so says
 * that a GET would bring it (RFC 9110 9.3.3). Instead of zq_cache_invalidate for that key: the
 * answer takes the place of what is stored, if its head has explicit freshness, and nothing was
 * purged and the key not invalidated since the POST began. For writers that are adoptable. */
void zq_writer_adopt(struct zq_writer *writer, struct zq_cache *cache, struct zq_slice scheme,
                     struct zq_slice host, struct zq_slice target);

/* The response's head as the application gave it, and the ready-made block (copied). Decides
 * whether it is storable (RFC 9111 3) for the request that opened the writer; readers are notified;
 * joined readers that may not have it are released. `storable` false overrides (a response of an
 * older generation, for example). 0 or ZQ_ENOMEM (then fail the entry). */
struct zq_cache_response {
    unsigned status;
    const struct zq_fields *fields;
    struct zq_slice block;  /* zq_http_block's */
    int64_t content_length; /* -1 if not known */
    bool close;             /* the application asked to close the connection */
    bool no_content;        /* to HEAD, or 204 or 304: content_length says nothing of the content */
    bool storable;
};
int zq_entry_head(struct zq_writer *writer, const struct zq_cache_response *response,
                  int64_t now_ms, time_t now);

/* The writer was copied to another place in memory. */
void zq_writer_moved(struct zq_writer *writer);

/* Content, copied; what goes beyond the announced length is dropped. 0 or ZQ_ENOMEM. */
int zq_entry_append(struct zq_writer *writer, struct zq_slice data);
/* The same for `data` that lies in `chunk`, which is no more written to: where the response is not
 * stored, and `data` is a good part of the chunk (a quarter: a window keeps no more than four times
 * its bytes in memory), a reference is kept instead of a copy. */
int zq_entry_append_chunk(struct zq_writer *writer, struct zq_slice data, struct zq_chunk *chunk);

/* The end: `complete` false means that it was cut short (never stored; readers see ABORTED), and so
 * does content of another length than announced. Closes the writer and its reference. */
void zq_entry_finish(struct zq_writer *writer, bool complete);

/* There will be no head: the stored response that the request would have replaced goes to all
 * instead, where it permits that (RFC 5861 4) or, with `disconnected`, the rules do (RFC 9111
 * 4.2.4). True: done, and the writer is closed. */
bool zq_entry_serve_stale(struct zq_writer *writer, bool disconnected, int64_t now_ms);

/* There will be no head: every reader gets this status to answer with. Closes the writer. */
void zq_entry_fail(struct zq_writer *writer, unsigned status);

/* Bytes the writer may have outstanding beyond what was appended: how far the slowest reader is
 * behind decides for windowed entries; storable ones always take ZQ_CACHE_WINDOW. */
#define ZQ_CACHE_WINDOW (512u << 10)
size_t zq_writer_window(const struct zq_writer *writer);
/* Several read what is not stored (it outgrew the largest object), and one that takes its time
 * holds up the others: those that were more than half a window behind the fastest for `limit_ms`,
 * as far as this was asked in that time, are cut (ZQ_READER_ABORTED). True: one is behind, ask
 * again. */
bool zq_writer_cut_laggards(struct zq_writer *writer, int64_t now_ms, int64_t limit_ms);
/* No reader is left, and nobody would profit from going on: cancel the fetch. Once true it stays
 * so: nobody can join any more. Not for notify callbacks: it takes the shard's lock. */
bool zq_writer_abandoned(const struct zq_writer *writer);

/* ---- the reader's side ---- */

enum zq_reader_state {
    ZQ_READER_WAITING,  /* no head yet */
    ZQ_READER_RELEASED, /* this response is not for you: detach and get again, may_join false */
    ZQ_READER_FAILED,   /* zq_entry_status is what to answer with */
    ZQ_READER_OPEN,     /* the head is there, the content may still be growing */
    ZQ_READER_COMPLETE, /* all there */
    ZQ_READER_ABORTED   /* cut short: cut the client too */
};
enum zq_reader_state zq_reader_state(struct zq_reader *reader);

/* Valid from OPEN on, for as long as the reader is attached. */
struct zq_entry_info {
    unsigned status;
    struct zq_slice block;
    int64_t content_length; /* as announced, or as it turned out; -1 while not known */
    bool close;       /* the application said so, which is for the connection of its own request */
    bool stored;      /* it is in the store, or will be when it is complete */
    bool had_content; /* the content was stored before: validated, or */
    bool stands_in;   /* stale, for an error */
    int64_t age_s;    /* current age (RFC 9111 4.2.3) at `now_ms` */
    int64_t remaining_s; /* of freshness; negative when stale */
};
void zq_entry_describe(const struct zq_reader *reader, int64_t now_ms, struct zq_entry_info *out);
unsigned zq_entry_status(const struct zq_reader *reader);

/* What of a whole response the reader's request is to get, by its conditions (RFC 9110 13.2.2) and
 * its Range (14.2). Not for PASS: there the application has decided. */
struct zq_answer {
    unsigned status;   /* 0: the response as it is; else 304, 206 or 416 */
    uint64_t first, n; /* 206: which bytes of the content */
    uint64_t start;    /* 206: where the content begins in the whole */
    uint64_t length;   /* 206, 416: of the whole */
};
void zq_answer_choose(const struct zq_reader *reader, bool is_get, const struct zq_entry_info *info,
                      struct zq_answer *out);
/* Appends the head block of such an answer, made of the whole response's. 0 or ZQ_ENOMEM. */
int zq_answer_block(struct zq_buf *out, const struct zq_answer *answer, struct zq_slice block);

/* Up to `max` runs of unread content (borrowed until advance or detach). `*end` is set when these
 * are the last of a complete entry. */
int zq_reader_peek(struct zq_reader *reader, struct iovec *iov, int max, bool *end);
/* What of a run lies in the store's memory may be sent by reference, if that was so long when it
 * was peeked at: its pages stay as they are also when the response is gone, for as long as anything
 * refers to them. The memory stays where it is; none in a cache of no size. */
#define ZQ_CACHE_LENT_MIN (32u << 10)
struct zq_slice zq_cache_memory(const struct zq_cache *cache);
void zq_reader_advance(struct zq_reader *reader, uint64_t bytes);
void zq_reader_detach(struct zq_reader *reader); /* no-op when detached; no notify after it */

/* ---- content that takes another way ---- */

/* Is the response for this reader alone, in no store, and what was appended passed? Then nobody
 * will join it either, and content may get to the reader's client by another way. For the writer
 * and the reader of one thread. */
bool zq_reader_is_only(const struct zq_reader *reader, const struct zq_writer *writer);
/* The next `bytes` of content did that. For such a reader; no more than was announced. */
void zq_reader_bypass(struct zq_reader *reader, struct zq_writer *writer, uint64_t bytes);

/* ---- responses in no store ---- */

/* A response that is complete from the start, and kept by whoever made it, until zq_held_free: not
 * found by requests, purged or counted. `body` is copied. NULL when out of memory. */
struct zq_entry *zq_held_new(const struct zq_cache_response *response, struct zq_slice body);
void zq_held_free(struct zq_entry *held); /* NULL is fine; those that read it go on */
/* Attaches a reader (its notify set) for a request with these fields, which stay. It is COMPLETE.
 */
void zq_reader_hold(struct zq_reader *reader, const struct zq_fields *request,
                    struct zq_entry *held);
/* Does the reader's request ask for another representation than the one that it holds, by If-Match
 * or If-Unmodified-Since? Whoever keeps it is the origin, and answers 412 (RFC 9110 13.2.2). */
bool zq_reader_refused(const struct zq_reader *reader);

/* ---- purging ---- */

/* Names that a response carries in its Cache-Tag (separated by commas) and Surrogate-Key (by
 * spaces) fields, compared byte by byte. A response with more or longer ones is not stored, as
 * nobody could purge it by all of them. */
#define ZQ_TAGS_MAX 512 /* of one response */
#define ZQ_TAG_MAX 1024 /* bytes of one */

/* What a purge names: kind, word. URL, PREFIX and GLOB are absolute (`https://host/path`), or begin
 * with `/` and hold for every scheme and host. */
#define ZQ_PURGES(X)                                                                               \
    X(URL, "url")       /* all variants of one key; the query belongs to it */                     \
    X(PREFIX, "prefix") /* what begins so */                                                       \
    X(GLOB, "glob")     /* `*` stands for any run of bytes, all else for itself */                 \
    X(TAG, "tag")                                                                                  \
    X(ALL, "all") /* the text is empty */

enum zq_purge_kind {
#define X(name, word) ZQ_PURGE_##name,
    ZQ_PURGES(X)
#undef X
        ZQ_PURGE_COUNT
};
const char *zq_purge_word(enum zq_purge_kind kind);

#define ZQ_PURGE_TEXT_MAX 8192
struct zq_purge {
    enum zq_purge_kind kind;
    bool soft; /* stored responses become stale, by now, instead of going */
    struct zq_slice text;
};
/* NULL, or what is wrong with it, for a person: `needs a path`. */
const char *zq_purge_fault(const struct zq_purge *purge);

/* Purges are numbered. When this returns, no look-up finds and no request joins what is purged, on
 * any thread; fetches that began earlier and match go on for those who wait for them, and are not
 * stored: neither if they match by a tag that they bring only now. Memory is reclaimed by
 * zq_cache_sweep. 0 and `*number`; ZQ_EINVAL as zq_purge_fault says; ZQ_ELIMIT when too many purges
 * by prefix, glob or path wait for the sweep (nothing was purged then). Out of memory it purges
 * more than was asked for. What a soft one made stale is so from `now_ms` on (monotonic), which
 * hard ones do not look at; where several did, from the first. (Where more than two named the same
 * before the sweep came by, that is the last for what was stored between them.) */
int zq_cache_purge(struct zq_cache *cache, const struct zq_purge *purge, int64_t now_ms,
                   uint64_t *number);

/* A step of bounded work, which takes some 10 µs, and 0.2 ms for each MiB of a response that was
 * sent by reference: takes purged responses out, and forgets purges that nothing is left for. True
 * while there is more to do. One thread at a time. */
bool zq_cache_sweep(struct zq_cache *cache);

/* ---- looking into it ---- */

/* Off: requests are passed on, and nothing is replayed; what is stored, or on its way, stays. On at
 * first. */
void zq_cache_switch(struct zq_cache *cache, bool on);

/* Requests whose URL matches such a glob (see ZQ_PURGES) are passed on in the same way. `text`: as
 * zq_bypass_fault likes it. */
#define ZQ_BYPASS_MAX 64                           /* at a time */
#define ZQ_BYPASS_TEXT_MAX 1000                    /* bytes of one */
const char *zq_bypass_fault(struct zq_slice text); /* NULL, or what is wrong, for a person */
/* 0, also when it was there; ZQ_EINVAL, ZQ_ELIMIT or ZQ_ENOMEM. */
int zq_cache_bypass(struct zq_cache *cache, struct zq_slice text);
/* 0; ZQ_EINVAL, also when it was not there; ZQ_ENOMEM. */
int zq_cache_unbypass(struct zq_cache *cache, struct zq_slice text);
/* The globs as they are compared, the oldest first; `each` may call nothing of the cache's. */
void zq_cache_bypasses(struct zq_cache *cache, void (*each)(struct zq_slice text, void *argument),
                       void *argument);

/* Since the cache was made, but for the first group, which is now. */
#define ZQ_CACHE_STATS(X)                                                                          \
    X(size)             /* bytes */                                                                \
    X(used)             /* bytes: zq_cache_used */                                                 \
    X(responses)        /* stored */                                                               \
    X(compressed)       /* stored in a content coding, besides */                                  \
    X(compressed_bytes) /* of those, of content */                                                 \
    X(tags)             /* known */                                                                \
    X(bypass)           /* globs in force */                                                       \
    X(promoted)         /* keys */                                                                 \
    X(demoted)          /* keys; past their time, until others take their place */                 \
    X(sweeping)         /* purges that the sweep is not done with */                               \
    X(hits)                                                                                        \
    X(joined) /* answered by the fetch of another request */                                       \
    X(misses)                                                                                      \
    X(stored)                                                                                      \
    X(evicted) /* for want of room */                                                              \
    X(purged)  /* responses taken out by purges and invalidation so far */                         \
    X(purges)                                                                                      \
    X(promotions)                                                                                  \
    X(demotions)

/* What a key has proved to be: class, word. */
#define ZQ_CACHE_CLASSES(X)                                                                        \
    X(APP, "app")           /* nothing is known of it */                                           \
    X(PROMOTED, "promoted") /* a response is stored: concurrent misses wait for one call */        \
    X(DEMOTED, "demoted")   /* its last answer was not storable, and so nobody waits */

enum zq_cache_class {
#define X(name, word) ZQ_CACHE_##name,
    ZQ_CACHE_CLASSES(X)
#undef X
};
const char *zq_cache_class_word(enum zq_cache_class class);

#define ZQ_CACHE_REASONS_MAX 16
struct zq_cache_stat {
    bool on;
#define X(name) uint64_t name;
    ZQ_CACHE_STATS(X)
#undef X
    struct zq_cache_reason {
        const char *word;
        uint64_t keys;
    } reasons[ZQ_CACHE_REASONS_MAX]; /* why keys are demoted; those that are, then no word */
};
void zq_cache_stat(struct zq_cache *cache, struct zq_cache_stat *out);

/* One stored response, borrowed for the callback. */
struct zq_tags;
struct zq_cache_item {
    struct zq_slice scheme, host, target;
    unsigned status;
    uint64_t bytes;                        /* of content */
    uint64_t coded_bytes[ZQ_CODING_COUNT]; /* in that coding; 0: not there */
    int64_t age_s, remaining_s;
    bool purged_softly;
    const struct zq_tags *tags;
};
size_t zq_tags_count(const struct zq_tags *tags);
struct zq_slice zq_tags_at(const struct zq_tags *tags, size_t i);

/* `each` runs under a shard's lock: it may only copy. */
typedef void zq_cache_each(const struct zq_cache_item *item, void *argument);
/* A step of bounded work: some of the stored responses, in no order. `*cursor` is 0 at first; false
 * at the end. What comes or goes meanwhile may be left out. */
bool zq_cache_list(struct zq_cache *cache, uint64_t *cursor, int64_t now_ms, zq_cache_each *each,
                   void *argument);
/* The key of one absolute URL. */
struct zq_cache_key_state {
    enum zq_cache_class class;
    const char *reason; /* DEMOTED: why, in a word that stays; else NULL */
    int64_t left_s;     /* DEMOTED: for how long */
};
/* All variants of one absolute URL, and what became of its key. 0, ZQ_ENOMEM, or ZQ_EINVAL when it
 * is none. */
int zq_cache_show(struct zq_cache *cache, struct zq_slice url, int64_t now_ms, zq_cache_each *each,
                  void *argument, struct zq_cache_key_state *state);

#endif
