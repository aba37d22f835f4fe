/* Whether a worker's event loop answers: PING and PONG, while there is something to do for it. */
#include "front/link.h"

#include "zq/log.h"

/* While requests come, a worker is asked so often whether it is alive; while there are only old
 * ones, such as streams that wait for events, less and less often, for each time wakes two
 * processes. */
#define PULSE_MS 250
#define PULSE_SLOWEST_MS 4000
#define SUSPECT_MS 1000

static void ping(struct link *link)
{
    link->pinged_ms = zq_loop_now_ms(link->thread->loop);
    link->pinged_named = link->named;
    if (zq_wire_encode_number(&link->out, ZQ_WIRE_PING, 0, ++link->ping) == 0)
        link_flush_later(link);
    zq_timer_set(link->thread->loop, &link->pulse, PULSE_MS);
}

void link_quicken(struct link *link)
{
    int64_t soon = zq_loop_now_ms(link->thread->loop) + PULSE_MS;

    link->quick = true;
    if (link->pinged_ms != 0 || (link->pulse.deadline_ms != 0 && link->pulse.deadline_ms <= soon))
        return;
    link->pace_ms = PULSE_MS;
    ping(link);
}

void link_ask_room(struct link *link)
{
    if (!link->broken && link->pinged_ms == 0)
        ping(link);
}

static bool keeps_blocks(const struct link *link)
{
    return !zq_list_empty(&link->roomless) && link->named == link->pinged_named &&
           !zq_region_has_free(link->region, ZQ_REGION_TO_WORKER);
}

int link_pong(struct link *link, const struct zq_wire_frame *frame)
{
    uint32_t number;
    int error = zq_wire_decode_number(frame, &number);

    if (error < 0 || link->pinged_ms == 0 || number != link->ping || keeps_blocks(link))
        return ZQ_EPROTO;
    link->pinged_ms = 0;
    link->suspect = false;
    if (link->open > 0)
        zq_timer_set(link->thread->loop, &link->pulse, link->pace_ms);
    return 0;
}

static void judge_silence(struct link *link, int64_t silent_ms)
{
    int64_t limit = link->thread->front->config->timeout_worker_healthcheck;

    if (silent_ms >= SUSPECT_MS && !link->suspect) {
        link->suspect = true;
        zq_log(ZQ_LOG_WARNING, "worker %u has not answered for %lld ms", link->worker->id,
               (long long)silent_ms);
    }
    if (limit > 0 && silent_ms >= limit && !atomic_exchange(&link->worker->hung_reported, true))
        front_report(ZQ_CONTROL_WORKER_HUNG, link->worker, "its event loop does not answer");
}

/* The wait behind the next answer. A worker that is to be replaced soon is not asked late. */
static int64_t next_pace(const struct link *link)
{
    int64_t limit = link->thread->front->config->timeout_worker_healthcheck / 4;
    int64_t slowest = limit > 0 && limit < PULSE_SLOWEST_MS ? limit : PULSE_SLOWEST_MS;
    int64_t pace = link->quick ? PULSE_MS : 2 * link->pace_ms;

    return pace < slowest ? pace : slowest;
}

/* Requests, or its routes to declare. */
static bool has_work(const struct link *link)
{
    return link->open > 0 || !link->declaring.done;
}

static void on_pulse(struct zq_timer *timer)
{
    struct link *link = ZQ_CONTAINER(timer, struct link, pulse);

    if (link->broken) {
        front_report(ZQ_CONTROL_WORKER_BAD, link->worker, "closed its link");
        return;
    }
    if (link->pinged_ms != 0) {
        judge_silence(link, zq_loop_now_ms(link->thread->loop) - link->pinged_ms);
        zq_timer_set(link->thread->loop, &link->pulse, PULSE_MS);
    } else if (has_work(link)) {
        link->pace_ms = next_pace(link);
        link->quick = false;
        ping(link);
    }
}

void link_pulse_start(struct link *link)
{
    link->pulse = (struct zq_timer){.on_expire = on_pulse};
    link->pace_ms = PULSE_MS;
    zq_timer_set(link->thread->loop, &link->pulse, PULSE_MS);
}
