/* room: super
 *
 * The places that serving workers fill. A place whose worker died is filled again, the more
 * slowly the oftener.
 */
#include "super.h"

#include "zq/clock.h"
#include "zq/log.h"

#define OFTEN 3

static bool wants_workers(const struct super *s)
{
    return s->phase == SUPER_SERVING || s->phase == SUPER_STARTING || s->phase == SUPER_DRAINING;
}

void slot_died(struct super *s, struct worker *w, const char *how)
{
    struct slot *slot = &s->slots[w->slot];
    int64_t now = zq_now_ms(), delay;
    char next[64] = "another is started", text[32];

    slot->worker = NULL;
    if (!wants_workers(s)) {
        zq_log(ZQ_LOG_DEBUG, "worker %u %s", w->number, how);
        return;
    }
    delay = backoff_fail(&slot->backoff, now, w->ready_ms ? now - w->ready_ms : 0);
    if (delay)
        snprintf(next, sizeof(next), "another is started in %s", super_seconds(delay, text));
    if (slot->backoff.failures < OFTEN)
        zq_log(ZQ_LOG_ERROR, "worker %u %s; %s", w->number, how, next);
    else
        zq_log(
            ZQ_LOG_CRITICAL,
            "worker %u %s: that makes %u in a row that did not last, something in the application "
            "or its environment ends them; %s",
            w->number, how, slot->backoff.failures, next);
}

void slots_tick(struct super *s, int64_t now_ms)
{
    for (size_t i = 0; i < s->n_slots && wants_workers(s); i++) {
        struct backoff *b = &s->slots[i].backoff;

        if (!b->retry_at_ms || b->retry_at_ms > now_ms)
            continue;
        b->retry_at_ms = 0;
        if (worker_start(s, s->generation, i) < 0)
            backoff_fail(b, now_ms, 0);
    }
}
