/* room: super
 *
 * What super knows of its children, for the files that make up its state machine:
 *
 *   supervise.c   the phases, signals, the loop
 *   worker.c      one worker: its states, messages and deadlines
 *   slot.c        the places that serving workers fill, and who fills them next
 *   generation.c  all workers of one load of the application: start and reload
 *   front.c       the front's states and messages
 *
 * Single-threaded. Workers are on super's list from the fork to the reaping, and freed by
 * worker_on_exit only.
 */
#ifndef ZQ_SUPER_SUPER_H
#define ZQ_SUPER_SUPER_H

#include "backoff.h"
#include "limits.h"
#include "listen.h"
#include "spawn.h"
#include "zq/config.h"
#include "zq/control.h"

#define TO(name) (1u << WORKER_##name)
/*    name, the states that may follow */
#define WORKER_STATES(X)                                                                           \
    /* CONFIG was sent: imports, lifespan startup */                                               \
    X(STARTING, TO(READY) | TO(KILLED))                                                            \
    /* waits for the others of its generation */                                                   \
    X(READY, TO(SERVING) | TO(STOPPING) | TO(KILLED))                                              \
    /* linked to the front, while there is one */                                                  \
    X(SERVING, TO(RETIRING) | TO(STOPPING) | TO(ABORTING) | TO(KILLED))                            \
    /* of an older generation, finishing its requests */                                           \
    X(RETIRING, TO(STOPPING) | TO(ABORTING) | TO(KILLED))                                          \
    /* STOP was sent */                                                                            \
    X(STOPPING, TO(KILLED))                                                                        \
    /* SIGABRT was sent: it writes its stack */                                                    \
    X(ABORTING, TO(KILLED))                                                                        \
    /* SIGKILL was sent to its group */                                                            \
    X(KILLED, 0u)

enum worker_state {
#define X(name, follow) WORKER_##name,
    WORKER_STATES(X)
#undef X
        WORKER_STATE_COUNT
};

struct worker {
    unsigned magic;
    struct zq_node node;
    uint32_t number, generation; /* numbers are never used again */
    size_t slot;
    enum worker_state state;
    struct zq_child child;
    int64_t ready_ms;    /* when it was; 0 before */
    int64_t deadline_ms; /* of its state; 0: none */
    bool linked;         /* the front has heard of it */
    bool hung;           /* why it is being killed */
    char runtime[64];    /* `3.11.7 uvloop` */
};
#define WORKER_MAGIC 0x5a51574bu

enum front_state { FRONT_NONE, FRONT_STARTING, FRONT_SERVING, FRONT_DRAINING, FRONT_KILLED };

struct front_child {
    enum front_state state;
    struct zq_child child;
    int64_t ready_ms, deadline_ms;
    struct backoff backoff;
};

/* Where a worker of the serving generation stands; empty while the next one is not started. */
struct slot {
    struct worker *worker;
    struct backoff backoff;
};

enum super_phase {
    SUPER_STARTING, /* until the ready line */
    SUPER_SERVING,
    SUPER_DRAINING, /* the front finishes what is in flight */
    SUPER_STOPPING, /* the front has left; the workers finish */
    SUPER_KILLING   /* everybody got SIGKILL */
};

struct super {
    const struct zq_config *config;
    struct zq_listeners *listeners;
    const struct zq_limits *limits;
    struct zq_buf config_text; /* zq_config_dump, for every child */
    struct zq_buf state_text;  /* what a front wants the next one to know; super does not read it */
    enum super_phase phase;
    int exit_status;
    int64_t stop_deadline_ms; /* of the graceful stop; 0: none */
    int signals;              /* signalfd */

    struct zq_node workers;
    uint32_t last_number;
    struct slot *slots;
    size_t n_slots;

    uint32_t generation;      /* that serves; 0 before the first */
    uint32_t loading;         /* that is being started; 0: none */
    uint32_t last_generation; /* numbers are never used again */
    bool load_again;          /* SIGHUP came during a reload */
    int64_t load_started_ms;
    int64_t load_limit_ms; /* for a worker to get ready, once one has; 0: none */

    struct front_child front;
};

#define SLACK_MS 2000      /* between a deadline that a child knows and its SIGKILL */
#define STOP_LEAST_MS 2000 /* for a lifespan shutdown, even when the deadline has passed */
#define ABORT_MS 2000      /* for faulthandler to write the stack of a worker that hangs */
#define LOST_MS 2000       /* for a child that has closed its control channel to end */
#define NOTICE_MS 30000    /* between remarks that the first load is not done yet */
#define FOREVER_MS (365ll * 86400 * 1000)

/* ---- supervise.c ---- */

const char *super_seconds(int64_t ms, char out[32]); /* a time, for the log */
void super_fail(struct super *s);                    /* the start has failed: stop, exit status 1 */
void super_ready(struct super *s);                   /* the front serves */
void super_front_gone(struct super *s, bool ok);
/* Milliseconds that a child which is to stop still has: of the graceful stop, if there is one, or
 * of `deadline_ms`; at least STOP_LEAST_MS. */
int64_t super_time_left(const struct super *s, int64_t deadline_ms);

/* ---- worker.c ---- */

struct worker *worker_find(const struct super *s, uint32_t number);
int worker_start(struct super *s, uint32_t generation, size_t slot); /* 0 or ZQ_EIO, logged */
void worker_set_state(struct worker *w, enum worker_state state);
void worker_serve(struct super *s, struct worker *w); /* from READY: to its slot, to the front */
void worker_link(struct super *s, struct worker *w);  /* no-op when there is no front */
void worker_retire(struct super *s, struct worker *w);
void worker_stop(struct super *s, struct worker *w, int64_t ms);
void worker_abort(struct super *s, struct worker *w); /* it hangs */
void worker_kill(struct worker *w);
void worker_on_control(struct super *s, struct worker *w);
void worker_on_exit(struct super *s, struct worker *w); /* may free `w` */
void worker_on_deadline(struct super *s, struct worker *w);

/* ---- slot.c ---- */

void slot_died(struct super *s, struct worker *w, const char *how);
void slots_tick(struct super *s, int64_t now_ms); /* starts what is due */

/* ---- generation.c ---- */

void generation_load(struct super *s); /* or remembers to */
void generation_worker_ready(struct super *s);
void generation_worker_failed(struct super *s, const struct worker *w, const char *how);
void generation_cancel(struct super *s);
void generation_worker_left(struct super *s); /* perhaps the last that another reload waits for */

/* ---- front.c ---- */

int super_front_start(struct super *s);
/* 0, or an error after which the front is being killed or is gone. */
int super_front_send(struct super *s, const struct zq_control *message);
void super_front_drain(struct super *s);
void super_front_kill(struct super *s);
void super_front_on_control(struct super *s);
void super_front_on_exit(struct super *s);
void super_front_tick(struct super *s, int64_t now_ms);

#endif
