/* The front's shared state, and what each I/O thread owns.
 *
 * A request's way: serve.c (on_request: decide) → cache → fetch.c (one call into Python) → link.c
 * (frames) → worker … → link.c → fetch.c (fills the entry) → serve_answer.c (to the client).
 *
 * Threads: `struct front` is written before the threads start, its atomics excepted; everything
 * else belongs to one I/O thread, which others reach only by zq_loop_post. Thread 0 is the main
 * thread and also talks to super (control.c).
 */
#ifndef ZQ_FRONT_FRONT_H
#define ZQ_FRONT_FRONT_H

#include "front/access_log.h"
#include "front/forwarded.h"
#include "zq/cache.h"
#include "zq/config.h"
#include "zq/control.h"
#include "zq/http.h"
#include "zq/loop.h"

#include <pthread.h>
#include <stdatomic.h>

#define FRONT_THREADS_MAX ZQ_CONTROL_LINKS_MAX
#define FRONT_LISTENERS_MAX 64
#define FRONT_ADMIN_LISTENERS_MAX 16

/* A worker as all threads see it. Counted: one reference a link. */
struct front_worker {
    uint32_t id, generation;
    atomic_uint references;
    atomic_uint outstanding; /* open streams on all links */
    atomic_bool hung_reported;
};

struct routes_view;
struct route_table;
struct front_thread;
struct front_listener {
    struct zq_acceptor acceptor;
    struct front_thread *thread;
};

struct front_thread {
    struct front *front;
    unsigned index;
    pthread_t id;
    struct zq_loop *loop;
    struct zq_http_server *server;
    struct zq_node links;     /* struct link */
    struct zq_node waiting;   /* struct fetch: no worker was there for them, oldest first */
    struct zq_node fetches;   /* struct fetch: all others that are under way */
    struct zq_node undecided; /* exchanges that came before any worker told its routes (serve.c) */
    struct routes_view *routes; /* that hold; NULL before */
    struct front_listener listeners[FRONT_LISTENERS_MAX];
    struct zq_arena scratch; /* for one frame */
    struct zq_chunk *input;  /* what a worker sent last; entries may keep parts of it */
    uint64_t kept;           /* of all links, see there */
    int64_t hit_ms;          /* when the last hit was served */
    struct zq_buf block;     /* for one response head */
    struct zq_buf line;      /* for one line of the access log */
    time_t wall;             /* the wall clock at wall_ms */
    int64_t wall_ms;
};

struct front {
    const struct zq_config *config;
    struct zq_cache *cache;
    struct trusted_peers *trusted;
    struct access_log *access_log; /* NULL when off */
    int listeners[FRONT_LISTENERS_MAX];
    unsigned n_listeners, n_threads;
    bool own_cores; /* there is one for each I/O thread and worker */
    struct front_thread threads[FRONT_THREADS_MAX];
    int admin_listeners[FRONT_ADMIN_LISTENERS_MAX];
    unsigned n_admin_listeners;
    char *admin_token;         /* of requests over TCP; NULL: none may */
    struct front_admin *admin; /* admin.c */
    atomic_uint generation;    /* of the workers that get new requests */
    atomic_size_t placed;      /* connections of all threads, at most --limit-connections */
    atomic_uint calls;         /* requests in the application, for --limit-concurrency */
    atomic_uint busy_threads;  /* while draining: those with connections left */
    atomic_bool draining;
    struct zq_post sweep; /* of the cache, after purges; thread 0 */
    bool cut;             /* the drain's deadline has passed; main thread */
    /* routes.c; main thread */
    struct route_table *next_routes; /* of the generation that is to come */
    uint32_t routes_generation;      /* of those that hold, */
    bool has_routes;                 /* if any do */
};

/* thread.c */
int front_thread_init(struct front *front, unsigned index);
int front_thread_listen(struct front_thread *thread);
void front_thread_drain(struct front_thread *thread);
void front_thread_fini(struct front_thread *thread);
time_t front_wall_clock(struct front_thread *thread);

/* Runs `run(thread, argument)` on that thread's loop, or on each, soon. Out of memory the front
 * ends. */
void front_thread_call(struct front_thread *thread,
                       void (*run)(struct front_thread *thread, void *argument), void *argument);
void front_call_all(struct front *front, void (*run)(struct front_thread *thread, void *argument),
                    void *argument);

/* control.c: the channel to super. */
int front_control_start(struct front *front, struct zq_loop *loop);
void front_control_stop(struct zq_loop *loop);
/* From any thread. */
void front_report(enum zq_control_type type, const struct front_worker *worker, const char *text);

#endif
