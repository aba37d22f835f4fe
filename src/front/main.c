#include "front/front.h"

#include "front/admin.h"
#include "front/admin_bypass.h"
#include "front/purge.h"
#include "front/routes.h"
#include "zq/front.h"
#include "zq/log.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static _Noreturn void die(const char *what, int error)
{
    zq_log(ZQ_LOG_CRITICAL, "%s: %s", what, zq_strerror(error));
    exit(1);
}

static bool has_own_cores(const struct zq_config *config)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 &&
           config->front_threads + config->workers <= CPU_COUNT(&set);
}

static void configure(struct front *front, struct zq_config *config, struct zq_slice text)
{
    struct zq_config_error error;

    zq_config_init(config);
    if (zq_config_load(config, text, &error) < 0) {
        zq_log(ZQ_LOG_CRITICAL, "%s", error.text);
        exit(1);
    }
    zq_log_init("front", zq_log_level_of(config->log_level));
    front->config = config;
    front->n_threads = (unsigned)config->front_threads;
    if (front->n_threads < 1 || front->n_threads > FRONT_THREADS_MAX)
        die("front-threads", ZQ_EINVAL);
    front->own_cores = has_own_cores(config);
}

static void add_listener(struct front *front, const struct zq_control *m)
{
    bool admin = m->value == ZQ_LISTENER_ADMIN;
    unsigned *n = admin ? &front->n_admin_listeners : &front->n_listeners;
    unsigned max = admin ? FRONT_ADMIN_LISTENERS_MAX : FRONT_LISTENERS_MAX;

    if (m->n_fds != 1 || *n == max)
        die("too many listeners", ZQ_ELIMIT);
    (admin ? front->admin_listeners : front->listeners)[(*n)++] = m->fds[0];
}

static void set_token(struct front *front, struct zq_slice text)
{
    free(front->admin_token);
    front->admin_token = strndup(text.p, text.n);
    if (front->admin_token == NULL)
        die("token", ZQ_ENOMEM);
}

static void keep_state(struct zq_buf *state, struct zq_slice text)
{
    if (zq_buf_append(state, text.p, text.n) < 0)
        die("state", ZQ_ENOMEM);
}

static void restore(struct front *front, struct zq_buf *state)
{
    int error = operator_restore(front, state->n > 0 ? zq_slice(zq_buf_data(state), state->n)
                                                     : (struct zq_slice){0});

    zq_buf_fini(state);
    if (error < 0)
        die("the bypass rules", error);
}

/* CONFIG, LISTENER…, perhaps TOKEN and STATE, START. */
static void await_start(struct front *front, struct zq_config *config, struct zq_buf *state)
{
    static char text[ZQ_CONTROL_TEXT_MAX];
    struct zq_control m;

    for (;;) {
        int error = zq_control_wait(ZQ_CONTROL_FD, &m, text, sizeof(text), -1);
        if (error < 0)
            exit(1);
        if (m.type == ZQ_CONTROL_CONFIG)
            configure(front, config, m.text);
        else if (m.type == ZQ_CONTROL_LISTENER)
            add_listener(front, &m);
        else if (m.type == ZQ_CONTROL_TOKEN)
            set_token(front, m.text);
        else if (m.type == ZQ_CONTROL_STATE)
            keep_state(state, m.text);
        else if (m.type == ZQ_CONTROL_START && front->config != NULL)
            return;
        else
            die("unexpected message from super", ZQ_EPROTO);
    }
}

static void start_compressing(struct front *front)
{
    const struct zq_strings *words = &front->config->cache_compress_codings;
    struct zq_coding_rules rules = {.min_bytes = front->config->cache_compress_min_size};
    unsigned seen = 0;

    for (size_t i = 0; i < words->n; i++) {
        int coding = zq_coding_of(zq_slice_str(words->v[i]));
        if (coding < 0 || (seen & 1u << coding))
            continue;
        seen |= 1u << coding;
        rules.codings[rules.n++] = (enum zq_coding)coding;
    }
    if (zq_cache_compress(front->cache, &rules) < 0)
        die("compressing thread", ZQ_ENOMEM);
}

static void make_shared(struct front *front)
{
    const struct zq_config *c = front->config;
    struct zq_config_error error;

    front->cache = zq_cache_new(c->cache ? c->cache_size : 0);
    if (front->cache == NULL)
        die("cache", ZQ_ENOMEM);
    struct zq_cache_rules rules = {
        .heuristic = c->cache_heuristic,
        .set_cookie = c->cache_set_cookie,
        .rfc_cookies = strcmp(c->cache_cookies, "rfc") == 0,
        .directives = strcmp(c->cache_request_directives, "honour") == 0,
        .grace_ms = c->cache_grace,
    };
    zq_cache_set_rules(front->cache, &rules);
    if (c->cache_max_object > 0)
        zq_cache_set_object_max(front->cache, c->cache_max_object);
    if (c->cache && c->cache_compress)
        start_compressing(front);
    if (c->proxy_headers) {
        front->trusted = trusted_peers_new(&c->forwarded_allow_ips, &error);
        if (front->trusted == NULL) {
            zq_log(ZQ_LOG_CRITICAL, "%s", error.text);
            exit(1);
        }
    }
    if (c->access_log) {
        front->access_log = access_log_new(STDOUT_FILENO);
        if (front->access_log == NULL)
            die("access log", ZQ_ENOMEM);
    }
}

static void *run_thread(void *argument)
{
    struct front_thread *thread = argument;

    zq_loop_run(thread->loop);
    return NULL;
}

static void start_threads(struct front *front)
{
    for (unsigned i = 0; i < front->n_threads; i++) {
        int error = front_thread_init(front, i);
        if (error == 0)
            error = front_thread_listen(&front->threads[i]);
        if (error < 0)
            die("I/O thread", error);
    }
    int error = admin_start(front);
    if (error < 0)
        die("admin listener", error);
    for (unsigned i = 1; i < front->n_threads; i++)
        if (pthread_create(&front->threads[i].id, NULL, run_thread, &front->threads[i]) != 0)
            die("I/O thread", ZQ_ENOMEM);
}

static void finish(struct front *front, struct zq_config *config)
{
    for (unsigned i = 1; i < front->n_threads; i++)
        pthread_join(front->threads[i].id, NULL);
    front_control_stop(front->threads[0].loop);
    front_purge_fini(front);
    admin_fini(front);
    /* A thread that stopped before the others has calls that it did not see. */
    for (unsigned i = 0; i < front->n_threads; i++)
        zq_loop_deliver(front->threads[i].loop);
    for (unsigned i = 0; i < front->n_threads; i++)
        front_thread_fini(&front->threads[i]);
    routes_fini(front);
    zq_cache_free(front->cache);
    if (front->access_log != NULL)
        access_log_free(front->access_log);
    trusted_peers_free(front->trusted);
    for (unsigned i = 0; i < front->n_listeners; i++)
        close(front->listeners[i]);
    zq_config_fini(config);
}

int zq_front_main(void)
{
    static struct front front; /* large: not for the stack */
    static struct zq_config config;
    struct zq_buf state = {0};

    zq_memory_keep(256 << 10, 2 << 20);
    zq_log_init("front", ZQ_LOG_INFO);
    signal(SIGPIPE, SIG_IGN);
    /* Stopping is super's word, on the control channel: a service manager signals all processes,
     * and the front must not leave before its requests are answered. */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    await_start(&front, &config, &state);
    make_shared(&front);
    restore(&front, &state);
    front_purge_init(&front);
    start_threads(&front);
    int error = front_control_start(&front, front.threads[0].loop);
    if (error < 0)
        die("control channel", error);
    front_report(ZQ_CONTROL_READY, NULL, "");
    zq_loop_run(front.threads[0].loop);
    finish(&front, &config);
    return front.cut ? 1 : 0;
}
