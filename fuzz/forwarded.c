/* X-Forwarded-Proto, -Host and -For, and who is believed.
 *
 * Input: a line that is --forwarded-allow-ips; a line that is the peer's address (empty: a Unix
 * socket); lines of request fields.
 *
 * Invariants:
 *   - of a peer that is not trusted nothing is believed, and it is said that nobody vouches for it;
 *   - scheme, host and client are what they were, or a member of a field, and of the right form;
 *     everything else stays as it was;
 *   - whether a list comes in one line or in several makes no difference. */
#include "support/fuzz.h"

#include "front/forwarded.h"

#include <arpa/inet.h>

struct outcome {
    struct zq_request request;
    bool unvouched;
};

static struct outcome apply(const struct trusted_peers *peers, struct zq_slice peer,
                            struct zq_fields *fields)
{
    const struct zq_field *host = zq_fields_find(fields, ZQ_SLICE("host"), NULL);
    struct outcome o = {
        .request =
            {
                .scheme = ZQ_SLICE("http"),
                .host = host != NULL ? host->value : (struct zq_slice){0},
                .fields = *fields,
                .client = {.host = peer, .port = 4711, .is_unix = peer.n == 0},
                .server = {.host = ZQ_SLICE("192.0.2.200"), .port = 80},
            },
    };
    o.unvouched = forwarded_apply(peers, &o.request);
    return o;
}

static bool is_address(struct zq_slice s)
{
    char text[64], out[16];
    if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        s = zq_slice(s.p + 1, s.n - 2);
    if (s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET, text, out) == 1 || inet_pton(AF_INET6, text, out) == 1;
}

static bool is_forwarding(struct zq_slice name)
{
    return zq_slice_eq(name, ZQ_SLICE("forwarded")) ||
           (name.n > 12 && memcmp(name.p, "x-forwarded-", 12) == 0);
}

/* Fields by which frameworks let a proxy say what the request was. */
static bool is_vouched_for(struct zq_slice name)
{
    static const char *const names[] = {
        "x-host",           "x-original-host", "x-http-host-override", "x-scheme",
        "x-url-scheme",     "x-script-name",   "front-end-https",      "x-real-ip",
        "x-client-ip",      "true-client-ip",
    };

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(names); i++)
        if (zq_slice_eq(name, zq_slice_str(names[i])))
            return true;
    return is_forwarding(name);
}

static bool any_vouched_for(const struct zq_fields *fields)
{
    for (size_t i = 0; i < fields->n; i++)
        if (is_vouched_for(fields->v[i].name))
            return true;
    return false;
}

static void check_outcome(const struct outcome *o, bool trusted, struct zq_slice peer,
                          const struct fuzz_fields *before)
{
    const struct zq_request *r = &o->request;
    const struct zq_field *host = zq_fields_find(&before->fields, ZQ_SLICE("host"), NULL);
    struct zq_slice was = host != NULL ? host->value : (struct zq_slice){0};
    bool any = any_vouched_for(&before->fields);
    FUZZ_CHECK(o->unvouched == (any && !trusted));
    FUZZ_CHECK(r->fields.n == before->fields.n && r->server.port == 80);
    bool https = zq_slice_eq(r->scheme, ZQ_SLICE("https"));
    FUZZ_CHECK(https || zq_slice_eq(r->scheme, ZQ_SLICE("http")));
    if (!any || !trusted) {
        FUZZ_CHECK(!https && zq_slice_eq(r->host, was));
        FUZZ_CHECK(zq_slice_eq(r->client.host, peer) && r->client.port == 4711);
    }
    if (r->client.port != 4711)
        FUZZ_CHECK(is_address(r->client.host) && !r->client.is_unix && r->client.port == 0);
    if (!zq_slice_eq(r->host, was))
        for (size_t i = 0; i < r->host.n; i++)
            FUZZ_CHECK(r->host.p[i] > ' ' && r->host.p[i] < 0x7f &&
                       strchr(",/?#@\\\"<>", r->host.p[i]) == NULL);
}

/* A member a line. */
static void check_split(const struct trusted_peers *peers, struct zq_slice peer,
                        const struct outcome *whole, const struct fuzz_fields *before)
{
    struct zq_field split[256];
    struct zq_fields fields = {split, 0};
    for (size_t i = 0; i < before->fields.n; i++) {
        const struct zq_field *f = &before->fields.v[i];
        struct zq_slice rest = f->value, member;
        if (fields.n + 2 > ZQ_ARRAY_SIZE(split))
            return;
        if (!is_forwarding(f->name) || !zq_list_next(&rest, &member)) {
            split[fields.n++] = *f;
            continue;
        }
        do {
            if (fields.n == ZQ_ARRAY_SIZE(split))
                return;
            split[fields.n++] = (struct zq_field){f->name, member};
        } while (zq_list_next(&rest, &member));
    }
    struct outcome o = apply(peers, peer, &fields);
    FUZZ_CHECK(o.unvouched == whole->unvouched);
    FUZZ_CHECK(zq_slice_eq(o.request.scheme, whole->request.scheme));
    FUZZ_CHECK(zq_slice_eq(o.request.host, whole->request.host));
    FUZZ_CHECK(zq_slice_eq(o.request.client.host, whole->request.client.host));
}

static void check(const struct trusted_peers *peers, struct zq_slice peer,
                  const struct fuzz_fields *fields)
{
    struct zq_field lines[FUZZ_FIELDS_MAX];
    struct zq_fields copy = {lines, fields->fields.n};
    memcpy(lines, fields->v, fields->fields.n * sizeof(*lines));
    struct zq_address address = {.host = peer, .is_unix = peer.n == 0};
    bool trusted = peers != NULL && trusted_peers_have(peers, &address);
    struct outcome o = apply(peers, peer, &copy);
    check_outcome(&o, trusted, peer, fields);
    for (size_t i = 0; i < copy.n; i++)
        FUZZ_CHECK(zq_slice_eq(lines[i].name, fields->v[i].name) &&
                   (zq_slice_eq(lines[i].value, fields->v[i].value) ||
                    (trusted && zq_slice_eq(lines[i].name, ZQ_SLICE("host")))));
    check_split(peers, peer, &o, fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input(data, size);
    struct zq_slice list = fuzz_until(&in, '\n'), line = fuzz_until(&in, '\n');
    struct zq_slice peer = fuzz_copy(line);
    struct fuzz_fields fields;
    struct zq_config_error error = {{0}};
    char *text = strndup(list.n > 0 ? list.p : "", list.n);
    struct zq_strings words = {&text, 1};
    fuzz_fields_read(&fields, &in, true);
    struct trusted_peers *peers = trusted_peers_new(&words, &error);
    FUZZ_CHECK(peers != NULL || strlen(error.text) > 0);
    check(peers, peer, &fields);
    trusted_peers_free(peers);
    fuzz_fields_fini(&fields);
    free((char *)(uintptr_t)peer.p);
    free(text);
    return 0;
}
