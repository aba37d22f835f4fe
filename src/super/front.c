/* room: super
 *
 * The front: one process that owns every client. It is replaced when it dies, on the same
 * listening sockets; the workers stay.
 */
#include "super.h"

#include "zq/clock.h"
#include "zq/log.h"

#include <errno.h>
#include <unistd.h>

#define START_MS 30000 /* it reads its configuration and starts threads, no more */

static void set_state(struct front_child *f, enum front_state state, int64_t deadline_ms)
{
    static const char *const names[] = {"none", "starting", "serving", "draining", "killed"};

    zq_log(ZQ_LOG_DEBUG, "front: %s -> %s", names[f->state], names[state]);
    ZQ_ASSERT(state == FRONT_NONE || state > f->state);
    f->state = state;
    f->deadline_ms = deadline_ms;
}

/* A front that does not take its messages has stopped working, whatever else it does. */
int super_front_send(struct super *s, const struct zq_control *message)
{
    struct front_child *f = &s->front;
    int rc = f->child.control < 0 ? ZQ_ECLOSED : zq_control_send(f->child.control, message);

    if (rc == 0 || rc == ZQ_ECLOSED || f->state == FRONT_KILLED)
        return rc;
    zq_log(ZQ_LOG_ERROR, "the front (pid %d) does not take %s (%s): it is killed",
           (int)f->child.pid, zq_control_name(message->type), zq_strerror(rc));
    super_front_kill(s);
    return rc;
}

static int introduce(struct super *s)
{
    int rc = super_front_send(
        s, &(struct zq_control){.type = ZQ_CONTROL_CONFIG,
                                .text = zq_slice(zq_buf_data(&s->config_text), s->config_text.n)});

    for (size_t i = 0; i < s->listeners->n && rc == 0; i++)
        rc = super_front_send(s, &(struct zq_control){.type = ZQ_CONTROL_LISTENER,
                                                      .value = s->listeners->v[i].admin
                                                                   ? ZQ_LISTENER_ADMIN
                                                                   : ZQ_LISTENER_CLIENTS,
                                                      .text = zq_slice_str(s->listeners->v[i].text),
                                                      .fds = {s->listeners->v[i].fd},
                                                      .n_fds = 1});
    if (rc == 0 && s->listeners->admin_token)
        rc = super_front_send(
            s, &(struct zq_control){.type = ZQ_CONTROL_TOKEN,
                                    .text = zq_slice_str(s->listeners->admin_token)});
    if (rc == 0 && s->state_text.n)
        rc = super_front_send(s, &(struct zq_control){.type = ZQ_CONTROL_STATE,
                                                      .text = zq_slice(zq_buf_data(&s->state_text),
                                                                       s->state_text.n)});
    return rc ? rc : super_front_send(s, &(struct zq_control){.type = ZQ_CONTROL_START});
}

int super_front_start(struct super *s)
{
    static const char *const argv[] = {"zq", "@front", NULL};

    /* Our own image, even when the file has been replaced since: both ends of the control channel
     * and of the wire belong together. */
    if (zq_child_spawn(&s->front.child, "/proc/self/exe", argv, &s->limits->front) < 0) {
        zq_log(ZQ_LOG_ERROR, "cannot start the front: %s", strerror(errno));
        return ZQ_EIO;
    }
    s->front.ready_ms = 0;
    set_state(&s->front, FRONT_STARTING, zq_now_ms() + START_MS);
    introduce(s);
    return 0;
}

static void on_ready(struct super *s)
{
    if (s->front.state != FRONT_STARTING)
        return;
    s->front.ready_ms = zq_now_ms();
    set_state(&s->front, FRONT_SERVING, 0);
    for (struct zq_node *n = s->workers.next; n != &s->workers; n = n->next) {
        struct worker *w = ZQ_CONTAINER(n, struct worker, node);

        if (w->state == WORKER_SERVING)
            worker_link(s, w);
    }
    if (super_front_send(s, &(struct zq_control){.type = ZQ_CONTROL_GENERATION,
                                                 .generation = s->generation}) == 0)
        super_ready(s);
}

static void on_worker_idle(struct super *s, struct worker *w)
{
    if (w->state != WORKER_RETIRING)
        return;
    w->linked = false; /* the front has closed its links and forgotten it */
    worker_stop(s, w, super_time_left(s, w->deadline_ms));
}

static void on_worker_bad(struct worker *w, struct zq_slice text)
{
    if (w->state >= WORKER_STOPPING)
        return; /* it is leaving, and its links close as they should */
    zq_log(ZQ_LOG_ERROR, "worker %u (pid %d) is killed: %.*s", w->number, (int)w->child.pid,
           (int)(text.n < 500 ? text.n : 500), text.p);
    worker_kill(w);
}

static void keep_state(struct super *s, struct zq_slice text)
{
    zq_buf_consume(&s->state_text, s->state_text.n);
    if (zq_buf_append(&s->state_text, text.p, text.n) < 0)
        zq_log(ZQ_LOG_WARNING, "no memory to keep what was changed at run time");
}

static void on_message(struct super *s, const struct zq_control *message)
{
    struct worker *w = worker_find(s, message->worker);

    if (message->type == ZQ_CONTROL_READY)
        on_ready(s);
    else if (message->type == ZQ_CONTROL_STATE)
        keep_state(s, message->text);
    else if (!w)
        return; /* it died while the front wrote */
    else if (message->type == ZQ_CONTROL_WORKER_IDLE)
        on_worker_idle(s, w);
    else if (message->type == ZQ_CONTROL_WORKER_HUNG)
        worker_abort(s, w);
    else if (message->type == ZQ_CONTROL_WORKER_BAD)
        on_worker_bad(w, message->text);
}

void super_front_on_control(struct super *s)
{
    static char storage[ZQ_CONTROL_TEXT_MAX];
    struct front_child *f = &s->front;
    struct zq_control message;

    while (f->child.control >= 0) {
        int rc = zq_control_receive(f->child.control, &message, storage, sizeof(storage));

        if (rc == ZQ_EAGAIN)
            return;
        if (rc < 0) {
            zq_child_close_control(&f->child);
            if (f->state < FRONT_DRAINING)
                f->deadline_ms = zq_now_ms() + LOST_MS;
            return;
        }
        while (message.n_fds)
            close(message.fds[--message.n_fds]);
        on_message(s, &message);
    }
}

void super_front_drain(struct super *s)
{
    int64_t left = s->stop_deadline_ms ? s->stop_deadline_ms - zq_now_ms() : FOREVER_MS;

    if (s->front.state != FRONT_SERVING) {
        super_front_kill(s);
        return;
    }
    set_state(&s->front, FRONT_DRAINING, s->stop_deadline_ms ? s->stop_deadline_ms + SLACK_MS : 0);
    super_front_send(s, &(struct zq_control){.type = ZQ_CONTROL_DRAIN, .value = left});
}

void super_front_kill(struct super *s)
{
    if (s->front.state == FRONT_KILLED || s->front.state == FRONT_NONE)
        return;
    set_state(&s->front, FRONT_KILLED, 0);
    zq_child_kill_group(&s->front.child);
}

/* Its links are closed, so the requests that its workers had are over. */
static void unlink_workers(struct super *s)
{
    for (struct zq_node *n = s->workers.next; n != &s->workers; n = n->next) {
        struct worker *w = ZQ_CONTAINER(n, struct worker, node);

        w->linked = false;
        if (w->state == WORKER_RETIRING)
            worker_stop(s, w, super_time_left(s, w->deadline_ms));
    }
}

void super_front_on_exit(struct super *s)
{
    struct front_child *f = &s->front;
    int64_t now = zq_now_ms(), delay;
    char how[64], text[32], next[64] = "another is started";
    bool ok, known = f->state == FRONT_KILLED;

    if (!zq_child_reap(&f->child, &ok, how, sizeof(how)))
        return;
    /* One that was never ready has accepted nobody. */
    ok = (ok && f->state == FRONT_DRAINING) || f->ready_ms == 0;
    set_state(f, FRONT_NONE, 0);
    unlink_workers(s);
    if (s->phase == SUPER_SERVING) {
        delay = backoff_fail(&f->backoff, now, f->ready_ms ? now - f->ready_ms : 0);
        if (delay)
            snprintf(next, sizeof(next), "another is started in %s", super_seconds(delay, text));
        zq_log(ZQ_LOG_CRITICAL, "the front %s; %s", how, next);
    } else if (s->phase == SUPER_STARTING) {
        zq_log(ZQ_LOG_CRITICAL, "the front %s before it was ready: zq does not start", how);
        super_fail(s);
    } else {
        if (!ok && !known && s->phase == SUPER_DRAINING)
            zq_log(ZQ_LOG_WARNING, "the front %s", how);
        super_front_gone(s, ok);
    }
}

void super_front_tick(struct super *s, int64_t now_ms)
{
    struct front_child *f = &s->front;
    char text[32];

    if (f->backoff.retry_at_ms && f->backoff.retry_at_ms <= now_ms && s->phase == SUPER_SERVING) {
        f->backoff.retry_at_ms = 0;
        if (super_front_start(s) < 0)
            backoff_fail(&f->backoff, now_ms, 0);
    }
    if (!f->deadline_ms || f->deadline_ms > now_ms)
        return;
    if (f->state == FRONT_DRAINING)
        zq_log(ZQ_LOG_WARNING, "requests are still in flight after %s: they are cut",
               super_seconds(s->config->timeout_graceful_shutdown, text));
    else
        zq_log(ZQ_LOG_ERROR, "the front (pid %d) does not %s: it is killed", (int)f->child.pid,
               f->state == FRONT_STARTING ? "get ready" : "keep its control channel");
    super_front_kill(s);
}
