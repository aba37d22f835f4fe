#include "front/front.h"

#include "front/admin.h"
#include "front/fetch.h"
#include "front/routes.h"
#include "zq/log.h"

#include <stdlib.h>
#include <unistd.h>

/* Runs on the main thread, which is I/O thread 0. */
static struct front *the_front;
static struct zq_io control_io = {.fd = -1};
static struct zq_timer drain_deadline;
static char control_text[ZQ_CONTROL_TEXT_MAX];

void front_report(enum zq_control_type type, const struct front_worker *worker, const char *text)
{
    struct zq_control message = {
        .type = type,
        .worker = worker != NULL ? worker->id : 0,
        .generation = worker != NULL ? worker->generation : 0,
        .text = zq_slice_str(text),
    };

    if (zq_control_send(ZQ_CONTROL_FD, &message) < 0)
        zq_log(ZQ_LOG_WARNING, "could not tell super %s", zq_control_name(type));
}

/* ---- workers come and go ---- */

struct new_link {
    struct front_worker *worker;
    struct zq_region *region;
    int fd;
};

/* Nothing can be asked of it: super starts another, after a while if that happens again. */
static void refuse(uint32_t id, uint32_t generation, const char *why)
{
    const struct front_worker worker = {.id = id, .generation = generation};

    zq_log(ZQ_LOG_ERROR, "worker %u: %s", id, why);
    front_report(ZQ_CONTROL_WORKER_BAD, &worker, why);
}

static void add_link(struct front_thread *thread, void *argument)
{
    struct new_link *new = argument;
    const uint32_t id = new->worker->id, generation = new->worker->generation;

    if (link_new(thread, new->worker, new->region, new->fd) == NULL)
        refuse(id, generation, "no memory in the front for a link to it");
    free(new);
    fetch_waiting(thread);
}

static void new_link_free(struct new_link *new)
{
    if (new != NULL)
        zq_region_unref(new->region);
    free(new);
}

/* NULL when out of memory. */
static struct new_link *new_link_of(const struct zq_control *m, unsigned index,
                                    struct front_worker *worker)
{
    struct new_link *new = malloc(sizeof(*new));

    if (new == NULL)
        return NULL;
    *new = (struct new_link){.worker = worker, .fd = m->fds[index]};
    if (m->value && (new->region = zq_region_new(m->fds[m->n_fds - 1], index)) == NULL) {
        free(new);
        return NULL;
    }
    return new;
}

/* One for each thread, or none. */
static bool make_links(const struct zq_control *m, struct front_worker *worker,
                       struct new_link *links[FRONT_THREADS_MAX])
{
    for (unsigned i = 0; i < the_front->n_threads; i++) {
        links[i] = new_link_of(m, i, worker);
        if (links[i] != NULL)
            continue;
        while (i > 0)
            new_link_free(links[--i]);
        return false;
    }
    return true;
}

static void on_worker(struct zq_control *m)
{
    struct new_link *links[FRONT_THREADS_MAX] = {0};

    if (m->n_fds != the_front->n_threads + (m->value ? 1 : 0)) {
        refuse(m->worker, m->generation, "not a link for each thread of the front");
        return;
    }
    struct front_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL || !make_links(m, worker, links)) {
        free(worker);
        refuse(m->worker, m->generation, "no memory in the front for its links");
        return;
    }
    worker->id = m->worker;
    worker->generation = m->generation;
    worker->references = the_front->n_threads;
    for (unsigned i = 0; i < the_front->n_threads; i++) {
        m->fds[i] = -1;
        front_thread_call(&the_front->threads[i], add_link, links[i]);
    }
}

static void drop_dead(struct front_thread *thread, void *argument)
{
    intptr_t value = (intptr_t)argument;
    struct link *link = link_find(thread, (uint32_t)(value >> 1));

    if (link != NULL)
        link_orphan(link, value & 1);
}

static void on_worker_dead(const struct zq_control *m)
{
    front_call_all(the_front, drop_dead, (void *)((intptr_t)m->worker << 1 | (m->value != 0)));
}

static void turn_generation(struct front_thread *thread, void *argument)
{
    (void)argument;
    fetch_waiting(thread);
    for (struct zq_node *n = thread->links.next, *next; n != &thread->links; n = next) {
        next = n->next;
        link_retire_if_idle(ZQ_CONTAINER(n, struct link, node));
    }
}

static void on_generation(const struct zq_control *m)
{
    atomic_store(&the_front->generation, m->generation);
    routes_turn(the_front);
    front_call_all(the_front, turn_generation, NULL);
}

/* ---- the end ---- */

static void drain(struct front_thread *thread, void *argument)
{
    (void)argument;
    if (thread->index == 0)
        admin_drain(thread->front);
    front_thread_drain(thread);
}

static void stop_all(void)
{
    for (unsigned i = 0; i < the_front->n_threads; i++)
        zq_loop_stop(the_front->threads[i].loop);
}

/* What is still open is cut when the threads are freed, and has its line in the access log. */
static void on_drain_deadline(struct zq_timer *timer)
{
    char limit[32];

    (void)timer;
    zq_format_duration(the_front->config->timeout_graceful_shutdown, limit);
    zq_log(ZQ_LOG_WARNING, "requests are still in flight after %s: they are cut", limit);
    the_front->cut = true;
    stop_all();
}

static void on_drain(const struct zq_control *m)
{
    if (atomic_exchange(&the_front->draining, true))
        return;
    atomic_store(&the_front->busy_threads, the_front->n_threads);
    drain_deadline.on_expire = on_drain_deadline;
    zq_timer_set(the_front->threads[0].loop, &drain_deadline, m->value);
    front_call_all(the_front, drain, NULL);
}

/* ---- the channel ---- */

static void on_message(struct zq_control *m)
{
    switch (m->type) {
    case ZQ_CONTROL_WORKER:
        on_worker(m);
        break;
    case ZQ_CONTROL_WORKER_DEAD:
        on_worker_dead(m);
        break;
    case ZQ_CONTROL_GENERATION:
        on_generation(m);
        break;
    case ZQ_CONTROL_DRAIN:
        on_drain(m);
        break;
    default:
        zq_log(ZQ_LOG_ERROR, "unexpected %s from super", zq_control_name(m->type));
    }
    for (size_t i = 0; i < m->n_fds; i++)
        if (m->fds[i] >= 0)
            close(m->fds[i]);
}

static void on_event(struct zq_io *io, uint32_t events)
{
    struct zq_control m;

    (void)events;
    for (;;) {
        int error = zq_control_receive(io->fd, &m, control_text, sizeof(control_text));
        if (error == ZQ_EAGAIN)
            return;
        if (error < 0)
            _exit(1); /* super is gone, and nobody would restart or stop us */
        on_message(&m);
    }
}

int front_control_start(struct front *front, struct zq_loop *loop)
{
    the_front = front;
    control_io.on_event = on_event;
    return zq_loop_add(loop, &control_io, ZQ_CONTROL_FD, EPOLLIN);
}

void front_control_stop(struct zq_loop *loop)
{
    zq_loop_remove(loop, &control_io);
    zq_timer_cancel(loop, &drain_deadline);
}
