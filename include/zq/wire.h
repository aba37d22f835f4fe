/* room: wire
 *
 * Frames between a front's I/O thread and a worker, over a SOCK_STREAM socketpair: encode and
 * decode, no I/O. Both ends treat what they read as input: a decoder checks every length, and
 * returns ZQ_EPROTO for what the peer must never send. Integers are in host order: both ends run
 * on one machine.
 *
 * A frame is a 12-byte header (length of the payload, stream, type, flags) and the payload.
 *
 *   front → worker                        worker → front
 *   REQUEST  head [+ body], opens stream  RESPONSE head [+ body]; at most one a stream
 *   BODY     part of the request body     BODY     part of the response body
 *   SHARED   the same, in a block of      SHARED   the same
 *            the shared memory
 *   BLOCKS   answer to BLOCKS             BLOCKS   no block is free, and a body waits for one
 *   CREDIT   u32: more response body      CREDIT   u32: more request body may be sent
 *            may be sent                  WANT     the application asks for the body (100-continue)
 *   CANCEL   the client has left          RESET    the application failed, or answer to CANCEL
 *   PING     u32                          PONG     u32, the same
 *   ANSWER   to PURGE and INFO            PURGE    what to take out of the cache
 *                                         INFO     u32: how the cache is doing
 *                                         INTERIM  a head of 1xx, before RESPONSE
 *                                         ROUTE    one route that the application declares
 *                                         ROUTES   u32: that were all, so many
 *   LEND     the client's socket          OFFER    u32: so many bytes could go to it directly
 *   KEEP     no socket                    RETURNED u32: so many have gone there
 *
 * Streams: the front picks numbers, never 0 (which PING, PURGE, INFO, BLOCKS, their answers, ROUTE
 * and ROUTES have) and never one that is open. The request side ends with END on REQUEST, BODY or
 * SHARED, the response side with END on RESPONSE, BODY, SHARED or RETURNED, or with RESET. A stream
 * is over for both when the response side has ended: the front sends nothing more on it, and the
 * worker ignores what was already on its way (BODY, SHARED, CREDIT, CANCEL, LEND and KEEP for a
 * stream that it does not know). After CANCEL the worker closes the stream at once by RESET (unless
 * its END crossed it), so for the front every frame of an unknown stream is a protocol violation.
 *
 * Credit: each side may send ZQ_WIRE_…_WINDOW body bytes of a stream at first (those in REQUEST
 * and RESPONSE frames count), and then what CREDIT frames add. Sending more is a violation.
 *
 * SHARED names a block of the link's region (zq/region.h), where the bytes begin, and how many
 * there are. It is as good as a BODY frame with them. The receiver gives the block back by itself
 * when it has let go of the bytes; that takes no frame. A worker does so before it reads on: none
 * is its own that was named in front of a PING when it answers. A front that finds no free block
 * sends BODY, or PINGs and lets the client wait; a worker sends BODY, too, or asks BLOCKS. The
 * front answers that when it has read it and keeps, of the blocks named in front of it, at most
 * three quarters of all. The worker asks again only behind the answer.
 *
 * OFFER, behind RESPONSE: the next bytes of the body are so many and long, and nothing of it comes
 * until they have left, or behind KEEP, all of them, as usual: under credit, and before the next
 * OFFER. A front may answer LEND where one client alone wants them, for whom they go out as they
 * are; it answers KEEP where that is not so, or where it takes the sending onto itself, as it has
 * more time for it than the worker (front/lend.h). LEND's message carries one descriptor
 * (SCM_RIGHTS), which is the worker's: a copy of the client's socket, to write as much to as it
 * takes at once, and to be closed before RETURNED says how much that was. It is less than was
 * offered where the client is slow or has left; then the front answers again by LEND, once the
 * socket takes more, or KEEP, for what is left. Meanwhile the front writes nothing there, and
 * should the connection end first it shuts the socket down, so that the copy is of no use. Credit
 * has no say in what goes that way. END is on the RETURNED of the body's last byte.
 *
 * PURGE and INFO carry a number that ANSWER repeats. A worker asks the next when it has read the
 * answer; the purge is effective when the answer is written.
 *
 * A worker's first frames on a link are its ROUTEs, none or more, and ROUTES; and these come only
 * there. The front sends it no request before it knows the routes of its generation.
 */
#ifndef ZQ_WIRE_H
#define ZQ_WIRE_H

#include "zq/base.h"
#include "zq/field.h"
#include "zq/region.h"
#include "zq/route.h"

#define ZQ_WIRE_HEADER_SIZE 12
#define ZQ_WIRE_PAYLOAD_MAX (1u << 20)    /* of any frame */
#define ZQ_WIRE_BODY_MAX (64u << 10)      /* body bytes an encoder puts in one frame */
#define ZQ_WIRE_REQUEST_WINDOW (1u << 20) /* body bytes before the first CREDIT */
#define ZQ_WIRE_RESPONSE_WINDOW (512u << 10)
#define ZQ_WIRE_SHARED_LEAST (16u << 10) /* shorter parts are cheaper in a frame */
#define ZQ_WIRE_CREDIT_MAX (1u << 30)    /* a stream's credit never exceeds this */
#define ZQ_WIRE_OFFER_LEAST (256u << 10) /* shorter parts are not worth the questions */
#define ZQ_WIRE_OFFER_MAX (1u << 30)
#define ZQ_WIRE_PURGE_TEXT_MAX 8192 /* bytes that name what is purged */
#define ZQ_WIRE_ANSWER_TEXT_MAX 4096
#define ZQ_WIRE_INTERIM_MAX (16u << 10)      /* payload bytes of an INTERIM */
#define ZQ_WIRE_INTERIMS_MAX 16              /* INTERIM frames of one stream */
#define ZQ_WIRE_ROUTES_MAX 4096              /* of a link */
#define ZQ_WIRE_ROUTES_BYTES_MAX (64u << 20) /* payloads of all of them */
#define ZQ_WIRE_ROUTE_TEXT_MAX 1024          /* bytes of a route's methods, of its why */
#define ZQ_WIRE_END 1u /* flag: the sender's side of the stream ends with this frame */

/*    name, may come from the front, may come from the worker, has a stream, smallest payload */
#define ZQ_WIRE_TYPES(X)                                                                           \
    X(REQUEST, 1, 0, 1, 36)                                                                        \
    X(RESPONSE, 0, 1, 1, 4)                                                                        \
    X(BODY, 1, 1, 1, 0)                                                                            \
    X(CREDIT, 1, 1, 1, 4)                                                                          \
    X(WANT, 0, 1, 1, 0)                                                                            \
    X(CANCEL, 1, 0, 1, 0)                                                                          \
    X(RESET, 0, 1, 1, 0)                                                                           \
    X(PING, 1, 0, 0, 4)                                                                            \
    X(PONG, 0, 1, 0, 4)                                                                            \
    X(PURGE, 0, 1, 0, 8)                                                                           \
    X(INFO, 0, 1, 0, 4)                                                                            \
    X(ANSWER, 1, 0, 0, 8)                                                                          \
    X(INTERIM, 0, 1, 1, 4)                                                                         \
    X(ROUTE, 0, 1, 0, 24)                                                                          \
    X(ROUTES, 0, 1, 0, 4)                                                                          \
    X(SHARED, 1, 1, 1, 8)                                                                          \
    X(BLOCKS, 1, 1, 0, 0)                                                                          \
    X(OFFER, 0, 1, 1, 4)                                                                           \
    X(LEND, 1, 0, 1, 0)                                                                            \
    X(KEEP, 1, 0, 1, 0)                                                                            \
    X(RETURNED, 0, 1, 1, 4)

enum zq_wire_type {
    ZQ_WIRE_NONE,
#define X(name, front, worker, stream, least) ZQ_WIRE_##name,
    ZQ_WIRE_TYPES(X)
#undef X
        ZQ_WIRE_TYPE_COUNT
};

enum zq_wire_from { ZQ_WIRE_FROM_FRONT, ZQ_WIRE_FROM_WORKER };

struct zq_wire_frame {
    enum zq_wire_type type;
    unsigned flags;
    uint32_t stream;
    struct zq_slice payload; /* borrowed from the input */
};

/* What a REQUEST carries. `path` is percent-decoded; where nothing was escaped it may be sent
 * empty, and the decoder makes it equal to raw_path. An address that is not known (a Unix socket's
 * peer) is empty; a Unix socket's own path goes in `server` with port 0. */
struct zq_wire_request {
    unsigned version_minor; /* of HTTP/1.x; 20 for HTTP/2 */
    struct zq_slice method, scheme, raw_path, path, query, client, server;
    uint16_t client_port, server_port;
    struct zq_fields fields;
    struct zq_slice body;
};

struct zq_wire_response {
    unsigned
        status; /* 200..599; of an INTERIM 102..199, as 100 and 101 are not the application's */
    struct zq_fields fields;
    struct zq_slice body;
};

/* `kind` is enum zq_purge_kind (zq/cache.h), which the front checks. */
struct zq_wire_purge {
    uint32_t number;
    uint8_t kind;
    bool soft;
    struct zq_slice text;
};

/* Where a part of a body is, in the sender's blocks of the region. */
struct zq_wire_shared {
    uint32_t block; /* of which there may be none */
    uint32_t bytes; /* 1 .. ZQ_REGION_BLOCK_BYTES */
};

/* `status`: 200, or what HTTP would say; `text` then says why. INFO's is JSON. */
struct zq_wire_answer {
    uint32_t number;
    unsigned status; /* 200..599 */
    struct zq_slice text;
};

/* Takes one frame off `input`: 0 and `*frame` and `*used`; ZQ_EAGAIN when it is not complete
 * (`*used` is then the bytes needed in all, 0 if even that is unknown); ZQ_EPROTO. */
int zq_wire_next(struct zq_slice input, enum zq_wire_from from, struct zq_wire_frame *frame,
                 size_t *used);

/* A BODY frame that is taken in parts; zero-initialised, none is. */
struct zq_wire_parts {
    uint32_t stream, left; /* bytes that are still to come */
    unsigned flags;
};
/* The same, but what is there of a BODY frame is taken at once, as a frame by itself: the last one
 * of them has its flags. */
int zq_wire_next_part(struct zq_slice input, enum zq_wire_from from, struct zq_wire_parts *parts,
                      struct zq_wire_frame *frame, size_t *used);

/* Decodes a payload. Slices borrow from it; the fields' array comes from `arena`. 0, ZQ_EPROTO or
 * ZQ_ENOMEM. */
int zq_wire_decode_request(struct zq_slice payload, struct zq_arena *arena,
                           struct zq_wire_request *out);
int zq_wire_decode_response(struct zq_slice payload, struct zq_arena *arena,
                            struct zq_wire_response *out);
/* The same, for INTERIM: there is no body. */
int zq_wire_decode_interim(struct zq_slice payload, struct zq_arena *arena,
                           struct zq_wire_response *out);
int zq_wire_decode_purge(struct zq_slice payload, struct zq_wire_purge *out);
int zq_wire_decode_answer(struct zq_slice payload, struct zq_wire_answer *out);
int zq_wire_decode_shared(struct zq_slice payload, struct zq_wire_shared *out);
/* Its lists come from `arena`, too. The pattern has no fault, the methods are tokens, and only a
 * STATIC route has a response. */
int zq_wire_decode_route(struct zq_slice payload, struct zq_arena *arena, struct zq_route *out);
/* The number in CREDIT, PING, PONG, INFO, ROUTES, OFFER and RETURNED. A CREDIT or OFFER of 0 or
 * past its maximum is ZQ_EPROTO. */
int zq_wire_decode_number(const struct zq_wire_frame *frame, uint32_t *out);

/* Each appends one whole frame, or nothing and ZQ_ENOMEM, or ZQ_ELIMIT if it would pass
 * ZQ_WIRE_PAYLOAD_MAX. */
int zq_wire_encode_request(struct zq_buf *out, uint32_t stream,
                           const struct zq_wire_request *request, unsigned flags);
int zq_wire_encode_response(struct zq_buf *out, uint32_t stream,
                            const struct zq_wire_response *response, unsigned flags);
/* ZQ_ELIMIT past ZQ_WIRE_INTERIM_MAX. */
int zq_wire_encode_interim(struct zq_buf *out, uint32_t stream,
                           const struct zq_wire_response *interim);
int zq_wire_encode_body(struct zq_buf *out, uint32_t stream, struct zq_slice body, unsigned flags);
int zq_wire_encode_shared(struct zq_buf *out, uint32_t stream, struct zq_wire_shared shared,
                          unsigned flags);
int zq_wire_encode_number(struct zq_buf *out, enum zq_wire_type type, uint32_t stream,
                          uint32_t number); /* CREDIT, PING, PONG, INFO, ROUTES, OFFER */
int zq_wire_encode_returned(struct zq_buf *out, uint32_t stream, uint32_t bytes, unsigned flags);
int zq_wire_encode_purge(struct zq_buf *out, const struct zq_wire_purge *purge);
int zq_wire_encode_answer(struct zq_buf *out, const struct zq_wire_answer *answer);
/* ZQ_EINVAL for what the decoder would refuse. */
int zq_wire_encode_route(struct zq_buf *out, const struct zq_route *route);
int zq_wire_encode_signal(struct zq_buf *out, enum zq_wire_type type, uint32_t stream,
                          unsigned flags); /* WANT, CANCEL, RESET, BLOCKS, LEND, KEEP */
/* The same, without the bytes of the body, which the caller sends behind what was appended. */
int zq_wire_encode_response_head(struct zq_buf *out, uint32_t stream,
                                 const struct zq_wire_response *response, unsigned flags);
int zq_wire_encode_body_head(struct zq_buf *out, uint32_t stream, size_t body_bytes,
                             unsigned flags);
/* Copies `part` into a free block of `region`, unless it lies in one already (zq_region_room), and
 * appends the frame that names it. ZQ_EAGAIN when it
 * has to go in a BODY frame: it is too short or too long, no block is free, or `region` is NULL. */
int zq_wire_share(struct zq_buf *out, uint32_t stream, struct zq_region *region,
                  enum zq_region_way way, struct zq_slice part, unsigned flags);
/* Rewrites the stream number of a frame that was encoded at `frame` (a request that waited or is
 * tried again). */
void zq_wire_restream(char *frame, uint32_t stream);

const char *zq_wire_name(enum zq_wire_type type);

#endif
