/* room: base
 *
 * The control channel: one SOCK_SEQPACKET socketpair between super and each of its children,
 * descriptor ZQ_CONTROL_FD in the child. A message is one packet; descriptors travel with it
 * (SCM_RIGHTS, received close-on-exec). When the channel closes, super is gone and the child
 * leaves at once.
 *
 * A worker's life:  CONFIG → (imports, lifespan startup) → READY | exit
 *                   LINKS for each front it shall serve; STOP → lifespan shutdown → exit 0
 * The front's life: CONFIG, LISTENER…, TOKEN?, STATE?, START → READY; WORKER/WORKER_DEAD/GENERATION
 * as workers come and go; DRAIN → finishes what is in flight → exit 0
 */
#ifndef ZQ_CONTROL_H
#define ZQ_CONTROL_H

#include "zq/base.h"

#define ZQ_CONTROL_FD 3
#define ZQ_CONTROL_TEXT_MAX 65536                     /* bytes of text in one message */
#define ZQ_CONTROL_LINKS_MAX 128                      /* I/O threads of a front */
#define ZQ_CONTROL_FDS_MAX (ZQ_CONTROL_LINKS_MAX + 1) /* descriptors in one message */

/*   name, direction and meaning */
#define ZQ_CONTROL_TYPES(X)                                                                         \
    X(CONFIG)   /* super → child: text is zq_config_dump */                                       \
    X(LISTENER) /* super → front: one listening socket; text is its address for people;           \
                   value: enum zq_listener_kind */                                                  \
    X(START)    /* super → front: all listeners are there */                                      \
    X(READY)    /* child → super: serving; text from a worker: `3.11.7 uvloop` */                 \
    X(LINKS)    /* super → worker: a descriptor for each I/O thread of a (new) front; value 1:    \
                   and the memory that they share (zq/region.h) */                                  \
    X(WORKER)   /* super → front: worker, generation; descriptors and value as in LINKS */        \
    X(WORKER_DEAD) /* super → front: it is gone; value 1 if it was killed because it hung */      \
    X(GENERATION)  /* super → front: this generation serves; older ones get no new requests */    \
    X(WORKER_IDLE) /* front → super: an older worker has no request left; its links are closed */ \
    X(WORKER_HUNG) /* front → super: its event loop did not answer for the health-check time */   \
    X(WORKER_BAD) /* front → super: it broke the wire protocol or closed a link; text says how */ \
    X(DRAIN)      /* super → front: stop accepting, finish; value: milliseconds left */           \
    X(STOP)  /* super → worker: finish tasks, lifespan shutdown, exit; value: milliseconds */     \
    X(STATE) /* front → super → the next front: text is what an operator has changed */         \
    X(TOKEN) /* super → front: text is what admin requests over TCP have to show */

enum zq_control_type {
    ZQ_CONTROL_NONE,
#define X(name) ZQ_CONTROL_##name,
    ZQ_CONTROL_TYPES(X)
#undef X
        ZQ_CONTROL_TYPE_COUNT
};

enum zq_listener_kind { ZQ_LISTENER_CLIENTS, ZQ_LISTENER_ADMIN };

const char *zq_control_name(enum zq_control_type type);

struct zq_control {
    enum zq_control_type type;
    uint32_t worker;     /* worker's number, never reused while super lives */
    uint32_t generation; /* of that worker, counted from 1 */
    int64_t value;
    struct zq_slice text; /* after receive: in the caller's buffer, until the next receive */
    int fds[ZQ_CONTROL_FDS_MAX];
    size_t n_fds; /* after receive: the caller owns (closes) them */
};

/* Sends one message without blocking: 0, ZQ_EAGAIN when the peer does not read, ZQ_ECLOSED. The
 * descriptors stay the caller's. */
int zq_control_send(int channel, const struct zq_control *message);

/* Receives one message without blocking: 0, ZQ_EAGAIN, ZQ_ECLOSED, or ZQ_EPROTO for a malformed
 * one (its descriptors are closed). `storage` holds the text: at least ZQ_CONTROL_TEXT_MAX. */
int zq_control_receive(int channel, struct zq_control *message, char *storage, size_t size);

/* The same, waiting at most `timeout_ms` (-1: for ever). For a process's start, never in a loop. */
int zq_control_wait(int channel, struct zq_control *message, char *storage, size_t size,
                    int timeout_ms);

#endif
