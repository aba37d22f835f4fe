/* The cache as a whole: sequences of what clients, fetches and time may do to it, beside a record
 * of what every response was made of.
 *
 * Input: flags; then operations, a byte each with bytes of their own.
 *
 * Every response's bytes follow from its entity tag or, without one, from its number, which its
 * head carries: a 304 confirms a tag, HEAD may freshen, and parts with the same tag are put
 * together. Invariants:
 *   - a response is read by whom it is for: under the key that it was fetched for, with the fields
 *     that it varies on as its own request had them, and by others than its own request only while
 *     it may be shared, is fresh, and was not invalidated;
 *   - what is read of it are its bytes in order, and all of them where it ends complete;
 *   - what was just stored is hit, where there is room and nothing newer;
 *   - readers are told of news once, and of all news;
 *   - never more memory is used than allowed, and in the end none. */
#include "support/fuzz.h"

#include "cache/alloc.h"
#include "zq/cache.h"

#define CLIENTS 6
#define FETCHES_MAX 256
#define APPENDED_MAX (1u << 20)

enum { SMALL = 1 };

/* ---- what there is to choose from ---- */

static const char *const targets[] = {"/a", "/b", "/%2f", "/%2F"};

static const char *const requests[][2] = {
    {"", ""},
    {"accept-language", "de"},
    {"accept-language", "en"},
    {"accept-language", " de ,"},
    {"cookie", "a=b"},
    {"authorization", "x"},
    {"cache-control", "no-store"},
    {"range", "bytes=4-13"},
};
#define RANGED 7

/* For how long; 0 is not storable. With credentials only the last is. */
static const struct {
    const char *value;
    int64_t lifetime_ms;
} controls[] = {
    {"max-age=10", 10000}, {"no-store", 0}, {"max-age=0", 0}, {"public, max-age=30", 30000}};

static const char *const tags[] = {"one", "two, one-two"};

/* What each names has so many bytes. */
static const struct {
    const char *value;
    uint64_t length;
} etags[] = {{"", 0}, {"\"a\"", 300}, {"\"b\"", 9000}, {"\"c\"", 70000}};

static const char *const varies[] = {"", "accept-language", "cookie, accept-language", "*"};

/* ---- the record ---- */

struct fetch {
    unsigned target, request, control, vary, tag, etag, status;
    uint64_t first; /* where its content begins in what the tag names */
    bool has_head, shareable, complete, is_head;
    bool represents;        /* a POST's, of its own target */
    bool doubtful;          /* may have been purged, or not */
    bool barred;            /* was purged by a tag before it was known to have it */
    unsigned begun, purged; /* the operations; 0: was not */
    int64_t request_ms, response_ms, length, announced;
};

struct client {
    struct zq_reader reader;
    struct zq_writer writer;
    struct zq_field field;
    struct zq_fields fields;
    unsigned target, request;
    int fetch;    /* whose writer it is; -1 */
    int verdict;  /* of its last get */
    int response; /* the number of what it reads; -1 while that is not known */
    bool is_head, is_post, told, abandoned;
    uint64_t start, length; /* of what it reads: where it begins; UINT64_MAX while not known */
    int64_t hit_ms;
    unsigned got; /* the operation of its last get */
    /* the last look */
    enum zq_reader_state seen_state;
    uint64_t offset, seen;
};

static struct {
    struct zq_cache *cache;
    uint64_t size;
    int64_t now_ms;
    size_t appended;
    unsigned operation;
    unsigned tag_purged[2];
    struct client clients[CLIENTS];
    struct fetch fetches[FETCHES_MAX];
    int n_fetches;
} world;

static char byte_of(int fetch, uint64_t offset)
{
    unsigned etag = world.fetches[fetch].etag;
    uint64_t seed = etag > 0 ? 1000 + etag : (uint64_t)fetch;
    return (char)(seed * 37 + offset * 7 + (offset >> 8));
}

static bool is(const char *name, unsigned request)
{
    return strcmp(requests[request][0], name) == 0;
}

/* The value that a request has for a field, normalised; "" and absent differ not here. */
static const char *value_of(unsigned request, const char *name)
{
    if (!is(name, request))
        return "";
    return request == 3 ? "de" : requests[request][1];
}

static bool same_value(unsigned a, unsigned b, const char *name)
{
    return strcmp(value_of(a, name), value_of(b, name)) == 0;
}

static bool selects(const struct fetch *f, unsigned request)
{
    if (f->vary >= 1 && !same_value(f->request, request, "accept-language"))
        return false;
    return f->vary < 2 || same_value(f->request, request, "cookie");
}

static bool is_shareable(const struct fetch *f)
{
    bool credentials =
        (is("cookie", f->request) && f->vary != 2) || is("authorization", f->request);
    return controls[f->control].lifetime_ms > 0 && (!credentials || f->control == 3) &&
           f->vary != 3 && !is("cache-control", f->request);
}

/* The delay counts as age (RFC 9111 4.2.3). */
static int64_t fresh_until(const struct fetch *f)
{
    return f->request_ms + controls[f->control].lifetime_ms;
}

static bool same_key(unsigned a, unsigned b)
{
    return a == b || (a >= 2 && b >= 2);
}

/* ---- clients ---- */

static void on_reader(struct zq_reader *reader)
{
    struct client *c = ZQ_CONTAINER(reader, struct client, reader);
    FUZZ_CHECK(!c->told);
    c->told = true;
}

static void on_writer(struct zq_writer *writer)
{
    (void)writer;
}

static void check_memory(void)
{
    FUZZ_CHECK(zq_cache_used(world.cache) <= world.size);
}

static int get(struct client *c, bool is_head, bool may_join)
{
    enum zq_cache_forward forward;
    c->field = (struct zq_field){zq_slice_str(requests[c->request][0]),
                                 zq_slice_str(requests[c->request][1])};
    c->fields = (struct zq_fields){&c->field, c->request != 0};
    c->reader = (struct zq_reader){.notify = on_reader};
    c->writer = (struct zq_writer){.notify = on_writer};
    c->told = c->abandoned = false;
    c->response = c->fetch = -1;
    c->offset = 0;
    c->seen = UINT64_MAX; /* not looked yet */
    c->is_head = is_head;
    c->hit_ms = world.now_ms;
    c->got = world.operation;
    struct zq_cache_request request = {
        .is_get = !is_head && !c->is_post,
        .is_head = is_head,
        .is_post = c->is_post,
        .scheme = ZQ_SLICE("http"),
        .host = ZQ_SLICE("h"),
        .target = zq_slice_str(targets[c->target]),
        .fields = &c->fields,
    };
    c->verdict = zq_cache_get(world.cache, &request, world.now_ms, may_join, &c->reader, &c->writer,
                              &forward);
    FUZZ_CHECK(may_join || c->verdict != ZQ_CACHE_JOIN);
    FUZZ_CHECK((forward == ZQ_FORWARD_NONE) == (c->verdict == ZQ_CACHE_HIT) || c->verdict < 0);
    FUZZ_CHECK((c->reader.entry != NULL) == (c->verdict >= 0));
    FUZZ_CHECK((c->writer.entry != NULL) ==
               (c->verdict == ZQ_CACHE_LEAD || c->verdict == ZQ_CACHE_PASS));
    return c->verdict;
}

static void begin(struct client *c, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    if (c->reader.entry != NULL || c->writer.entry != NULL || world.n_fetches == FETCHES_MAX)
        return;
    c->target = what % 4;
    c->request = what / 4 % 8;
    c->is_post = what / 32 % 4 == 2;
    get(c, what / 32 % 4 == 3, (what & 128) == 0);
    if (c->writer.entry == NULL)
        return;
    c->fetch = world.n_fetches++;
    world.fetches[c->fetch] = (struct fetch){.target = c->target,
                                             .request = c->request,
                                             .announced = -1,
                                             .is_head = c->is_head,
                                             .begun = world.operation,
                                             .request_ms = world.now_ms};
}

static void note_purged(unsigned target)
{
    for (int i = 0; i < world.n_fetches; i++)
        if (target == ZQ_ARRAY_SIZE(targets) || same_key(world.fetches[i].target, target))
            world.fetches[i].purged = world.operation;
}

/* HEAD that does not join finds what is fresh, or fetches for itself. */
static void check_gone(unsigned target)
{
    struct client c = {.target = target};
    if (get(&c, true, false) < 0)
        return;
    FUZZ_CHECK(c.verdict == ZQ_CACHE_PASS || c.verdict == ZQ_CACHE_LEAD);
    zq_reader_detach(&c.reader);
    zq_entry_fail(&c.writer, 500);
}

/* ---- fetches ---- */

static void close_writer(struct client *c)
{
    c->writer.entry = NULL;
    c->fetch = -1;
}

static size_t head_fields(const struct fetch *f, struct zq_field v[5], const char *range)
{
    size_t n = 3;
    v[0] = (struct zq_field){ZQ_SLICE("cache-control"), zq_slice_str(controls[f->control].value)};
    v[1] = (struct zq_field){ZQ_SLICE("vary"), zq_slice_str(varies[f->vary])};
    v[2] = (struct zq_field){ZQ_SLICE("cache-tag"), zq_slice_str(tags[f->tag])};
    if (f->etag > 0)
        v[n++] = (struct zq_field){ZQ_SLICE("etag"), zq_slice_str(etags[f->etag].value)};
    if (f->status == 206)
        v[n++] = (struct zq_field){ZQ_SLICE("content-range"), zq_slice_str(range)};
    return n;
}

/* A part of what the tag names: what was asked for, or what the input says. */
static void choose_part(struct client *c, struct fetch *f, struct fuzz_input *in)
{
    uint64_t length = etags[f->etag].length, part = 1 + fuzz_byte(in) % 64 * (length / 64);
    f->first = fuzz_byte(in) * length / 256;
    if (c->writer.rest > 0 && part % 3 != 0) {
        f->first = c->writer.rest < length ? c->writer.rest : length - 1;
        part = length - f->first;
    }
    f->announced = (int64_t)(part < length - f->first ? part : length - f->first);
}

/* A 304 only to a validator, and a 206 only to a Range. */
static void choose_status(struct client *c, struct fetch *f, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    bool ranged = (f->request == RANGED && !c->writer.whole && !c->is_post) || c->writer.rest > 0;
    f->status = 200;
    f->etag = what % 4;
    if (c->is_head && f->etag == 0)
        f->etag = 1;
    if ((what & 4) == 0)
        return;
    if (c->writer.etag.p != NULL) {
        f->status = 304;
        if (f->etag == 0)
            while (!zq_slice_eq(c->writer.etag, zq_slice_str(etags[f->etag].value)))
                f->etag++;
    } else if (ranged && !c->is_head && f->etag > 0) {
        f->status = 206;
        choose_part(c, f, in);
    }
}

static size_t write_block(char *to, size_t size, int number, const char *range)
{
    const struct fetch *f = &world.fetches[number];
    size_t n = (size_t)snprintf(to, size, "HTTP/1.1 %u -\r\nx: %06d\r\n", f->status, number);
    if (f->etag > 0)
        n += (size_t)snprintf(to + n, size - n, "etag: %s\r\n", etags[f->etag].value);
    if (f->status == 206)
        n += (size_t)snprintf(to + n, size - n, "content-range: %s\r\n", range);
    return n;
}

/* An unsafe method takes the place of all that was there, if its response represents its target. */
static void represent(struct client *c, struct fetch *f, struct fuzz_input *in)
{
    unsigned before = f->purged;
    if (!c->is_post || fuzz_byte(in) % 4 == 0)
        return;
    if (c->writer.adoptable)
        zq_writer_adopt(&c->writer, world.cache, ZQ_SLICE("http"), ZQ_SLICE("h"),
                        zq_slice_str(targets[c->target]));
    else
        zq_cache_invalidate(world.cache, ZQ_SLICE("http"), ZQ_SLICE("h"),
                            zq_slice_str(targets[c->target]));
    note_purged(c->target);
    f->purged = before;
    f->represents = c->writer.adoptable;
    FUZZ_CHECK(!f->represents || c->request != RANGED);
    check_gone(c->target);
}

static void give_head(struct client *c, struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    if (c->writer.entry == NULL || world.fetches[c->fetch].has_head)
        return;
    struct fetch *f = &world.fetches[c->fetch];
    char block[160], range[64] = "";
    struct zq_field v[5];
    f->control = what % 4;
    f->vary = what / 4 % 4;
    f->tag = what / 128;
    f->barred = world.tag_purged[f->tag] > f->begun;
    f->announced = (int64_t[]){-1, 0, 300, 9000}[what / 16 % 4];
    choose_status(c, f, in);
    if (f->status == 206)
        snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)f->first,
                 (unsigned long long)f->first + (unsigned long long)f->announced - 1,
                 (unsigned long long)etags[f->etag].length);
    struct zq_fields fields = {v, head_fields(f, v, range)};
    struct zq_cache_response response = {
        .status = f->status,
        .fields = &fields,
        .block = {block, write_block(block, sizeof(block), c->fetch, range)},
        .content_length = f->announced,
        .no_content = c->is_head || f->status == 304,
        .storable = (what & 64) == 0,
    };
    represent(c, f, in);
    f->response_ms = world.now_ms;
    f->has_head = true;
    f->shareable =
        is_shareable(f) && (c->verdict == ZQ_CACHE_LEAD ||
                            (c->verdict == ZQ_CACHE_PASS && (f->status == 206 || f->represents)));
    if (zq_entry_head(&c->writer, &response, world.now_ms, 1000000000) == 0)
        return;
    zq_entry_fail(&c->writer, 503);
    close_writer(c);
}

static void append(struct client *c, struct fuzz_input *in)
{
    static const size_t sizes[] = {0, 1, 10, 100, 200, 4096, 5000, 70000};
    static char data[70000];
    size_t n = sizes[fuzz_byte(in) % 8];
    if (c->writer.entry == NULL || !world.fetches[c->fetch].has_head ||
        world.appended + n > APPENDED_MAX)
        return;
    struct fetch *f = &world.fetches[c->fetch];
    for (size_t i = 0; i < n; i++)
        data[i] = byte_of(c->fetch, f->first + (uint64_t)f->length + i);
    world.appended += n;
    if (zq_entry_append(&c->writer, zq_slice(data, n)) == 0) {
        f->length += (int64_t)n;
        return;
    }
    zq_entry_finish(&c->writer, false);
    close_writer(c);
}

/* What was just stored must be found, unless there may have been no room, or there is a newer. */
static void check_stored(const struct client *fetcher, int number)
{
    const struct fetch *f = &world.fetches[number];
    struct client c = {.target = fetcher->target, .request = f->request};
    if (world.size < APPENDED_MAX || !f->shareable || f->doubtful || f->barred || f->purged != 0)
        return;
    if (world.now_ms >= fresh_until(f) || f->status == 206)
        return;
    for (int i = 0; i < world.n_fetches; i++)
        if (i != number && same_key(world.fetches[i].target, f->target) &&
            world.fetches[i].complete && world.fetches[i].response_ms >= f->response_ms)
            return;
    FUZZ_CHECK(get(&c, false, true) == ZQ_CACHE_HIT);
    zq_reader_detach(&c.reader);
}

static void finish(struct client *c, bool complete)
{
    if (c->writer.entry == NULL || !world.fetches[c->fetch].has_head)
        return;
    int number = c->fetch;
    struct fetch *f = &world.fetches[number];
    struct zq_entry_info info = {0};
    if (c->reader.entry != NULL && zq_reader_state(&c->reader) == ZQ_READER_OPEN) {
        zq_entry_describe(&c->reader, world.now_ms, &info);
        c->told = false;
        c->seen_state = ZQ_READER_OPEN;
        c->seen = (uint64_t)f->length;
    }
    f->complete = f->status == 304 ||
                  (complete && (c->is_head || f->announced < 0 || f->announced == f->length));
    f->complete |= info.had_content;
    zq_entry_finish(&c->writer, complete);
    close_writer(c);
    if (f->complete && info.stored)
        check_stored(c, number);
}

static void fail(struct client *c)
{
    if (c->writer.entry == NULL || world.fetches[c->fetch].has_head)
        return;
    zq_entry_fail(&c->writer, 504);
    close_writer(c);
}

static void ask_writer(struct client *c)
{
    if (c->writer.entry == NULL)
        return;
    FUZZ_CHECK(zq_writer_window(&c->writer) <= ZQ_CACHE_WINDOW);
    bool abandoned = zq_writer_abandoned(&c->writer);
    FUZZ_CHECK(abandoned || !c->abandoned);
    FUZZ_CHECK(!abandoned || c->reader.entry == NULL || c->reader.released);
    c->abandoned = abandoned;
    zq_writer_moved(&c->writer);
}

/* ---- reading ---- */

static bool has_head(enum zq_reader_state state)
{
    return state == ZQ_READER_OPEN || state == ZQ_READER_COMPLETE || state == ZQ_READER_ABORTED;
}

/* What follows a text in a block; NULL: it is not there. */
static const char *find(struct zq_slice block, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= block.n; i++)
        if (memcmp(block.p + i, text, n) == 0)
            return block.p + i + n;
    return NULL;
}

/* May this client have that response? */
static void check_response(struct client *c)
{
    struct zq_entry_info info;
    zq_entry_describe(&c->reader, world.now_ms, &info);
    const char *x = find(info.block, "x: "), *range = find(info.block, "Content-Range: bytes ");
    if (range == NULL)
        range = find(info.block, "content-range: bytes ");
    FUZZ_CHECK(x != NULL && (info.status == 206) == (range != NULL));
    int number = atoi(x);
    FUZZ_CHECK(number >= 0 && number < world.n_fetches);
    FUZZ_CHECK(c->response < 0 || c->response == number);
    c->response = number;
    c->start = range != NULL ? strtoull(range, NULL, 10) : 0;
    c->length = info.content_length >= 0 ? (uint64_t)info.content_length : UINT64_MAX;
    const struct fetch *f = &world.fetches[number];
    FUZZ_CHECK(f->has_head && same_key(f->target, c->target));
    FUZZ_CHECK(info.status != 206 || c->request == RANGED);
    FUZZ_CHECK(info.status != 206 || c->verdict == ZQ_CACHE_HIT || c->verdict == ZQ_CACHE_PASS);
    if (info.status == 206 && c->verdict == ZQ_CACHE_HIT)
        FUZZ_CHECK(c->start <= 4 && c->start + c->length >= 14);
    /* Content that HEAD did not bring comes from elsewhere. */
    FUZZ_CHECK(c->verdict != ZQ_CACHE_HIT || !f->is_head || c->length > 0 || info.stored);
    if (c->verdict == ZQ_CACHE_LEAD || c->verdict == ZQ_CACHE_PASS)
        return;
    FUZZ_CHECK(f->shareable && selects(f, c->request));
    FUZZ_CHECK(f->purged == 0 || f->purged > c->got);
    FUZZ_CHECK(c->verdict != ZQ_CACHE_HIT || !f->barred);
    FUZZ_CHECK(c->verdict != ZQ_CACHE_HIT || (f->complete && c->hit_ms < fresh_until(f)));
}

static void check_bytes(const struct client *c, const struct iovec *v, int n)
{
    uint64_t offset = c->offset;
    for (int i = 0; i < n; i++)
        for (size_t j = 0; j < v[i].iov_len; j++)
            FUZZ_CHECK(((const char *)v[i].iov_base)[j] ==
                       byte_of(c->response, c->start + offset++));
    FUZZ_CHECK(c->length >= offset);
}

/* Without a notification there is nothing new for who had taken all. */
static void check_news(const struct client *c, enum zq_reader_state state, uint64_t end)
{
    if (c->told || !c->reader.shared || c->seen == UINT64_MAX)
        return;
    FUZZ_CHECK(state == c->seen_state);
    FUZZ_CHECK(c->offset < c->seen || end <= c->seen);
}

static void look(struct client *c, size_t most)
{
    struct iovec v[64];
    bool end;
    enum zq_reader_state state = zq_reader_state(&c->reader);
    size_t bytes = 0;
    if (has_head(state))
        check_response(c);
    int n = zq_reader_peek(&c->reader, v, 64, &end);
    for (int i = 0; i < n; i++)
        bytes += v[i].iov_len;
    if (n < 64)
        check_news(c, state, c->offset + bytes);
    c->told = false;
    c->seen_state = state;
    c->seen = n < 64 ? c->offset + bytes : UINT64_MAX;
    FUZZ_CHECK(n == 0 || has_head(state));
    if (n > 0)
        check_bytes(c, v, n);
    if (end && c->length != UINT64_MAX && world.fetches[c->response].status != 304)
        FUZZ_CHECK(c->is_head || c->offset + bytes == c->length);
    FUZZ_CHECK(!end || (state == ZQ_READER_COMPLETE && world.fetches[c->response].complete));
    bytes = bytes < most ? bytes : most;
    c->offset += bytes;
    zq_reader_advance(&c->reader, bytes);
}

static void read_some(struct client *c, struct fuzz_input *in)
{
    size_t most = (size_t)fuzz_byte(in) * fuzz_byte(in) * 8;
    if (c->reader.entry != NULL)
        look(c, most);
}

static void detach(struct client *c)
{
    zq_reader_detach(&c->reader);
    FUZZ_CHECK(c->reader.entry == NULL);
}

/* ---- purging ---- */

static void invalidate(unsigned target)
{
    zq_cache_invalidate(world.cache, ZQ_SLICE("http"), ZQ_SLICE("h"),
                        zq_slice_str(targets[target]));
    note_purged(target);
    check_gone(target);
}

static void purge_tag(unsigned tag, bool soft)
{
    struct zq_purge purge = {ZQ_PURGE_TAG, soft, zq_slice_str(tag == 0 ? "one" : "two")};
    uint64_t number;
    if (zq_cache_purge(world.cache, &purge, world.now_ms, &number) != 0)
        return;
    world.tag_purged[tag] = world.operation;
    for (int i = 0; i < world.n_fetches; i++) {
        struct fetch *f = &world.fetches[i];
        if (f->has_head && f->tag == tag)
            f->purged = world.operation;
    }
}

static void purge(struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    unsigned target = what % 4;
    bool soft = (what & 4) != 0;
    uint64_t number;
    struct zq_purge purge = {ZQ_PURGE_URL, soft, zq_slice_str(targets[target])};
    switch (what / 8 % 8) {
    case 0:
        invalidate(target);
        return;
    case 1:
        purge_tag(target % 2, soft);
        return;
    case 2:
        purge = (struct zq_purge){ZQ_PURGE_PREFIX, soft, ZQ_SLICE("http://h/")};
        target = ZQ_ARRAY_SIZE(targets);
        break;
    case 3:
        purge = (struct zq_purge){ZQ_PURGE_GLOB, soft, ZQ_SLICE("/*")};
        target = ZQ_ARRAY_SIZE(targets);
        break;
    case 4:
        purge = (struct zq_purge){ZQ_PURGE_ALL, soft, ZQ_SLICE("")};
        target = ZQ_ARRAY_SIZE(targets);
        break;
    case 5:
        zq_cache_sweep(world.cache);
        return;
    default:
        break;
    }
    int rc = zq_cache_purge(world.cache, &purge, world.now_ms, &number);
    FUZZ_CHECK(rc == 0 || rc == ZQ_ELIMIT);
    /* Without memory more may go than was asked for. */
    for (int i = 0; i < world.n_fetches; i++)
        world.fetches[i].doubtful = true;
    if (rc != 0)
        return;
    note_purged(target);
    check_gone(target == ZQ_ARRAY_SIZE(targets) ? 0 : target);
}

/* ---- the run ---- */

static void operate(struct fuzz_input *in)
{
    uint8_t op = fuzz_byte(in);
    struct client *c = &world.clients[op / 16 % CLIENTS];
    switch (op % 16) {
    case 4:
        give_head(c, in);
        break;
    case 5:
    case 6:
        append(c, in);
        break;
    case 7:
        finish(c, true);
        break;
    case 8:
        finish(c, false);
        break;
    case 9:
        fail(c);
        break;
    case 10:
    case 11:
        read_some(c, in);
        break;
    case 12:
        detach(c);
        break;
    case 13:
        purge(in);
        break;
    case 14:
        world.now_ms += fuzz_byte(in) * 100;
        break;
    case 15:
        ask_writer(c);
        break;
    default:
        begin(c, in);
        break;
    }
}

static void leave(struct client *c)
{
    if (c->reader.entry != NULL && c->verdict >= 0)
        look(c, SIZE_MAX);
    detach(c);
    if (c->writer.entry == NULL)
        return;
    if (world.fetches[c->fetch].has_head)
        finish(c, false);
    else
        fail(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    uint8_t flags = fuzz_byte(&in);
    memset(&world, 0, sizeof(world));
    world.size = (flags & SMALL) != 0 ? 40u << 10 : 8u << 20;
    world.cache = zq_cache_new(world.size);
    world.now_ms = 1000000;
    FUZZ_CHECK(world.cache != NULL);
#ifdef ZQ_DEBUG
    zq_cache_alloc_fails_at = (flags & SMALL) != 0 ? flags / 2 : 0;
#endif
    while (in.n > 0) {
        world.operation++;
        operate(&in);
        check_memory();
    }
#ifdef ZQ_DEBUG
    zq_cache_alloc_fails_at = 0;
#endif
    world.operation++;
    for (int i = 0; i < CLIENTS; i++)
        leave(&world.clients[i]);
    zq_cache_free(world.cache);
    return 0;
}
