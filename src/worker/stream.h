/* Private to src/worker: one request and its response as the wire sees them, the lower of the
 * bridge's three layers. A stream knows frames, windows and when the response leaves; it knows
 * neither ASGI nor tasks. Its owner, an entry's request object, embeds it.
 *
 * Lifetime: zq_stream_open puts it in a link's table, which from then on holds a reference to the
 * owner; the stream is over, and the reference given back, with END, RESET, CANCEL or the link's
 * end. `link` is borrowed, and NULL before and after.
 *
 * What a response sends in one turn of the loop is held until the turn ends, and then leaves as
 * few frames: if the response ends before the turn does, all of it is one.
 */
#ifndef ZQ_WORKER_STREAM_H
#define ZQ_WORKER_STREAM_H

#include "worker/module.h"

#include "zq/field.h"
#include "zq/wire.h"

struct zq_link;
struct zq_stream;

/*    state, what has happened */
#define ZQ_STREAM_STATES(X)                                                                        \
    X(WAITING) /* no response yet */                                                               \
    X(HELD)    /* the head waits for the end of the turn */                                        \
    X(SENDING) /* RESPONSE is out; a part of the body may wait for the end of the turn */          \
    X(ENDED)   /* and END */                                                                       \
    X(FAILED)  /* RESET: the application's fault */                                                \
    X(LOST)    /* the client or the front has left */

enum zq_stream_state {
#define X(name) ZQ_STREAM_##name,
    ZQ_STREAM_STATES(X)
#undef X
};

/* What an owner is told. It may not close the stream from within. */
enum zq_stream_event {
    ZQ_STREAM_BODY, /* body bytes, or the body's end, have come */
    ZQ_STREAM_ROOM, /* what was given to zq_stream_write has left */
    ZQ_STREAM_OVER  /* ENDED, FAILED or LOST */
};

/* A response's head: field slices into objects that `refs` keeps alive. One block. */
struct zq_head {
    unsigned status;
    bool has_length; /* a Content-Length is among the fields */
    bool bodyless;   /* HEAD, 204, 304: its body length says nothing */
    size_t n, n_refs;
    PyObject **refs;    /* owned */
    struct zq_field *v; /* room for one more than was asked for */
};

/* Empty, with room for `n` fields and 2 * n references; NULL when out of memory. Release:
 * zq_head_free, or zq_stream_start, which takes it. */
struct zq_head *zq_head_new(size_t n);
void zq_head_free(struct zq_head *head);

struct zq_stream {
    enum zq_stream_state state;
    uint32_t id;
    struct zq_link *link;
    PyObject *owner;        /* whom it is embedded in: borrowed */
    struct zq_stream *next; /* in the link's table */
    struct zq_node held;    /* among the link's streams that hold something for this turn, or that
                               wait for a free block */
    void (*on_event)(struct zq_stream *stream, enum zq_stream_event event);

    /* the request's body */
    PyObject *part;     /* bytes, owned: what came and was not taken yet; bounded by the window */
    size_t part_n;      /* of them, that are filled */
    uint64_t announced; /* by Content-Length, that have not come yet; 0: not known */
    uint32_t window;    /* bytes that the front may still send */
    uint32_t owed;      /* bytes taken for which no credit was given yet */
    bool body_ended, body_taken, wanted;

    /* the response */
    unsigned interims; /* that were sent before it */
    struct zq_head *head;
    PyObject *body;       /* the only part held so far, owned */
    struct zq_buf bodies; /* or several, joined */
    PyObject *rest;       /* a part of which some bytes have to wait for credit, for a block, or for
                             what the front says to the offer of it; owned */
    size_t rest_offset;
    uint32_t credit;
    bool has_length; /* its head says how long the body is; known once RESPONSE is out */
    bool offered;    /* the rest was */
    bool end_given;  /* the last part was accepted; it may still wait for credit */
    char length_text[24];
};

static inline bool zq_stream_is_over(const struct zq_stream *s)
{
    return s->state >= ZQ_STREAM_ENDED;
}

/* ---- the entry's side ---- */

void zq_stream_init(struct zq_stream *s, PyObject *owner,
                    void (*on_event)(struct zq_stream *, enum zq_stream_event));
/* Releases what it holds; it must be over or never have been opened. */
void zq_stream_fini(struct zq_stream *s);

/* Takes what has come of the body: 1 with `*bytes` (new reference) and `*more`, 0 when nothing is
 * there, -1 with an exception. After `more` was false it is always 0. Gives credit back. */
int zq_stream_take_body(struct zq_stream *s, PyObject **bytes, bool *more);
/* The application waits for the body: tells the front, once. */
void zq_stream_want(struct zq_stream *s);

/* Sends an interim response at once; `head` stays the caller's. Only in WAITING. 0, or ZQ_ELIMIT
 * when it is too long, or one too many. */
int zq_stream_interim(struct zq_stream *s, const struct zq_head *head);
/* Starts the response; takes `head`. Only in WAITING. */
void zq_stream_start(struct zq_stream *s, struct zq_head *head);
/* Gives a part of the body: accepted as a whole (a reference to `bytes` is kept while it needs
 * it), though some of it may wait for credit or a block; then zq_stream_is_busy until
 * ZQ_STREAM_ROOM. Only in HELD or SENDING, when not busy, and not after `end`. 0, or -1 with an
 * exception, and FAILED. */
int zq_stream_write(struct zq_stream *s, PyObject *bytes, bool end);
static inline bool zq_stream_is_busy(const struct zq_stream *s)
{
    return s->rest != NULL;
}
/* Ends the stream by RESET: 500 if no RESPONSE is out, else the client is cut off. No-op when it
 * is over. */
void zq_stream_fail(struct zq_stream *s);

/* ---- the link's side ---- */

/* A stream begins, with what REQUEST carried of its body, of which `announced` bytes (0: not known)
 * are said to come. 0, or ZQ_EPROTO past the window, or
 * ZQ_ENOMEM. */
int zq_stream_open(struct zq_stream *s, struct zq_link *link, uint32_t id, struct zq_slice body,
                   uint64_t announced, bool end);
int zq_stream_feed_body(struct zq_stream *s, struct zq_slice body, bool end); /* the same */
int zq_stream_feed_credit(struct zq_stream *s, uint32_t bytes);               /* 0 or ZQ_EPROTO */
/* The client has left (`answer`: by CANCEL, which RESET answers), or the whole link. */
void zq_stream_lose(struct zq_stream *s, bool answer);
/* The turn ends: what is held leaves. */
void zq_stream_release(struct zq_stream *s);
/* Blocks may be free again, or the rest is no more offered. The stream may be over afterwards. */
void zq_stream_resume(struct zq_stream *s);
/* Some of the rest, or all, has left by another way (lend.h). The stream may be over afterwards. */
void zq_stream_written(struct zq_stream *s);

#endif
