/* Private to src/worker: a link, the descriptor between this worker and one I/O thread of a front.
 * Reads frames and gives them to their streams; gathers what streams send and writes it once a
 * turn of the loop.
 *
 * The bridge holds a reference to a link while it is open. A link that breaks the protocol, or
 * whose front is gone, is closed: its streams are LOST, and nothing else is touched.
 */
#ifndef ZQ_WORKER_LINK_H
#define ZQ_WORKER_LINK_H

#include "worker/bridge.h"
#include "worker/lend.h"
#include "worker/output.h"
#include "worker/scope.h"
#include "worker/stream.h"

struct zq_link {
    PyObject ob_base;
    unsigned magic;
    struct zq_bridge *bridge; /* owned */
    struct zq_node node;      /* among the bridge's links while open */
    int fd;                   /* owned; -1 once closed */
    struct zq_region *region; /* NULL: no memory is shared; owned */
    struct zq_buf in;
    struct zq_lent lent; /* that came with it */
    struct zq_output out;
    struct zq_arena arena; /* of the request being decoded */
    struct zq_stream **table;
    size_t n_streams, n_buckets;
    struct zq_node held;    /* streams that hold something for this turn */
    struct zq_node starved; /* streams that wait for a free block */
    bool asked_blocks;      /* BLOCKS is not answered yet */
    int64_t written_us;     /* when output left early, or the turn began */
    bool reading;           /* inside on_readable */
    bool flush_soon;        /* on_turn_end is scheduled */
    bool blocked;           /* the socket is full: a writer is registered */
    bool broken;            /* to be closed when the turn ends */
    bool asked;             /* a question is under way (ask.c) */
    uint32_t question;      /* its number */
    PyObject *on_readable, *on_writable, *on_turn_end; /* bound builtins, owned */
    struct zq_scope_cache scopes;
};

#define ZQ_LINK_MAGIC 0x7a716c6bu

/* Takes over `fd` and `region` (NULL: none) in every case. 0, or -1 with an exception. */
int zq_link_open(struct zq_bridge *bridge, int fd, struct zq_region *region);
/* Streams are LOST, the descriptor is closed, the bridge's reference goes. No-op when closed. */
void zq_link_close(struct zq_link *link);

/* ---- for streams ---- */

/* Into the table, with a reference to the owner: 0 or ZQ_ENOMEM. */
int zq_link_add(struct zq_link *link, struct zq_stream *s);
/* Out of it; s->link is NULL then, and the reference the caller's. */
void zq_link_remove(struct zq_link *link, struct zq_stream *s);
struct zq_stream *zq_link_find(const struct zq_link *link, uint32_t id);
/* There is output: it leaves at the end of this turn, or now if nothing could join it, or if the
 * last has left some time ago. */
void zq_link_flush_soon(struct zq_link *link);
/* `s` holds something until the end of this turn. */
void zq_link_hold(struct zq_link *link, struct zq_stream *s);
/* `s` waits for a free block: zq_stream_resume. */
void zq_link_starve(struct zq_link *link, struct zq_stream *s);
/* Logs why, and closes the link when the turn ends. */
void zq_link_break(struct zq_link *link, const char *why);

/* ---- between link.c and link_output.c ---- */

/* Calls a method of the loop, with the descriptor and `callback` (NULL: without); what could go
 * wrong there leaves the link without events. */
void zq_link_call_loop(struct zq_link *link, enum zq_name method, PyObject *callback);
/* As much of the output as the socket takes. */
void zq_link_write_out(struct zq_link *link);
void zq_link_schedule_turn_end(struct zq_link *link); /* no-op where it is scheduled */
/* Whatever came from the front, blocks may have become free. */
void zq_link_feed_starved(struct zq_link *link);

extern PyType_Spec zq_link_spec;

#endif
