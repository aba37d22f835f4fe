/* room: super
 *
 * One worker. See super.h for its states.
 */
#include "super.h"

#include "zq/clock.h"
#include "zq/log.h"
#include "zq/region.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIR_SEND_BYTES (512 << 10) /* what the kernel may hold of a link, each way */

static const struct {
    const char *name;
    unsigned follow;
} states[] = {
#define X(name, follow) {#name, follow},
    WORKER_STATES(X)
#undef X
};

void worker_set_state(struct worker *w, enum worker_state state)
{
    ZQ_CHECK(w, WORKER_MAGIC);
    ZQ_ASSERT(states[w->state].follow & 1u << state);
    zq_log(ZQ_LOG_DEBUG, "worker %u: %s -> %s", w->number, states[w->state].name,
           states[state].name);
    w->state = state;
    w->deadline_ms = 0;
}

struct worker *worker_find(const struct super *s, uint32_t number)
{
    for (struct zq_node *n = s->workers.next; n != &s->workers; n = n->next) {
        struct worker *w = ZQ_CONTAINER(n, struct worker, node);

        if (w->number == number)
            return w;
    }
    return NULL;
}

/* A worker that does not take its messages cannot be steered any more. */
static int send_to(struct worker *w, const struct zq_control *message)
{
    int rc = w->child.control < 0 ? ZQ_ECLOSED : zq_control_send(w->child.control, message);

    if (rc == 0 || rc == ZQ_ECLOSED || w->state == WORKER_KILLED)
        return rc; /* closed: it is about to end, or LOST_MS will end it */
    zq_log(ZQ_LOG_ERROR, "worker %u (pid %d) does not take %s (%s): it is killed", w->number,
           (int)w->child.pid, zq_control_name(message->type), zq_strerror(rc));
    worker_kill(w);
    return rc;
}

/* ---- it begins ---- */

int worker_start(struct super *s, uint32_t generation, size_t slot)
{
    static const char *const argv[] = {"zq-worker", NULL};
    struct worker *w = calloc(1, sizeof(*w));

    if (!w ||
        zq_child_spawn(&w->child, s->config->worker_executable, argv, &s->limits->worker) < 0) {
        zq_log(ZQ_LOG_ERROR, "cannot start a worker: %s", strerror(w ? errno : ENOMEM));
        free(w);
        return ZQ_EIO;
    }
    w->magic = WORKER_MAGIC;
    w->number = ++s->last_number;
    w->generation = generation;
    w->slot = slot;
    w->state = WORKER_STARTING;
    if (!s->generation || s->load_limit_ms)
        w->deadline_ms = zq_now_ms() + (s->generation ? s->load_limit_ms : NOTICE_MS);
    zq_list_append(&s->workers, &w->node);
    zq_log(ZQ_LOG_DEBUG, "worker %u (pid %d) of generation %u starts", w->number, (int)w->child.pid,
           generation);
    send_to(w,
            &(struct zq_control){.type = ZQ_CONTROL_CONFIG,
                                 .worker = w->number,
                                 .generation = generation,
                                 .text = zq_slice(zq_buf_data(&s->config_text), s->config_text.n)});
    return 0;
}

static void on_ready(struct super *s, struct worker *w, struct zq_slice text)
{
    size_t n = text.n < sizeof(w->runtime) - 1 ? text.n : sizeof(w->runtime) - 1;

    if (w->state != WORKER_STARTING)
        return;
    memcpy(w->runtime, text.p, n);
    w->runtime[n] = '\0';
    w->ready_ms = zq_now_ms();
    worker_set_state(w, WORKER_READY);
    if (w->generation == s->loading) {
        generation_worker_ready(s);
        return;
    }
    zq_log(ZQ_LOG_INFO, "worker %u (pid %d) is ready", w->number, (int)w->child.pid);
    worker_serve(s, w);
}

void worker_on_control(struct super *s, struct worker *w)
{
    static char storage[ZQ_CONTROL_TEXT_MAX];
    struct zq_control message;
    int rc;

    while (w->child.control >= 0) {
        rc = zq_control_receive(w->child.control, &message, storage, sizeof(storage));
        if (rc == ZQ_EAGAIN)
            return;
        if (rc < 0) {
            zq_child_close_control(&w->child);
            if (w->state < WORKER_STOPPING)
                w->deadline_ms = zq_now_ms() + LOST_MS;
            return;
        }
        while (message.n_fds)
            close(message.fds[--message.n_fds]);
        if (message.type == ZQ_CONTROL_READY)
            on_ready(s, w, message.text);
    }
}

/* ---- it serves ---- */

static int make_pairs(int64_t n, struct zq_control *a, struct zq_control *b)
{
    const int bytes = PAIR_SEND_BYTES;

    for (int64_t i = 0; i < n; i++) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
            return ZQ_EIO;
        /* As far as the system allows; with the default they hold less than one window. */
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        a->fds[a->n_fds++] = ends[0];
        b->fds[b->n_fds++] = ends[1];
    }
    return 0;
}

/* Without it long bodies go through the sockets, as short ones do. */
static void share_memory(int64_t n, struct zq_control *a, struct zq_control *b)
{
    int memory = zq_region_memory((unsigned)n);
    int again = memory < 0 ? -1 : fcntl(memory, F_DUPFD_CLOEXEC, 0);

    if (again < 0) {
        zq_log(ZQ_LOG_WARNING, "no memory is shared with worker %u: %s", a->worker,
               strerror(errno));
        if (memory >= 0)
            close(memory);
        return;
    }
    a->value = b->value = 1;
    a->fds[a->n_fds++] = memory;
    b->fds[b->n_fds++] = again;
}

static void close_fds(struct zq_control *message)
{
    while (message->n_fds)
        close(message->fds[--message->n_fds]);
}

void worker_link(struct super *s, struct worker *w)
{
    struct zq_control to_worker = {
        .type = ZQ_CONTROL_LINKS, .worker = w->number, .generation = w->generation};
    struct zq_control to_front = {
        .type = ZQ_CONTROL_WORKER, .worker = w->number, .generation = w->generation};

    if (s->front.state != FRONT_SERVING && s->front.state != FRONT_DRAINING)
        return;
    if (make_pairs(s->config->front_threads, &to_worker, &to_front) < 0) {
        zq_log(ZQ_LOG_ERROR, "cannot link worker %u to the front: %s", w->number, strerror(errno));
        worker_kill(w);
        goto done;
    }
    share_memory(s->config->front_threads, &to_worker, &to_front);
    if (send_to(w, &to_worker) == 0 && super_front_send(s, &to_front) == 0)
        w->linked = true;
done:
    close_fds(&to_worker);
    close_fds(&to_front);
}

void worker_serve(struct super *s, struct worker *w)
{
    worker_set_state(w, WORKER_SERVING);
    s->slots[w->slot].worker = w;
    worker_link(s, w);
}

/* ---- it leaves ---- */

void worker_retire(struct super *s, struct worker *w)
{
    if (w->state < WORKER_SERVING)
        worker_kill(w); /* it was to replace one of those that retire now */
    if (w->state != WORKER_SERVING)
        return;
    worker_set_state(w, WORKER_RETIRING);
    w->deadline_ms = s->config->timeout_graceful_shutdown
                         ? zq_now_ms() + s->config->timeout_graceful_shutdown
                         : 0;
    if (!w->linked) /* there is no front, so nobody has a request here */
        worker_stop(s, w, super_time_left(s, w->deadline_ms));
}

void worker_stop(struct super *s, struct worker *w, int64_t ms)
{
    if (w->state == WORKER_STARTING) {
        worker_kill(w);
        return;
    }
    if (w->state >= WORKER_STOPPING)
        return;
    worker_set_state(w, WORKER_STOPPING);
    w->deadline_ms = zq_now_ms() + ms + SLACK_MS;
    send_to(w, &(struct zq_control){.type = ZQ_CONTROL_STOP, .worker = w->number, .value = ms});
}

void worker_abort(struct super *s, struct worker *w)
{
    char text[32];

    if (w->state != WORKER_SERVING && w->state != WORKER_RETIRING)
        return;
    zq_log(ZQ_LOG_ERROR,
           "worker %u (pid %d) hangs: its event loop has not answered for %s; it is replaced",
           w->number, (int)w->child.pid,
           super_seconds(s->config->timeout_worker_healthcheck, text));
    worker_set_state(w, WORKER_ABORTING);
    w->hung = true;
    w->deadline_ms = zq_now_ms() + ABORT_MS;
    zq_child_signal(&w->child, SIGABRT);
}

void worker_kill(struct worker *w)
{
    if (w->state == WORKER_KILLED)
        return;
    worker_set_state(w, WORKER_KILLED);
    zq_child_kill_group(&w->child);
}

void worker_on_deadline(struct super *s, struct worker *w)
{
    char text[32];

    w->deadline_ms = 0;
    if (w->child.control < 0 && w->state < WORKER_STOPPING) {
        zq_log(ZQ_LOG_ERROR, "worker %u (pid %d) has closed its control channel: it is killed",
               w->number, (int)w->child.pid);
    } else if (w->state == WORKER_STARTING && s->generation == 0) {
        zq_log(ZQ_LOG_WARNING, "worker %u (pid %d) is not ready after %s; still waiting for it",
               w->number, (int)w->child.pid, super_seconds(zq_now_ms() - s->load_started_ms, text));
        w->deadline_ms = zq_now_ms() + NOTICE_MS; /* the first load may take what it needs */
        return;
    } else if (w->state == WORKER_STARTING) {
        zq_log(ZQ_LOG_ERROR, "worker %u (pid %d) was not ready within %s: it is killed", w->number,
               (int)w->child.pid, super_seconds(s->load_limit_ms, text));
    } else if (w->state == WORKER_RETIRING) {
        zq_log(ZQ_LOG_WARNING, "worker %u (pid %d) still has requests after %s: they are cut",
               w->number, (int)w->child.pid,
               super_seconds(s->config->timeout_graceful_shutdown, text));
        worker_stop(s, w, STOP_LEAST_MS);
        return;
    } else if (w->state == WORKER_STOPPING) {
        zq_log(ZQ_LOG_WARNING, "worker %u (pid %d) did not stop in time: it is killed", w->number,
               (int)w->child.pid);
        s->exit_status = s->phase == SUPER_STOPPING ? 1 : s->exit_status;
    }
    worker_kill(w);
}

static void log_stopped(struct super *s, const struct worker *w, bool ok, const char *how)
{
    bool unexpected = w->state == WORKER_RETIRING || (w->state == WORKER_STOPPING && !ok);

    zq_log(unexpected ? ZQ_LOG_WARNING : ZQ_LOG_DEBUG, "worker %u %s", w->number, how);
    if (unexpected && s->phase == SUPER_STOPPING)
        s->exit_status = 1;
}

void worker_on_exit(struct super *s, struct worker *w)
{
    bool ok, was_loading = w->generation == s->loading;
    char how[64];

    ZQ_CHECK(w, WORKER_MAGIC);
    if (!zq_child_reap(&w->child, &ok, how, sizeof(how)))
        return;
    zq_list_remove(&w->node);
    if (w->linked)
        super_front_send(s, &(struct zq_control){.type = ZQ_CONTROL_WORKER_DEAD,
                                                 .worker = w->number,
                                                 .generation = w->generation,
                                                 .value = w->hung});
    if (was_loading)
        generation_worker_failed(s, w, how);
    else if (w->generation == s->generation && w->state != WORKER_STOPPING)
        slot_died(s, w, how);
    else
        log_stopped(s, w, ok, how);
    w->magic = 0;
    free(w);
    generation_worker_left(s);
}
