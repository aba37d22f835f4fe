/* room: super
 *
 * A generation is all workers of one load of the application. The first start is a load with
 * nothing to fall back on; a reload (SIGHUP) is one beside a generation that serves.
 */
#include "super.h"

#include "zq/clock.h"
#include "zq/log.h"

#define LOAD_FACTOR 4 /* a reload may take that many times as long as the first load */

#define EACH_WORKER(s, w)                                                                          \
    for (struct zq_node *n_ = (s)->workers.next, *next_ = n_->next;                                \
         n_ != &(s)->workers && ((w) = ZQ_CONTAINER(n_, struct worker, node));                     \
         n_ = next_, next_ = n_->next)

/* A reload lasts until the workers that do not serve have left: those before it, or its own when
 * it failed. */
static bool is_loading(const struct super *s)
{
    struct worker *w;

    EACH_WORKER(s, w)
    if (w->generation != s->generation)
        return true;
    return s->phase == SUPER_STARTING;
}

static void begin(struct super *s)
{
    s->loading = ++s->last_generation;
    s->load_again = false;
    s->load_started_ms = zq_now_ms();
    for (size_t i = 0; i < s->n_slots && s->loading; i++)
        if (worker_start(s, s->loading, i) < 0)
            generation_worker_failed(s, NULL, "could not be started");
}

void generation_load(struct super *s)
{
    if (s->phase == SUPER_STARTING && !s->loading && !s->generation) {
        begin(s);
    } else if (s->phase > SUPER_SERVING) {
        zq_log(ZQ_LOG_INFO, "no reload: zq is stopping");
    } else if (is_loading(s)) {
        zq_log(ZQ_LOG_INFO, "another reload will follow this one");
        s->load_again = true;
    } else {
        zq_log(ZQ_LOG_INFO, "reloading: starting new workers");
        begin(s);
    }
}

void generation_cancel(struct super *s)
{
    uint32_t loading = s->loading;
    struct worker *w;

    s->loading = 0;
    EACH_WORKER(s, w)
    if (loading && w->generation == loading)
        worker_stop(s, w, super_time_left(s, zq_now_ms() + STOP_LEAST_MS));
}

/* The new workers serve from here on; those before them finish what they have. */
static void turn(struct super *s)
{
    uint32_t before = s->generation;
    struct worker *w;

    s->generation = s->loading;
    s->loading = 0;
    for (size_t i = 0; i < s->n_slots; i++)
        s->slots[i] = (struct slot){0};
    EACH_WORKER(s, w)
    if (w->generation == s->generation && w->state == WORKER_READY)
        worker_serve(s, w);
    if (s->front.state == FRONT_SERVING)
        super_front_send(
            s, &(struct zq_control){.type = ZQ_CONTROL_GENERATION, .generation = s->generation});
    EACH_WORKER(s, w)
    if (w->generation == before)
        worker_retire(s, w);
}

static void first_load_done(struct super *s)
{
    int64_t limit = s->config->timeout_worker_healthcheck;
    int64_t least = (zq_now_ms() - s->load_started_ms) * LOAD_FACTOR;

    s->load_limit_ms = limit && limit < least ? least : limit;
    if (super_front_start(s) < 0)
        super_fail(s);
}

void generation_worker_ready(struct super *s)
{
    struct worker *w;
    size_t ready = 0;

    EACH_WORKER(s, w)
    ready += w->generation == s->loading && w->state == WORKER_READY;
    if (ready < s->n_slots)
        return;
    turn(s);
    if (s->phase == SUPER_STARTING)
        first_load_done(s);
    else
        zq_log(ZQ_LOG_INFO, "reloaded: %zu new worker%s serve%s", ready, ready == 1 ? "" : "s",
               ready == 1 ? "s" : "");
}

void generation_worker_failed(struct super *s, const struct worker *w, const char *how)
{
    generation_cancel(s);
    if (s->phase == SUPER_STARTING) {
        if (w)
            zq_log(ZQ_LOG_CRITICAL, "worker %u %s before it was ready: zq does not start",
                   w->number, how);
        super_fail(s);
    } else if (s->phase == SUPER_SERVING) {
        zq_log(ZQ_LOG_ERROR,
               "the reload has failed: worker %u %s before it was ready; the workers from before "
               "it stay",
               w ? w->number : s->last_number + 1, how);
    }
}

void generation_worker_left(struct super *s)
{
    if (s->load_again && s->phase == SUPER_SERVING && !is_loading(s)) {
        zq_log(ZQ_LOG_INFO, "reloading again: starting new workers");
        begin(s);
    }
}
