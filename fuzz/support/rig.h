/* A connection of src/http, driven without a kernel: its socket and its loop are in memory (the
 * linker wraps the system calls), time stands still until it is told, and the handler answers by
 * rules that depend on the requests and not on how their bytes arrive.
 *
 * So two runs over the same bytes, however they are cut, must record the same. */
#ifndef ZQ_FUZZ_RIG_H
#define ZQ_FUZZ_RIG_H

#include "fuzz.h"
#include "zq/http.h"

#define RIG_EXCHANGES_MAX 64

/* What the handler does with a request. */
enum rig_mode {
    RIG_ECHO,      /* wants all, answers with it at its end, with a length */
    RIG_STREAM,    /* starts at once, and sends on what comes, a few bytes at a time, chunked */
    RIG_LATER,     /* answers when nothing else happens any more */
    RIG_EARLY,     /* answers at once, without looking at the body */
    RIG_EARLY_BIG, /* the same, in many runs, and closes */
    RIG_ERROR,     /* zq_exchange_error */
    RIG_EMPTY,     /* 204 */
    RIG_SHORT,     /* announces more than it sends */
    RIG_ABORT,
    RIG_MODES
};

struct rig_exchange {
    struct zq_exchange *exchange; /* while it is open */
    enum rig_mode mode;
    unsigned number;
    bool announced, done, is_head, chunked, expects;
    bool body_whole; /* the request's content came with its end */
    enum zq_exchange_end end;
    unsigned status;
    struct zq_buf view; /* every slice that was handed on, with its length */
    struct zq_buf head; /* the request, written down again */
    struct zq_buf body; /* the request's content */
    /* the answer */
    struct zq_buf out; /* not accepted yet */
    bool started, ended, over;
    uint64_t wanted; /* content asked for and not delivered */
};

struct rig {
    struct zq_config config;
    struct zq_http_server *server;
    /* the socket */
    struct zq_buf arrived; /* not read yet */
    struct zq_buf sent;
    bool open, peer_finished, shut, was_reset;
    uint64_t choppy; /* not 0: the socket takes a few bytes at a time, as this seed says */
    size_t room;
    /* the handler */
    uint64_t modes; /* a seed for what it does; 0: RIG_ECHO, always */
    struct rig_exchange exchanges[RIG_EXCHANGES_MAX];
    size_t n;
};

/* One rig at a time. A connection is accepted. */
void rig_init(struct rig *rig);
void rig_fini(struct rig *rig);

/* Bytes arrive, and everything that follows from it happens. */
void rig_feed(struct rig *rig, struct zq_slice bytes);
/* The client closes its side; then time runs out. The connection must be gone behind it. */
void rig_end(struct rig *rig);

/* ---- responses.c: what a client would make of `sent` ---- */

struct rig_response {
    unsigned status;
    struct zq_slice head; /* the fields without those of the framing; in `text` */
    struct zq_buf body;
    bool complete;
    bool close; /* Connection: close */
};

struct rig_responses {
    struct rig_response v[RIG_EXCHANGES_MAX];
    size_t n;
    struct zq_buf text;
};

/* Reads what was sent by the letter of RFC 9112; anything that is no sequence of responses to the
 * rig's exchanges, in order, is an invariant broken. Interim responses are left out. */
void rig_responses_read(struct rig_responses *out, const struct rig *rig);
void rig_responses_fini(struct rig_responses *responses);

#endif
