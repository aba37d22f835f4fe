#include "front/admin_bypass.h"

#include "front/json.h"
#include "zq/front.h"
#include "zq/log.h"

#include <stdio.h>

/* ---- what super keeps ---- */

static void put_line(struct zq_slice text, void *argument)
{
    struct zq_buf *out = argument;

    zq_buf_append(out, text.p, text.n);
    zq_buf_append(out, "\n", 1);
}

static void tell_super(struct front *front)
{
    struct zq_cache_stat stat;
    struct zq_buf text = {0};

    _Static_assert((ZQ_BYPASS_MAX + 1) * (ZQ_BYPASS_TEXT_MAX + 1) < ZQ_CONTROL_TEXT_MAX,
                   "all rules fit into one message");
    if (zq_buf_reserve(&text, ZQ_CONTROL_TEXT_MAX) == NULL) {
        zq_log(ZQ_LOG_WARNING, "no memory to tell super of the rules: a new front will not know");
        return;
    }
    zq_cache_stat(front->cache, &stat);
    put_line(stat.on ? ZQ_SLICE("on") : ZQ_SLICE("off"), &text);
    zq_cache_bypasses(front->cache, put_line, &text);
    zq_buf_append(&text, "", 1);
    front_report(ZQ_CONTROL_STATE, NULL, zq_buf_data(&text));
    zq_buf_fini(&text);
}

/* The rules of the command line; NULL, or the first that is not taken, with `*error`. */
static const char *add_configured(struct zq_cache *cache, const struct zq_strings *rules,
                                  int *error)
{
    for (size_t i = 0; i < rules->n; i++)
        if ((*error = zq_cache_bypass(cache, zq_slice_str(rules->v[i]))) < 0)
            return rules->v[i];
    return NULL;
}

int operator_restore(struct front *front, struct zq_slice state)
{
    struct zq_slice line;
    int error = 0;

    if (!zq_slice_next(&state, '\n', &line)) {
        add_configured(front->cache, &front->config->cache_bypass, &error);
        return error;
    }
    zq_cache_switch(front->cache, zq_slice_eq(line, ZQ_SLICE("on")));
    while (error == 0 && zq_slice_next(&state, '\n', &line))
        error = zq_cache_bypass(front->cache, line);
    return error;
}

/* A cache that stores nothing takes the same rules. */
int zq_front_check(const struct zq_config *config, struct zq_config_error *error)
{
    struct zq_cache *cache = zq_cache_new(0);
    int rc = cache != NULL ? 0 : ZQ_ENOMEM;
    const char *bad = rc == 0 ? add_configured(cache, &config->cache_bypass, &rc) : NULL;

    zq_cache_free(cache);
    if (rc == 0)
        return 0;
    if (rc == ZQ_ELIMIT)
        snprintf(error->text, sizeof(error->text),
                 "--cache-bypass: `%.200s` is one too many: there are at most %d", bad,
                 ZQ_BYPASS_MAX);
    else if (rc == ZQ_EINVAL)
        snprintf(error->text, sizeof(error->text), "--cache-bypass: `%.200s` %s", bad,
                 zq_bypass_fault(zq_slice_str(bad)));
    else
        snprintf(error->text, sizeof(error->text), "--cache-bypass: %s", zq_strerror(rc));
    return rc == ZQ_ENOMEM ? rc : ZQ_EINVAL;
}

void operator_switch(struct front *front, bool on)
{
    zq_cache_switch(front->cache, on);
    zq_log(ZQ_LOG_INFO, "the cache was switched %s", on ? "on" : "off");
    tell_super(front);
}

/* ---- what is answered ---- */

struct listing {
    struct admin_reply *reply;
    bool plain;
    size_t n;
};

static void put_rule(struct zq_slice text, void *argument)
{
    struct listing *l = argument;

    if (l->plain) {
        admin_put_slice(l->reply, text);
        admin_put(l->reply, "\n");
    } else {
        admin_put(l->reply, l->n++ > 0 ? ", " : "");
        admin_put_string(l->reply, text);
    }
}

void admin_on_bypass(struct front *front, const struct admin_request *request,
                     struct admin_reply *reply)
{
    struct listing l = {.reply = reply, .plain = request->plain};

    reply->status = 200;
    if (!request->plain)
        admin_put(reply, "{\"bypass\": [");
    zq_cache_bypasses(front->cache, put_rule, &l);
    if (!request->plain)
        admin_put(reply, "]}\n");
}

/* The body's patterns; false when it was answered. */
static bool read_patterns(const struct admin_request *request, struct admin_reply *reply,
                          struct json_member *patterns)
{
    size_t n;
    const char *fault = json_read(request->body, request->arena, patterns, 1, ZQ_BYPASS_MAX, &n);

    if (fault != NULL)
        admin_fail(request, reply, 400, "the content", fault);
    else if (n == 0 || patterns->kind != JSON_STRINGS ||
             !zq_slice_eq(patterns->name, ZQ_SLICE("pattern")))
        admin_fail(request, reply, 400, "the content", "has no \"pattern\"");
    else
        return true;
    return false;
}

static void fail(const struct admin_request *request, struct admin_reply *reply, int error,
                 struct zq_slice pattern)
{
    char what[100];
    const char *fault = zq_bypass_fault(pattern);

    snprintf(what, sizeof(what), "%.*s", (int)(pattern.n < 90 ? pattern.n : 90), pattern.p);
    if (error == ZQ_ELIMIT)
        admin_fail(request, reply, 409, what, "there are too many rules");
    else if (error == ZQ_ENOMEM)
        reply->no_memory = true;
    else
        admin_fail(request, reply, fault != NULL ? 400 : 404, what,
                   fault != NULL ? fault : "there is no such rule");
}

/* One behind the other; those before the one that fails stand. */
static void change(struct front *front, const struct admin_request *request,
                   struct admin_reply *reply,
                   int (*how)(struct zq_cache *cache, struct zq_slice pattern), const char *word)
{
    struct json_member patterns;
    int error = 0;
    size_t i;

    if (!read_patterns(request, reply, &patterns))
        return;
    for (i = 0; i < patterns.n && error == 0; i++)
        error = how(front->cache, patterns.strings[i]);
    tell_super(front);
    if (error < 0) {
        fail(request, reply, error, patterns.strings[i - 1]);
        return;
    }
    for (i = 0; i < patterns.n; i++)
        zq_log(ZQ_LOG_INFO, "the bypass rule %.*s was %s", (int)patterns.strings[i].n,
               patterns.strings[i].p, word);
    admin_on_bypass(front, request, reply);
}

void admin_on_bypass_add(struct front *front, const struct admin_request *request,
                         struct admin_reply *reply)
{
    change(front, request, reply, zq_cache_bypass, "added");
}

void admin_on_bypass_rm(struct front *front, const struct admin_request *request,
                        struct admin_reply *reply)
{
    change(front, request, reply, zq_cache_unbypass, "removed");
}
