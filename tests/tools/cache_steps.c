/* The cache without a server: a step a line on standard input, its outcome on standard output, and
 * time as the steps say. What lies between a request and the cache is done here as the front does
 * it, by the front's own functions. Words are separated by 0x1f:
 *
 *   rules HEURISTIC SET_COOKIE COOKIES DIRECTIVES GRACE_MS    a new cache; 0 or 1 each   → done
 *   ask METHOD TARGET NOW_MS NAME:VALUE…                      → fetch … | hit … | refresh … | never
 *   answer STATUS NOW_MS NOW_S BODY NAME:VALUE…               what was to be fetched → got … |
 * fetch … cut NOW_MS                                                or: no response came   → got …
 * | failed purge KIND SOFT TEXT NOW_MS                                                      → done
 *
 *   fetching                                                  after `refresh`            → fetch …
 *   join METHOD TARGET NOW_MS NAME:VALUE…      another asks while that is fetched → joined | alone
 *   joined NOW_MS                          what became of who joined   → got … | released | failed
 *
 *   fetch FORWARD WHOLE ANONYMOUS ETAG LAST_MODIFIED REST IF_RANGE   the application is called;
 *                                            with these validators, and for what a part lacks from
 *                                            REST on
 *   hit, refresh, got STATUS AGE BODY NAME:VALUE…     what the client gets; refresh: and a fetch in
 *                                            the background is to be answered
 *
 * For tests/test_cache_model.py. */
#include "front/invalidate.h"
#include "front/tags.h"
#include "zq/cache.h"
#include "zq/config.h"
#include "zq/http.h"

#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 64
#define SEPARATOR '\x1f'

struct words {
    char *v[WORDS_MAX];
    size_t n;
};

struct client {
    char *line; /* that the request's fields lie in */
    struct zq_field v[WORDS_MAX];
    struct zq_fields fields;
    struct zq_slice method, target;
    struct zq_reader reader;
    enum zq_cache_verdict verdict;
};

/* The request under way, its fetch, and who joins it. */
static struct {
    struct zq_cache *cache;
    struct zq_config config;
    struct client client, other;
    struct zq_writer writer;
} now;

static void on_reader(struct zq_reader *reader)
{
}

static void on_writer(struct zq_writer *writer)
{
}

static struct words split(char *line)
{
    struct words words = {0};

    line[strcspn(line, "\n")] = '\0';
    while (line != NULL) {
        ZQ_ASSERT(words.n < WORDS_MAX);
        words.v[words.n++] = line;
        line = strchr(line, SEPARATOR);
        if (line != NULL)
            *line++ = '\0';
    }
    return words;
}

static struct zq_fields fields_of(const struct words *words, size_t from, struct zq_field *v)
{
    struct zq_fields fields = {.v = v};

    for (size_t i = from; i < words->n; i++) {
        char *colon = strchr(words->v[i], ':');
        ZQ_ASSERT(colon != NULL);
        v[fields.n++] = (struct zq_field){zq_slice(words->v[i], (size_t)(colon - words->v[i])),
                                          zq_slice_trim(zq_slice_str(colon + 1))};
    }
    return fields;
}

/* ---- what the client gets ---- */

static void print_lines(struct zq_slice block)
{
    size_t n = 0;

    while (n < block.n && block.p[n] != '\n') /* the status line */
        n++;
    for (n++; n < block.n; n++)
        if (block.p[n] == '\n' && n + 1 < block.n)
            putchar(SEPARATOR);
        else if (block.p[n] != '\r' && block.p[n] != '\n')
            putchar(block.p[n]);
}

static void print_body(struct client *c, const struct zq_answer *answer)
{
    struct iovec runs[16];
    uint64_t at = 0, end_at = answer->status == 206 ? answer->first + answer->n : UINT64_MAX;
    bool end;

    if (answer->status == 304 || answer->status == 416 || zq_slice_eq(c->method, ZQ_SLICE("HEAD")))
        return;
    int n = zq_reader_peek(&c->reader, runs, 16, &end);
    ZQ_ASSERT(end);
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < runs[i].iov_len; k++, at++)
            if (at >= answer->first && at < end_at)
                putchar(((char *)runs[i].iov_base)[k]);
}

static void print_got(struct client *c, const char *word, int64_t now_ms)
{
    struct zq_entry_info info;
    struct zq_answer answer = {0};
    struct zq_buf block = {0};

    zq_entry_describe(&c->reader, now_ms, &info);
    if (c->verdict != ZQ_CACHE_PASS)
        zq_answer_choose(&c->reader, zq_slice_eq(c->method, ZQ_SLICE("GET")), &info, &answer);
    if (answer.status != 0)
        ZQ_ASSERT(zq_answer_block(&block, &answer, info.block) == 0);
    printf("%s%c%u%c%lld%c", word, SEPARATOR, answer.status ? answer.status : info.status,
           SEPARATOR, (long long)info.age_s, SEPARATOR);
    print_body(c, &answer);
    putchar(SEPARATOR);
    print_lines(answer.status ? zq_slice(zq_buf_data(&block), block.n) : info.block);
    putchar('\n');
    zq_buf_fini(&block);
    zq_reader_detach(&c->reader);
}

/* ---- steps ---- */

static void end_request(void)
{
    zq_reader_detach(&now.client.reader);
    zq_reader_detach(&now.other.reader);
    if (now.writer.entry != NULL)
        zq_entry_fail(&now.writer, 503);
}

static void set_rules(const struct words *w)
{
    ZQ_ASSERT(w->n == 6);
    end_request();
    zq_cache_free(now.cache);
    now.cache = zq_cache_new(1 << 20);
    zq_cache_set_rules(now.cache, &(struct zq_cache_rules){
                                      .heuristic = w->v[1][0] == '1',
                                      .set_cookie = w->v[2][0] == '1',
                                      .rfc_cookies = w->v[3][0] == '1',
                                      .directives = w->v[4][0] == '1',
                                      .grace_ms = atoll(w->v[5]),
                                  });
    puts("done");
}

static void print_slice(struct zq_slice s)
{
    printf("%c%.*s", SEPARATOR, (int)s.n, s.n > 0 ? s.p : "");
}

static void print_fetch(enum zq_cache_forward forward)
{
    printf("fetch%c%s%c%d%c%d", SEPARATOR, zq_cache_forward_word(forward), SEPARATOR,
           now.writer.whole, SEPARATOR, now.writer.anonymous);
    print_slice(now.writer.etag);
    print_slice(now.writer.last_modified);
    printf("%c%llu", SEPARATOR, (unsigned long long)now.writer.rest);
    print_slice(now.writer.if_range);
    putchar('\n');
}

static void fetching(const struct words *w)
{
    print_fetch(ZQ_FORWARD_STALE);
}

static enum zq_cache_verdict get(struct client *c, struct zq_writer *writer, int64_t now_ms,
                                 bool may_join, enum zq_cache_forward *forward)
{
    struct zq_cache_request request = {
        .is_get = zq_slice_eq(c->method, ZQ_SLICE("GET")),
        .is_head = zq_slice_eq(c->method, ZQ_SLICE("HEAD")),
        .is_post = zq_slice_eq(c->method, ZQ_SLICE("POST")),
        .scheme = ZQ_SLICE("http"),
        .host = ZQ_SLICE("test"),
        .target = c->target,
        .fields = &c->fields,
    };

    c->reader = (struct zq_reader){.notify = on_reader};
    *writer = (struct zq_writer){.notify = on_writer};
    c->verdict = (enum zq_cache_verdict)zq_cache_get(now.cache, &request, now_ms, may_join,
                                                     &c->reader, writer, forward);
    return c->verdict;
}

static void look(int64_t now_ms, bool may_join)
{
    enum zq_cache_forward forward;

    get(&now.client, &now.writer, now_ms, may_join, &forward);
    if (now.client.verdict == ZQ_CACHE_NEVER) {
        puts("never");
    } else if (now.client.verdict == ZQ_CACHE_HIT) {
        print_got(&now.client, now.writer.entry != NULL ? "refresh" : "hit", now_ms);
    } else {
        print_fetch(forward);
    }
}

/* The client keeps the line. */
static void read_client(struct client *c, const struct words *w)
{
    ZQ_ASSERT(w->n >= 4);
    c->method = zq_slice_str(w->v[1]);
    c->target = zq_slice_str(w->v[2]);
    c->fields = fields_of(w, 4, c->v);
    free(c->line);
    c->line = w->v[0];
}

static void ask(const struct words *w)
{
    end_request();
    read_client(&now.client, w);
    look(atoll(w->v[3]), true);
}

static void join(const struct words *w)
{
    struct zq_writer writer;
    enum zq_cache_forward forward;

    read_client(&now.other, w);
    if (get(&now.other, &writer, atoll(w->v[3]), true, &forward) == ZQ_CACHE_JOIN) {
        puts("joined");
        return;
    }
    zq_reader_detach(&now.other.reader);
    if (writer.entry != NULL)
        zq_entry_fail(&writer, 503);
    puts("alone");
}

/* What the one who joined has of it. */
static void joined(const struct words *w)
{
    switch (zq_reader_state(&now.other.reader)) {
    case ZQ_READER_COMPLETE:
        print_got(&now.other, "got", atoll(w->v[1]));
        return;
    case ZQ_READER_RELEASED:
        puts("released");
        break;
    default:
        puts("failed");
    }
    zq_reader_detach(&now.other.reader);
}

/* What became of the fetch: the client has it, or is to ask again. */
static void settle(int64_t now_ms)
{
    if (now.client.reader.entry == NULL) {
        puts("done"); /* it was in the background */
    } else if (zq_reader_state(&now.client.reader) == ZQ_READER_RELEASED) {
        zq_reader_detach(&now.client.reader);
        look(now_ms, false);
    } else if (zq_reader_state(&now.client.reader) == ZQ_READER_FAILED) {
        zq_reader_detach(&now.client.reader);
        puts("failed");
    } else {
        print_got(&now.client, "got", now_ms);
    }
}

static bool is_unsafe(void)
{
    return !zq_slice_eq(now.client.method, ZQ_SLICE("GET")) &&
           !zq_slice_eq(now.client.method, ZQ_SLICE("HEAD"));
}

static void answer(const struct words *w)
{
    struct zq_field v[WORDS_MAX];
    struct zq_fields fields, shown;
    struct zq_buf block = {0};
    struct zq_arena scratch = {0};
    struct zq_slice body, bad;

    ZQ_ASSERT(w->n >= 5 && now.writer.entry != NULL);
    fields = shown = fields_of(w, 5, v);
    body = zq_slice_str(w->v[4]);
    int64_t now_ms = atoll(w->v[2]);
    time_t now_s = (time_t)atoll(w->v[3]);
    struct zq_cache_response response = {
        .status = (unsigned)atoi(w->v[1]), .fields = &fields, .storable = true};
    response.no_content = response.status == 204 || response.status == 304 ||
                          zq_slice_eq(now.client.method, ZQ_SLICE("HEAD"));
    ZQ_ASSERT(tags_strip(&fields, false, &scratch, &shown) == 0);
    ZQ_ASSERT(zq_http_block(&block, response.status, &shown, &now.config, now_s,
                            &response.content_length, &response.close, &bad) == 0);
    response.block = zq_slice(zq_buf_data(&block), block.n);
    if (!response.no_content)
        response.content_length = (int64_t)body.n;
    if (is_unsafe() && response.status >= 200 && response.status < 400)
        invalidate_targets(now.cache, NULL, ZQ_SLICE("http"), ZQ_SLICE("test"), now.client.target,
                           &fields, &now.writer, &scratch);
    ZQ_ASSERT(zq_entry_head(&now.writer, &response, now_ms, now_s) == 0);
    ZQ_ASSERT(zq_entry_append(&now.writer, body) == 0);
    zq_entry_finish(&now.writer, true);
    zq_arena_fini(&scratch);
    zq_buf_fini(&block);
    settle(now_ms);
}

static void cut(const struct words *w)
{
    int64_t now_ms = atoll(w->v[1]);

    ZQ_ASSERT(w->n == 2 && now.writer.entry != NULL);
    if (!zq_entry_serve_stale(&now.writer, true, now_ms))
        zq_entry_fail(&now.writer, 502);
    settle(now_ms);
}

static void sweep(void)
{
    while (zq_cache_sweep(now.cache))
        ;
}

static void purge(const struct words *w)
{
    struct zq_purge purge = {.soft = w->v[2][0] == '1', .text = zq_slice_str(w->v[3])};
    uint64_t number;

    ZQ_ASSERT(w->n == 5);
    sweep(); /* which has come by since the last purge */
    while (strcmp(zq_purge_word(purge.kind), w->v[1]) != 0)
        ZQ_ASSERT(++purge.kind < ZQ_PURGE_COUNT);
    ZQ_ASSERT(zq_cache_purge(now.cache, &purge, atoll(w->v[4]), &number) == 0);
    if (number % 2 == 0) /* what it takes out it takes out now, or when somebody asks */
        sweep();
    puts("done");
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(const struct words *words);
    } steps[] = {
        {"rules", set_rules}, {"ask", ask}, {"fetching", fetching}, {"join", join},
        {"joined", joined},   {"cut", cut}, {"answer", answer},     {"purge", purge},
    };
    size_t size = 0;
    char *line = NULL;

    zq_config_init(&now.config);
    while (getline(&line, &size, stdin) > 0) {
        struct words words = split(line);
        size_t i = 0;
        while (strcmp(steps[i].name, words.v[0]) != 0)
            ZQ_ASSERT(++i < ZQ_ARRAY_SIZE(steps));
        if (steps[i].run == ask || steps[i].run == join) { /* who keeps it */
            line = NULL;
            size = 0;
        }
        steps[i].run(&words);
        fflush(stdout);
    }
    end_request();
    free(line);
    free(now.client.line);
    free(now.other.line);
    zq_cache_free(now.cache);
    zq_config_fini(&now.config);
    return 0;
}
