/* room: http
 *
 * HTTP/1.0 and 1.1 over a client's connection: bytes ↔ exchanges. An exchange is one request and
 * its response, neutral of the protocol version. The server (src/front) decides; this room parses,
 * frames, keeps connections alive and enforces what a client may do in which time.
 *
 * Threads: a connection and its exchanges belong to one loop. Nothing blocks.
 *
 * Ownership: an exchange is made here and lives until its on_done callback has returned. The
 * request's slices live as long as the exchange. At most one exchange a connection is open:
 * pipelined requests wait in the socket, so responses are in order by construction.
 *
 * An exchange's life as the front sees it:
 *
 *   on_request ── on_body* ── (zq_exchange_start … zq_exchange_write*) ── on_done
 *
 * on_done comes exactly once for every exchange, and is the last callback: after the response was
 * written whole, or after the client left, was cut off or refused. Only exchanges that on_request
 * was called for get further callbacks but on_done; refused requests (malformed, over a limit)
 * get on_done alone, for the log; method and target may be empty then. A client that leaves before
 * its request's head is complete leaves no trace here.
 *
 * In on_done no function of the exchange may be called any more. on_done may come from within
 * zq_exchange_start and _write when `end` is set or the content is not of its length, and from
 * within zq_exchange_error and _abort; never from within zq_exchange_want. Once a client has left
 * or was refused, or was cut off while whole responses in front are still on their way to it, what
 * is written counts as accepted, and on_done is on its way.
 */
#ifndef ZQ_HTTP_H
#define ZQ_HTTP_H

#include "zq/base.h"
#include "zq/clock.h"
#include "zq/config.h"
#include "zq/field.h"
#include "zq/loop.h"

#include <stdatomic.h>
#include <sys/uio.h>

enum zq_method {
    ZQ_METHOD_OTHER,
    ZQ_METHOD_GET,
    ZQ_METHOD_HEAD,
    ZQ_METHOD_OPTIONS,
    ZQ_METHOD_POST
};

/* An address as people and ASGI write it: host without port; a Unix socket has its path (or
 * nothing) and port 0. */
struct zq_address {
    struct zq_slice host;
    uint16_t port;
    bool is_unix;
};

struct zq_request {
    enum zq_method method_id;
    unsigned version_minor;  /* of HTTP/1.x */
    struct zq_slice method;  /* as it came */
    struct zq_slice target;  /* the origin-form bytes as they came: path and query */
    struct zq_slice path;    /* up to the first `?`, not decoded */
    struct zq_slice query;   /* behind it; empty if there is none */
    struct zq_slice scheme;  /* `http`, or what a trusted proxy said */
    struct zq_slice host;    /* the Host field's value, or the absolute target's authority */
    struct zq_fields fields; /* names in lower case */
    bool has_body;           /* a body is announced, even an empty chunked one */
    bool expect_continue;    /* the client waits for 100 before it sends the body */
    int64_t content_length;  /* -1 if not known */
    struct zq_address client, server;
};

/* Why an exchange ended. Only COMPLETE means that the client can have the whole response. */
#define ZQ_EXCHANGE_ENDS(X)                                                                        \
    X(COMPLETE)  /* the response was handed to the kernel in full, or joined to the next one's */  \
    X(GONE)      /* the client left: closed, reset */                                              \
    X(REFUSED)   /* zq answered for itself: 4xx or 5xx from this room */                           \
    X(TIMED_OUT) /* the client was too slow to send (408 was tried) or to take (cut) */            \
    X(CUT)       /* by zq_exchange_abort, or a response that was shorter than it said */

enum zq_exchange_end {
#define X(name) ZQ_EXCHANGE_##name,
    ZQ_EXCHANGE_ENDS(X)
#undef X
};

struct zq_exchange {
    unsigned magic;
    struct zq_request request;
    struct zq_arena arena; /* for whatever dies with the exchange */
    int64_t started_us;    /* when the turn began in which the request's first byte was read */
    unsigned status;       /* of the final response; 0 before */
    uint64_t body_bytes;   /* of the response's content, handed to the kernel */
    bool body_done;        /* the request body was delivered whole */
    enum zq_exchange_end end;
    void *user; /* the front's */
};

/* The front's side. `server->user` tells several servers apart. */
struct zq_http_server;
struct zq_http_handler {
    /* The request's head is complete. The callee may start the response at once. */
    void (*on_request)(struct zq_http_server *server, struct zq_exchange *exchange);
    /* Decoded request content, to be copied or used before returning. Never more than was asked
     * for by zq_exchange_want. `end`: that was all (`data` may be empty). Not called at all when
     * the request has no body. */
    void (*on_body)(struct zq_exchange *exchange, struct zq_slice data, bool end);
    /* May be NULL. Where content may be read into, `*n` bytes at most (of which the callee may take
     * off), so that on_body gets it from there (unless there is framing in it); or NULL: anywhere,
     * or with an `*n` of 0: nowhere yet. Then no more is read or delivered until zq_exchange_want
     * is called again, be it for 0 bytes, and the client is not taken for slow. Only content that
     * nothing is decided by goes there. */
    char *(*on_body_room)(struct zq_exchange *exchange, size_t *n);
    /* zq_exchange_start or _write accepted less than offered before, and would accept more now. */
    void (*on_writable)(struct zq_exchange *exchange);
    /* The last callback. See above. */
    void (*on_done)(struct zq_http_server *server, struct zq_exchange *exchange);
    struct zq_slice refused_as; /* the Cache-Status of what this room answers; empty: none */
};

/* One a loop. `config` and `handler` are borrowed. Release: zq_http_server_free, which cuts what
 * is still open. */
struct zq_http_server *zq_http_server_new(struct zq_loop *loop, const struct zq_config *config,
                                          const struct zq_http_handler *handler, void *user);
void zq_http_server_free(struct zq_http_server *server);
void *zq_http_server_user(struct zq_http_server *server);
struct zq_http_server *zq_exchange_server(struct zq_exchange *exchange);

/* Takes over an accepted socket (non-blocking, close-on-exec). */
void zq_http_accept(struct zq_http_server *server, int fd);
size_t zq_http_connections(const struct zq_http_server *server); /* open ones, lingering included */
/* There are --limit-connections places for them, in several servers together: `taken`. Who came
 * when all were taken has none, and takes none from those who come later. */
void zq_http_share_places(struct zq_http_server *server, atomic_size_t *taken);
/* Is its connection without a place, and still none free? */
bool zq_exchange_is_excess(struct zq_exchange *exchange);

/* Content that lies in `memory`, in a piece of at least `least` bytes, goes out by reference where
 * the system can do that, and does it quicker than it copies: measured on the way. For as long as
 * clients take, also when the exchange is over, its pages must not change then: whoever wants to
 * write there again has the memory get new ones first (MADV_DONTNEED). The process ignores SIGPIPE.
 * Before the first connection. */
void zq_http_lend(struct zq_http_server *server, struct zq_slice memory, size_t least);

/* From now on responses carry Connection: close and idle connections close at once. A request of
 * which a first byte was read is answered, also one that was pipelined, and then the one before it
 * does not close; a new connection that has sent nothing yet gets a second to do so. `on_empty` is
 * called (once, perhaps at once) when no connection is left; it must not free the server. */
void zq_http_drain(struct zq_http_server *server, void (*on_empty)(struct zq_http_server *server));

/* ---- request content ---- */

/* Lets on_body deliver up to `bytes` more, after this has returned. Nothing is read from the client
 * beyond that (but for what one read brought). The first call answers `Expect: 100-continue`; 0
 * changes nothing but that what waits for on_body_room asks it again. */
void zq_exchange_want(struct zq_exchange *exchange, uint64_t bytes);

/* ---- response ---- */

/* The response's head. `block` is ready-made: status line and fields, each line with its CRLF, as
 * zq_http_block makes it: no Content-Length, Transfer-Encoding, Connection, Age or Cache-Status,
 * which are written by this room from the rest. All is used before the call returns. */
struct zq_response_head {
    unsigned status;
    struct zq_slice block;
    int64_t content_length;       /* -1: not known: chunked for 1.1, close-delimited for 1.0 */
    int64_t age;                  /* seconds; -1: no Age field */
    struct zq_slice cache_status; /* value of Cache-Status; empty: none */
    bool close;                   /* the connection ends behind this response */
};

/* Writes an interim response (RFC 9110 15.2), whose `block` is zq_http_block's without a config.
 * Dropped when the response has started, for clients of HTTP/1.0, which know none, and while the
 * socket is full: it is worth nothing later. */
void zq_exchange_interim(struct zq_exchange *exchange, struct zq_slice block);

/* Starts the final response and writes as much of `body` as the socket takes, all in one call.
 * `end` says that `body` is the whole of it. Returns the body bytes accepted (the head always is).
 * For HEAD, 204 and 304 no content is written, and all of `body` counts as accepted; a HEAD's
 * content_length is that of the GET, -1 where it is not known. A response that ends before the
 * request's body was read drops it up to a bound, or closes, lingering. */
size_t zq_exchange_start(struct zq_exchange *exchange, const struct zq_response_head *head,
                         const struct iovec *body, int n, bool end);

/* More content: returns the bytes accepted. With less than offered the caller keeps the rest and
 * offers it again, from there, in on_writable; chunked framing stays correct as long as it offers
 * the same bytes. `end`: these are the last; the exchange is done when all are accepted, and
 * on_done may be called before this returns. */
size_t zq_exchange_write(struct zq_exchange *exchange, const struct iovec *body, int n, bool end);

/* The client's socket, borrowed, for another process to write the next `bytes` of content to; -1
 * where that is not possible: the response has no Content-Length that leaves room for so many, or
 * something waits to be written. Until zq_exchange_returned says what became of it nothing may be
 * written here; a connection that ends meanwhile is shut down for all who have its socket. */
int zq_exchange_lend_socket(struct zq_exchange *exchange, uint64_t bytes);
/* So much content has been written to the socket by the other. `full`: there is more, which it did
 * not take; then on_writable comes when it does. No-op when nothing makes a difference any more. */
void zq_exchange_returned(struct zq_exchange *exchange, uint64_t bytes, bool full);

/* Answers with a short text/plain explanation that names the status; `retry_after_s` > 0 adds
 * Retry-After. For when nothing was started. `cache_status` as above. The connection goes on by the
 * same rules as behind any other response. on_done may be called before this returns. */
void zq_exchange_error(struct zq_exchange *exchange, unsigned status, int retry_after_s,
                       struct zq_slice cache_status);

/* The connection ends behind this exchange's response, which is not started yet. */
void zq_exchange_close_after(struct zq_exchange *exchange);

/* Cuts the connection so that the client can tell that the response is incomplete. */
void zq_exchange_abort(struct zq_exchange *exchange);

/* True once the head was started. */
bool zq_exchange_started(const struct zq_exchange *exchange);
/* The client's socket took less than it was given: on_writable will tell when it takes more. */
bool zq_exchange_is_blocked(const struct zq_exchange *exchange);

/* ---- pure helpers, also for the cache's entries ---- */

const char *zq_http_reason(unsigned status); /* "" for an unknown one */

/* Appends a head block made of an application's response: the status line; then its fields without
 * those that are the connection's (Connection and what it names, Keep-Alive, Proxy-Connection, TE,
 * Transfer-Encoding, Upgrade), without Content-Length; Date and Server where the configuration asks
 * for them and the fields have none (`config` NULL: neither). Sets `*content_length` (-1 if absent)
 * and `*close` when the application asked for `Connection: close`. 0, or ZQ_EINVAL for what would
 * split or corrupt the response (CR, LF, NUL, a name that is no token, a Content-Length that is no
 * number or differs from another), with `*bad` naming the field. */
int zq_http_block(struct zq_buf *out, unsigned status, const struct zq_fields *fields,
                  const struct zq_config *config, time_t now, int64_t *content_length, bool *close,
                  struct zq_slice *bad);

/* uri-host [ ":" port ] (RFC 9110 7.2), not empty: reg-name, IPv4 or [IPv6]; port 0–65535. */
bool zq_host_valid(struct zq_slice host);

/* Percent-decodes `path` (RFC 3986 2.1) into the arena; returns `path` itself where nothing is
 * escaped. Invalid escapes stay as they are. p is NULL when out of memory. */
struct zq_slice zq_http_decode_path(struct zq_slice path, struct zq_arena *arena);
/* The same of a name or value in a query, as applications read forms: `+` is a space, too. */
struct zq_slice zq_http_decode_form(struct zq_slice text, struct zq_arena *arena);

#endif
