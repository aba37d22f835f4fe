/* room: http, private
 *
 * A client's connection and the exchange it may have open. Everything here belongs to one loop.
 *
 * A connection is made by zq_http_accept and freed by zq_conn_leave once it is CLOSED. Between
 * requests it holds no exchange, no parser and no buffer: input is read into the server's scratch
 * buffer, and only what must wait (part of a head, a body that nobody asked for yet, a pipelined
 * request) is kept in `in`.
 *
 * Every way in (an event, a timer, a deferred call, a call of the handler's) is bracketed by
 * zq_conn_enter and zq_conn_leave: in between nothing is freed, and interest in events is settled
 * once, at the end.
 */
#ifndef ZQ_HTTP_CONNECTION_H
#define ZQ_HTTP_CONNECTION_H

#include "address.h"
#include "head.h"

#include "zq/http.h"

#include <llhttp.h>

#define ZQ_CONN_MAGIC 0x636f6e6eu
#define ZQ_EXCHANGE_MAGIC 0x65786368u

/* A connection's states. What each does, and where it may go, is a table in connection.c. */
#define ZQ_CONN_STATES(X)                                                                          \
    X(IDLE)     /* nothing of a request was read */                                                \
    X(HEAD)     /* part of a head was */                                                           \
    X(EXCHANGE) /* a request is being answered, or refused */                                      \
    X(DISCARD)  /* answered; the rest of its body is read and dropped */                           \
    X(LINGER)   /* answered for the last time; input is dropped so that the answer arrives */      \
    X(CLOSED)   /* no descriptor any more; freed when nobody is inside */

enum zq_conn_state {
#define X(name) ZQ_CONN_##name,
    ZQ_CONN_STATES(X)
#undef X
        ZQ_CONN_STATE_COUNT
};

struct zq_http_exchange;

struct zq_conn {
    unsigned magic;
    uint8_t state;      /* enum zq_conn_state; set by zq_conn_move alone */
    uint8_t inside;     /* depth of zq_conn_enter */
    bool feeding;       /* input is being taken; whoever makes it possible to go on need not ask */
    bool fresh;         /* not a byte was ever read */
    uint8_t last_ones;  /* answered while draining, because a next one had been read */
    bool last_of_turn;  /* the request that is being taken is the last before others come first */
    bool placed;        /* it has one of --limit-connections */
    bool skipped_crlf;  /* the one empty line before a request (RFC 9112 2.2) */
    bool peer_finished; /* the client has sent its last byte */
    bool deaf;          /* EPOLLIN was switched off: there is input that must wait */
    bool broken;        /* writing failed: the exchange ends GONE when the turn ends */
    bool socket_lent;   /* another process had it, and children of that may have it still */
    struct zq_io io;
    struct zq_timer timer; /* one for all deadlines */
    struct zq_defer resume;
    struct zq_node node; /* in the server's list */
    struct zq_http_server *server;
    struct zq_peer *peer;              /* NULL until the first request */
    struct zq_http_exchange *exchange; /* in EXCHANGE and DISCARD */
    struct zq_buf in;                  /* read, and waiting */
    struct zq_buf out;                 /* not sent yet: whole responses, then framing of the next */
    size_t joined;                     /* bytes of `out` that are of whole responses */
    struct zq_head_scan scan;
    int64_t started_us; /* of the request being read */
    int64_t linger_until_ms;
    uint64_t lingered_bytes;
};

enum zq_response_phase {
    ZQ_RESPONSE_NONE,    /* nothing was started */
    ZQ_RESPONSE_OPEN,    /* the head was; content may follow */
    ZQ_RESPONSE_WRITTEN, /* all was accepted, `out` may hold the last of it */
    ZQ_RESPONSE_OVER     /* finished; nobody may ask any more */
};

enum zq_framing {
    ZQ_FRAMING_NONE,    /* no content: HEAD, 204, 304 (RFC 9112 6.3) */
    ZQ_FRAMING_LENGTH,  /* Content-Length */
    ZQ_FRAMING_CHUNKED, /* RFC 9112 7.1 */
    ZQ_FRAMING_CLOSE    /* the end of the connection ends it: HTTP/1.0 */
};

/* Where in a trailer section the next byte is. */
enum zq_trailers {
    ZQ_TRAILERS_NONE, /* the last chunk was not read yet */
    ZQ_TRAILERS_LINE, /* a field line begins, or the empty one */
    ZQ_TRAILERS_NAME,
    ZQ_TRAILERS_VALUE,
    ZQ_TRAILERS_CR,      /* the LF of a field line */
    ZQ_TRAILERS_LAST_CR, /* the LF of the empty line */
    ZQ_TRAILERS_OVER,    /* behind it */
    ZQ_TRAILERS_BROKEN
};

struct zq_http_exchange {
    struct zq_exchange pub; /* first */
    struct zq_conn *conn;
    struct zq_http_exchange *next_free;

    /* the request */
    llhttp_t parser;
    struct zq_slice span; /* content that the last step of the parser has found */
    uint64_t want;        /* content that may still be delivered */
    uint64_t received;    /* content decoded */
    int64_t overhead;     /* chunk framing and trailers that content has not paid for */
    uint64_t discarded;   /* bytes dropped after the response */
    bool announced;       /* on_request was called */
    bool chunked;
    bool in_chunk;             /* a chunk's data follows */
    bool paused;               /* there is no room for it; until zq_exchange_want is called */
    bool asked;                /* zq_exchange_want was called */
    bool message_complete;     /* the end was read */
    bool followed;             /* part of the next request was read with it */
    bool next_is_whole;        /* its whole head was, and is taken at once */
    bool continue_pending;     /* 100 is owed when the content is asked for */
    bool client_keeps;         /* the client may send another request: else it has said close */
    bool closes;               /* the server closes behind it (zq_exchange_close_after) */
    bool large;                /* its head was: the arena's first block is not worth keeping */
    enum zq_trailers trailers; /* of a chunked body */
    size_t fields_max;

    /* the response */
    enum zq_response_phase phase;
    enum zq_framing framing;
    enum zq_exchange_end outcome; /* what on_done will say when the response is written */
    uint64_t remaining;           /* of Content-Length */
    uint64_t chunk_left;          /* of the chunk that was begun */
    bool refused;                 /* by this room: the handler's attempts are ignored */
    bool keep;                    /* the connection goes on behind it */
    bool blocked;                 /* less was accepted than offered */
    uint64_t progress;            /* bytes moved, both ways */

    /* deadlines; 0 when not running */
    int64_t read_deadline_ms;
    int64_t waiting_since_ms; /* for content; while read_deadline_ms runs */
    int64_t waited_ms;        /* for content, before that */
    int64_t write_deadline_ms;
    int64_t gone_deadline_ms; /* a half-closed client must have moved bytes by then */
    uint64_t gone_progress;
};

struct zq_lend;
struct zq_http_server {
    unsigned magic;
    struct zq_loop *loop;
    const struct zq_config *config;
    const struct zq_http_handler *handler;
    void *user;
    struct zq_node connections;
    size_t n_connections;
    atomic_size_t *taken; /* places, by several servers' connections; NULL: no limit */
    struct zq_http_exchange *free_exchanges;
    size_t n_free;
    char *scratch;        /* of ZQ_SCRATCH_SIZE: where every read goes first */
    struct zq_lend *lend; /* NULL: all content is copied */
    bool draining;
    void (*on_empty)(struct zq_http_server *server);
};
#define ZQ_SCRATCH_SIZE (64u << 10)

/* ---- connection.c ---- */

/* A new connection gets this long for its first byte while the server drains: its request may be
 * on the way, and unlike on a kept connection nobody expects to have to repeat it. */
#define ZQ_DRAIN_PATIENCE_MS 1000

void zq_conn_new(struct zq_http_server *server, int fd); /* closes fd when out of memory */
void zq_conn_enter(struct zq_conn *conn);
void zq_conn_leave(struct zq_conn *conn); /* `conn` may be gone behind it */
void zq_conn_move(struct zq_conn *conn, enum zq_conn_state state);
void zq_conn_close(struct zq_conn *conn, bool reset); /* reset: RST, what is unsent is dropped */
/* Writing failed: the exchange ends GONE when the turn ends. */
void zq_conn_break(struct zq_conn *conn);
/* Closes a connection without a request, unless one is waiting in its socket. */
void zq_conn_close_idle(struct zq_conn *conn);
bool zq_conn_has_unread(const struct zq_conn *conn); /* bytes of the client's in the socket */
/* Input that waits may go on now. */
void zq_conn_resume(struct zq_conn *conn);
void zq_conn_go_idle(struct zq_conn *conn);
void zq_conn_begin_head(struct zq_conn *conn);
/* The one deadline of a state that is not EXCHANGE; 0: none. */
void zq_conn_timeout(struct zq_conn *conn, int64_t timeout_ms);
/* Sees to it that the timer fires by then; it may fire before. 0: never mind. */
void zq_conn_arm(struct zq_conn *conn, int64_t deadline_ms);
static inline int64_t zq_conn_now(const struct zq_conn *conn)
{
    return zq_loop_now_ms(conn->server->loop);
}
/* A deadline of a configured timeout, 0 where it is off. */
static inline int64_t zq_conn_deadline(const struct zq_conn *conn, int64_t timeout_ms)
{
    return timeout_ms > 0 ? zq_conn_now(conn) + timeout_ms : 0;
}

/* While the server drains, of the requests that a client has pipelined those are answered that
 * were read, but not more than so many, lest it goes on for ever. */
#define ZQ_LAST_ONES_MAX 100

/* ---- server.c ---- */

/* Takes a place of --limit-connections, unless it has one; false when there is none. */
bool zq_conn_take_place(struct zq_conn *conn);
/* Calls on_empty if that is due; the server may be gone behind it. */
void zq_http_server_check_empty(struct zq_http_server *server);

/* ---- exchange.c ---- */

/* A half-closed client whose connection moves no byte for so long has left. */
#define ZQ_GONE_AFTER_MS 1000

struct zq_http_exchange *zq_exchange_new(struct zq_conn *conn); /* NULL when out of memory */
void zq_exchange_free(struct zq_http_exchange *ex);
/* The ends below call on_done and free the exchange, or leave it to zq_body_discard. */
/* The response was handed to the kernel, or joined: the connection goes on, or lingers. */
void zq_exchange_complete(struct zq_http_exchange *ex);
/* The connection is closed, whatever of this response was sent; but whole ones that were joined in
 * front of it leave first, and until they have, the exchange is not over. */
void zq_exchange_cut(struct zq_http_exchange *ex, enum zq_exchange_end end);
/* The connection is closed at once: the client is gone, or takes nothing. */
void zq_exchange_drop(struct zq_http_exchange *ex, enum zq_exchange_end end);
/* zq answers by itself if nothing was started, and closes, lingering; otherwise it cuts. */
void zq_exchange_refuse(struct zq_http_exchange *ex, unsigned status, enum zq_exchange_end end);
void zq_exchange_expire(struct zq_http_exchange *ex);
/* The client has sent content: it is not waited for any more. */
void zq_exchange_stop_waiting(struct zq_http_exchange *ex);
/* After anything that may have changed what it waits for: sets its deadlines. */
void zq_exchange_settle(struct zq_http_exchange *ex);
static inline struct zq_http_exchange *zq_exchange_of(struct zq_exchange *pub)
{
    ZQ_CHECK(pub, ZQ_EXCHANGE_MAGIC);
    return (struct zq_http_exchange *)(void *)pub;
}

/* ---- request.c: from bytes to requests ---- */

/* Takes what it can of the start of `input`: returns the bytes used; 0 when it must wait. */
size_t zq_request_feed_head(struct zq_conn *conn, struct zq_slice input);
/* There will be no more of a head that has begun: answers with that status. */
void zq_request_refuse_head(struct zq_conn *conn, struct zq_slice head, unsigned status,
                            enum zq_exchange_end end);

/* ---- parse.c: heads and bodies, by llhttp ---- */

/* Parses a whole head, which must stay where it is. 0 or the status to refuse with. */
unsigned zq_parse_head(struct zq_http_exchange *ex, char *head, size_t n, size_t fields);
/* Parses on in the body: at most one run of content is found, `ex->span`. Returns the bytes used,
 * or ZQ_EPROTO. */
int64_t zq_parse_body(struct zq_http_exchange *ex, struct zq_slice input);

/* ---- trailers.c ---- */

/* Reads on in a trailer section (`*state` is LINE at first) until it is OVER, however it is cut.
 * Returns the bytes used, or ZQ_EPROTO. */
int64_t zq_trailers_skip(enum zq_trailers *state, struct zq_slice input);

/* ---- message.c: what a head means ---- */

/* Checks and fills in ex->pub.request from its fields. 0 or the status to refuse with. */
unsigned zq_message_check(struct zq_http_exchange *ex);

/* ---- body.c ---- */

size_t zq_body_feed(struct zq_conn *conn, struct zq_slice input);    /* in EXCHANGE */
size_t zq_body_discard(struct zq_conn *conn, struct zq_slice input); /* in DISCARD */
/* Where to read content to, and how much at most; NULL: anywhere, but nowhere when the exchange is
 * paused then. */
char *zq_body_room(struct zq_http_exchange *ex, size_t *n);
bool zq_body_wants_read(const struct zq_http_exchange *ex);
/* Could the rest of the body be dropped, to keep the connection? */
bool zq_body_is_droppable(const struct zq_http_exchange *ex);

/* ---- transmit.c ---- */

/* Sends `bytes` in `n` places, at most 64. Those whose bit is set in `lent` may go by reference.
 * With `more`, the end of it waits for what is sent next, or for the end of the connection: that is
 * then in the same segment. Returns the bytes sent: less than all when the socket is full, or
 * broken. */
size_t zq_transmit(struct zq_conn *conn, struct iovec *v, int n, size_t bytes, uint64_t lent,
                   bool more);
/* Is that content that may go by reference? */
bool zq_may_lend(const struct zq_http_server *server, const void *p, size_t n);
void zq_lend_free(struct zq_lend *lend); /* NULL is fine */

/* ---- respond.c ---- */

/* Sends what waits, as far as the socket takes it, and nothing else. True when all has gone. */
bool zq_respond_drain(struct zq_http_exchange *ex);
/* Takes back what was not sent of a response, nothing of which was: `out` is of those in front. */
void zq_respond_withdraw(struct zq_http_exchange *ex, enum zq_exchange_end end);
/* The socket takes bytes again. */
void zq_respond_flush(struct zq_http_exchange *ex);
/* Nothing the handler does makes a difference any more; on_done has come, or is on its way. */
bool zq_respond_is_over(const struct zq_http_exchange *ex);
/* So much of the response has been handed to the kernel. */
void zq_respond_account(struct zq_http_exchange *ex, uint64_t content);
/* A whole response, whatever the socket takes now; the exchange may be over behind it. */
void zq_respond_whole(struct zq_http_exchange *ex, const struct zq_response_head *head,
                      struct zq_slice body);

/* ---- error.c ---- */

/* A short text that names `status`. */
void zq_respond_error(struct zq_http_exchange *ex, unsigned status, int retry_after_s,
                      struct zq_slice cache_status);

/* ---- linger.c ---- */

void zq_linger_start(struct zq_conn *conn);
/* The client has said that it sends nothing more: closes at once if nothing has come. */
void zq_linger_if_unread(struct zq_conn *conn);
size_t zq_linger_feed(struct zq_conn *conn, struct zq_slice input);

#endif
