/* room: super
 *
 * The phases of super's own life, its signals and its loop.
 */
#include "supervise.h"

#include "super.h"
#include "zq/clock.h"
#include "zq/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLING_MS 2000 /* for the kernel to end what got SIGKILL */

const char *super_seconds(int64_t ms, char out[32])
{
    if (ms < 1000)
        snprintf(out, 32, "%lldms", (long long)ms);
    else
        snprintf(out, 32, "%.3gs", (double)ms / 1000);
    return out;
}

int64_t super_time_left(const struct super *s, int64_t deadline_ms)
{
    int64_t deadline = s->stop_deadline_ms ? s->stop_deadline_ms : deadline_ms;
    int64_t left = deadline ? deadline - zq_now_ms() : FOREVER_MS;

    return left > STOP_LEAST_MS ? left : STOP_LEAST_MS;
}

/* ---- the start ---- */

static void say_ready(const struct super *s)
{
    const struct worker *w = s->slots[0].worker;
    struct zq_buf addresses = {0};
    char cache[32] = "off", version[64] = "?";
    const char *loop = "";

    for (size_t i = 0; i < s->listeners->n && !s->listeners->v[i].admin; i++) /* which come last */
        zq_buf_printf(&addresses, "%s%s", i ? ", " : "", s->listeners->v[i].text);
    if (w) {
        snprintf(version, sizeof(version), "%s", w->runtime);
        version[strcspn(version, " ")] = '\0';
        loop = strchr(w->runtime, ' ');
    }
    if (s->config->cache && s->config->cache_size)
        zq_format_size(s->config->cache_size, cache);
    zq_log(ZQ_LOG_INFO, "zq " ZQ_VERSION " ready on %.*s (%zu worker%s, Python %s%s%s, cache %s)",
           (int)addresses.n, zq_buf_data(&addresses), s->n_slots, s->n_slots == 1 ? "" : "s",
           version, loop ? "," : "", loop ? loop : "", cache);
    zq_buf_fini(&addresses);
}

void super_ready(struct super *s)
{
    if (s->phase != SUPER_STARTING) {
        zq_log(ZQ_LOG_INFO, "the front (pid %d) is ready", (int)s->front.child.pid);
        return;
    }
    s->phase = SUPER_SERVING;
    say_ready(s);
    generation_worker_left(s); /* a SIGHUP that came meanwhile */
}

/* ---- the end ---- */

static void stop_workers(struct super *s)
{
    int64_t left = super_time_left(s, 0);

    s->phase = SUPER_STOPPING;
    for (struct zq_node *n = s->workers.next; n != &s->workers; n = n->next)
        worker_stop(s, ZQ_CONTAINER(n, struct worker, node), left);
}

static void stop(struct super *s)
{
    int64_t limit = s->config->timeout_graceful_shutdown;

    s->phase = SUPER_DRAINING;
    s->stop_deadline_ms = limit ? zq_now_ms() + limit : 0;
    generation_cancel(s);
    zq_listen_close(s->listeners); /* the front accepts what is queued and closes the last copies */
    if (s->front.state == FRONT_NONE)
        stop_workers(s);
    else
        super_front_drain(s);
}

void super_front_gone(struct super *s, bool ok)
{
    if (!ok && s->exit_status == 0 && s->phase == SUPER_DRAINING)
        s->exit_status = 1;
    if (s->phase == SUPER_DRAINING)
        stop_workers(s);
}

void super_fail(struct super *s)
{
    s->exit_status = 1;
    if (s->phase == SUPER_STARTING)
        stop(s);
}

static void kill_all(struct super *s, int status)
{
    s->phase = SUPER_KILLING;
    s->exit_status = status;
    s->stop_deadline_ms = zq_now_ms() + KILLING_MS;
    super_front_kill(s);
    for (struct zq_node *n = s->workers.next; n != &s->workers; n = n->next)
        worker_kill(ZQ_CONTAINER(n, struct worker, node));
}

static void on_stop_signal(struct super *s, int number)
{
    char text[32];

    if (s->phase > SUPER_SERVING) {
        zq_log(ZQ_LOG_WARNING, "SIG%s again: stopping at once", sigabbrev_np(number));
        kill_all(s, 128 + number);
    } else {
        zq_format_duration(s->config->timeout_graceful_shutdown, text);
        zq_log(ZQ_LOG_INFO, "SIG%s: stopping%s%s", sigabbrev_np(number),
               s->config->timeout_graceful_shutdown ? "; requests in flight have " : "",
               s->config->timeout_graceful_shutdown ? text : "");
        stop(s);
    }
}

/* ---- signals ---- */

/* As the first process of a container we inherit orphans; nobody else would collect them. Our own
 * children are left to their pidfds. */
static void reap_orphans(const struct super *s)
{
    siginfo_t info = {0};

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        bool ours = info.si_pid == s->front.child.pid;

        for (struct zq_node *n = s->workers.next; n != &s->workers; n = n->next)
            ours |= ZQ_CONTAINER(n, struct worker, node)->child.pid == info.si_pid;
        if (ours)
            return; /* its own SIGCHLD, after it was reaped, goes on behind it */
        waitpid(info.si_pid, NULL, WNOHANG);
        info.si_pid = 0;
    }
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (getpid() == 1)
        sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void on_signals(struct super *s)
{
    struct signalfd_siginfo info;

    while (read(s->signals, &info, sizeof(info)) == sizeof(info))
        if (info.ssi_signo == SIGCHLD)
            reap_orphans(s);
        else if (info.ssi_signo == SIGHUP)
            generation_load(s);
        else
            on_stop_signal(s, (int)info.ssi_signo);
}

/* ---- the loop ---- */

static void earliest(int64_t *due_ms, int64_t at_ms)
{
    if (at_ms && (!*due_ms || at_ms < *due_ms))
        *due_ms = at_ms;
}

static int time_to_wait(const struct super *s)
{
    int64_t due = 0, left;

    for (struct zq_node *n = s->workers.next; n != &s->workers; n = n->next)
        earliest(&due, ZQ_CONTAINER(n, struct worker, node)->deadline_ms);
    for (size_t i = 0; i < s->n_slots && s->phase <= SUPER_DRAINING; i++)
        earliest(&due, s->slots[i].backoff.retry_at_ms);
    if (s->phase == SUPER_SERVING)
        earliest(&due, s->front.backoff.retry_at_ms);
    earliest(&due, s->front.deadline_ms);
    if (s->phase == SUPER_KILLING)
        earliest(&due, s->stop_deadline_ms);
    left = due - zq_now_ms();
    return due == 0 ? -1 : left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

static void tick(struct super *s)
{
    int64_t now = zq_now_ms();

    for (struct zq_node *n = s->workers.next; n != &s->workers; n = n->next) {
        struct worker *w = ZQ_CONTAINER(n, struct worker, node);

        if (w->deadline_ms && w->deadline_ms <= now)
            worker_on_deadline(s, w);
    }
    slots_tick(s, now);
    super_front_tick(s, now);
}

struct watched {
    size_t n, max;
    struct pollfd *polled; /* signals; the front's channel and pidfd; each worker's */
    struct worker **whose;
};

static int make_room(const struct super *s, struct watched *w)
{
    size_t wanted = 3;

    for (struct zq_node *n = s->workers.next; n != &s->workers; n = n->next)
        wanted += 2;
    if (wanted <= w->max)
        return 0;
    struct pollfd *polled = reallocarray(w->polled, wanted, sizeof(*polled));
    w->polled = polled ? polled : w->polled;
    struct worker **whose = reallocarray(w->whose, wanted, sizeof(struct worker *));
    w->whose = whose ? whose : w->whose;
    if (!polled || !whose)
        return ZQ_ENOMEM;
    w->max = wanted;
    return 0;
}

static void add(struct watched *w, int fd, struct worker *whose)
{
    w->whose[w->n] = whose;
    w->polled[w->n++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void watch(const struct super *s, struct watched *w)
{
    w->n = 0;
    add(w, s->signals, NULL);
    add(w, s->front.child.control, NULL);
    add(w, s->front.child.pidfd, NULL);
    for (struct zq_node *n = s->workers.next; n != &s->workers; n = n->next) {
        struct worker *worker = ZQ_CONTAINER(n, struct worker, node);

        add(w, worker->child.control, worker);
        add(w, worker->child.pidfd, worker);
    }
}

/* Messages before deaths: what a child said last counts. A worker is freed by its own second entry
 * only, so `whose` stays good. */
static void dispatch(struct super *s, const struct watched *w)
{
    if (w->polled[1].revents)
        super_front_on_control(s);
    for (size_t i = 3; i < w->n; i += 2)
        if (w->polled[i].revents)
            worker_on_control(s, w->whose[i]);
    if (w->polled[2].revents)
        super_front_on_exit(s);
    for (size_t i = 4; i < w->n; i += 2)
        if (w->polled[i].revents)
            worker_on_exit(s, w->whose[i]);
    if (w->polled[0].revents)
        on_signals(s);
}

static bool is_over(const struct super *s)
{
    bool empty = zq_list_empty(&s->workers) && s->front.state == FRONT_NONE;

    if (s->phase == SUPER_KILLING)
        return empty || zq_now_ms() >= s->stop_deadline_ms;
    return empty && s->phase == SUPER_STOPPING;
}

static void loop(struct super *s)
{
    struct watched w = {0};

    while (!is_over(s)) {
        if (make_room(s, &w) < 0) {
            zq_log(ZQ_LOG_CRITICAL, "out of memory");
            kill_all(s, 1);
            break;
        }
        watch(s, &w);
        if (poll(w.polled, w.n, time_to_wait(s)) > 0)
            dispatch(s, &w);
        tick(s);
    }
    free(w.polled);
    free(w.whose);
}

/* ---- the door ---- */

static int init(struct super *s)
{
    zq_list_init(&s->workers);
    s->slots = calloc(s->n_slots, sizeof(*s->slots));
    s->signals = open_signals();
    if (!s->slots || s->signals < 0 || zq_config_dump(s->config, &s->config_text) < 0)
        zq_log(ZQ_LOG_CRITICAL, "cannot start: %s", strerror(errno));
    else if (s->config_text.n > ZQ_CONTROL_TEXT_MAX)
        zq_log(ZQ_LOG_CRITICAL, "cannot start: the options are more than %d bytes long",
               ZQ_CONTROL_TEXT_MAX);
    else
        return 0;
    return ZQ_EIO;
}

int zq_supervise(const struct zq_config *config, struct zq_listeners *listeners,
                 const struct zq_limits *limits)
{
    struct super s = {
        .config = config,
        .listeners = listeners,
        .limits = limits,
        .n_slots = (size_t)config->workers,
        .front.child = {0, -1, -1},
    };

    if (init(&s) < 0) {
        s.exit_status = 1;
    } else {
        generation_load(&s);
        loop(&s);
        if (s.exit_status == 0)
            zq_log(ZQ_LOG_INFO, "stopped");
    }
    zq_buf_fini(&s.config_text);
    zq_buf_fini(&s.state_text);
    free(s.slots);
    if (s.signals >= 0)
        close(s.signals);
    return s.exit_status;
}
