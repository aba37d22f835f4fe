#include "front/forwarded.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* An address or network; IPv4 is kept IPv4-mapped, so that one comparison serves both. */
struct network {
    uint8_t address[16];
    unsigned bits;
};

struct trusted_peers {
    bool everyone, unix_sockets;
    size_t n;
    struct network v[];
};

/* ---- addresses ---- */

/* Reads `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`; `*base` is where a network's bits are
 * counted from: 96 for IPv4. */
static bool read_address(struct zq_slice s, uint8_t out[16], unsigned *base)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[INET6_ADDRSTRLEN];

    if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        s = zq_slice(s.p + 1, s.n - 2);
    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *base = 0;
    if (inet_pton(AF_INET6, text, out) == 1)
        return true;
    *base = 96;
    memcpy(out, mapped, sizeof(mapped));
    return inet_pton(AF_INET, text, out + 12) == 1;
}

static bool read_network(struct zq_slice s, struct network *out)
{
    const char *slash = s.n ? memchr(s.p, '/', s.n) : NULL;
    struct zq_slice host = slash ? zq_slice(s.p, (size_t)(slash - s.p)) : s;
    unsigned base;
    uint64_t bits;

    if (!read_address(host, out->address, &base))
        return false;
    out->bits = 128;
    if (slash == NULL)
        return true;
    struct zq_slice rest = zq_slice(slash + 1, s.n - host.n - 1);
    if (zq_parse_u64(rest, 128 - base, &bits) < 0)
        return false;
    out->bits = base + (unsigned)bits;
    return true;
}

static bool contains(const struct network *network, const uint8_t address[16])
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;

    if (memcmp(network->address, address, whole) != 0)
        return false;
    return rest == 0 || ((network->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

/* ---- the list ---- */

static bool add(struct trusted_peers *peers, struct zq_slice word)
{
    if (zq_slice_eq(word, ZQ_SLICE("*")))
        peers->everyone = true;
    else if (zq_slice_eq(word, ZQ_SLICE("unix")))
        peers->unix_sockets = true;
    else if (read_network(word, &peers->v[peers->n]))
        peers->n++;
    else
        return false;
    return true;
}

static size_t count_words(const struct zq_strings *list)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        n++;
        for (const char *p = list->v[i]; *p != '\0'; p++)
            n += *p == ',';
    }
    return n;
}

struct trusted_peers *trusted_peers_new(const struct zq_strings *list,
                                        struct zq_config_error *error)
{
    struct trusted_peers *peers =
        calloc(1, sizeof(*peers) + count_words(list) * sizeof(struct network));

    if (peers == NULL) {
        snprintf(error->text, sizeof(error->text), "%s", zq_strerror(ZQ_ENOMEM));
        return NULL;
    }
    for (size_t i = 0; i < list->n; i++) {
        struct zq_slice rest = zq_slice_str(list->v[i]), word;
        while (zq_list_next(&rest, &word))
            if (!add(peers, word)) {
                snprintf(error->text, sizeof(error->text),
                         "--forwarded-allow-ips: '%.*s' is no address, network (10.0.0.0/8), "
                         "'*' or 'unix'",
                         (int)word.n, word.p);
                free(peers);
                return NULL;
            }
    }
    return peers;
}

void trusted_peers_free(struct trusted_peers *peers)
{
    free(peers);
}

static bool trusts_host(const struct trusted_peers *peers, struct zq_slice host)
{
    uint8_t address[16];
    unsigned base;

    if (peers->everyone)
        return true;
    if (!read_address(host, address, &base))
        return false;
    for (size_t i = 0; i < peers->n; i++)
        if (contains(&peers->v[i], address))
            return true;
    return false;
}

bool trusted_peers_have(const struct trusted_peers *peers, const struct zq_address *address)
{
    if (peers->everyone)
        return true;
    return address->is_unix ? peers->unix_sockets : trusts_host(peers, address->host);
}

/* ---- the fields ---- */

static size_t count_members(const struct zq_request *r, struct zq_slice name)
{
    size_t n = 0;

    for (const struct zq_field *f = NULL; (f = zq_fields_find(&r->fields, name, f));) {
        struct zq_slice rest = f->value, member;
        while (zq_list_next(&rest, &member))
            n++;
    }
    return n;
}

/* The member `from_right` places from the right of a list field (all its lines joined), or the
 * leftmost when it is shorter. False when the field is absent or empty. */
static bool member_from_right(const struct zq_request *r, struct zq_slice name, size_t from_right,
                              struct zq_slice *out)
{
    size_t total = count_members(r, name), index = 0;
    size_t wanted = from_right < total ? total - 1 - from_right : 0;

    for (const struct zq_field *f = NULL; (f = zq_fields_find(&r->fields, name, f));) {
        struct zq_slice rest = f->value;
        while (zq_list_next(&rest, out))
            if (index++ == wanted)
                return true;
    }
    return false;
}

/* `1.2.3.4`, `1.2.3.4:56`, `[2001:db8::1]:56` without the port. */
static struct zq_slice without_port(struct zq_slice s)
{
    const char *close = s.n ? memchr(s.p, ']', s.n) : NULL;
    const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;

    if (s.n > 0 && s.p[0] == '[' && close != NULL)
        return zq_slice(s.p + 1, (size_t)(close - s.p) - 1);
    if (colon != NULL && memchr(colon + 1, ':', s.n - (size_t)(colon + 1 - s.p)) == NULL)
        return zq_slice(s.p, (size_t)(colon - s.p));
    return s;
}

/* From the right, over the proxies that are trusted, the first address that is not: that is the
 * client, or the leftmost if all are trusted. What is no address ends the walk. Returns how many
 * places from the right the client stands. (Read from the left, once: lists may be long.) */
static size_t apply_for(const struct trusted_peers *peers, struct zq_request *r)
{
    const struct zq_slice name = ZQ_SLICE("x-forwarded-for");
    struct zq_slice client = {0}, member;
    uint8_t address[16];
    size_t hop = 0;
    unsigned base;

    for (const struct zq_field *f = NULL; (f = zq_fields_find(&r->fields, name, f));) {
        struct zq_slice rest = f->value;
        while (zq_list_next(&rest, &member)) {
            struct zq_slice host = without_port(member);
            hop++;
            if (!read_address(host, address, &base)) {
                client = (struct zq_slice){0};
            } else if (client.p == NULL || !trusts_host(peers, host)) {
                client = host;
                hop = 0;
            }
        }
    }
    if (client.p == NULL)
        return 0;
    r->client = (struct zq_address){.host = client};
    return hop;
}

static void apply_proto(struct zq_request *r, size_t hop)
{
    struct zq_slice proto;

    if (!member_from_right(r, ZQ_SLICE("x-forwarded-proto"), hop, &proto))
        return;
    if (zq_slice_ieq(proto, ZQ_SLICE("https")) || zq_slice_ieq(proto, ZQ_SLICE("wss")))
        r->scheme = ZQ_SLICE("https");
    else if (zq_slice_ieq(proto, ZQ_SLICE("http")) || zq_slice_ieq(proto, ZQ_SLICE("ws")))
        r->scheme = ZQ_SLICE("http");
}

void request_set_host(struct zq_request *r, struct zq_slice host)
{
    r->host = host;
    for (size_t i = 0; i < r->fields.n; i++)
        if (zq_slice_eq(r->fields.v[i].name, ZQ_SLICE("host")))
            r->fields.v[i].value = host;
}

static void apply_host(struct zq_request *r, size_t hop)
{
    struct zq_slice host;

    if (member_from_right(r, ZQ_SLICE("x-forwarded-host"), hop, &host) && zq_host_valid(host))
        request_set_host(r, host);
}

static bool is(struct zq_slice name, const char *literal)
{
    return memcmp(name.p, literal, name.n) == 0;
}

/* What proxies say of a request's client, host and scheme, and applications believe. By length
 * first: this runs over every field of every request. */
static bool is_forwarding_field(struct zq_slice name)
{
    if (name.n > 12 && memcmp(name.p, "x-forwarded-", 12) == 0)
        return true;
    switch (name.n) {
    case 6:
        return is(name, "x-host");
    case 8:
        return is(name, "x-scheme");
    case 9:
        return is(name, "forwarded") || is(name, "x-real-ip");
    case 11:
        return is(name, "x-client-ip");
    case 12:
        return is(name, "x-url-scheme");
    case 13:
        return is(name, "x-script-name");
    case 14:
        return is(name, "true-client-ip");
    case 15:
        return is(name, "x-original-host") || is(name, "front-end-https");
    case 20:
        return is(name, "x-http-host-override");
    default:
        return false;
    }
}

/* Where the client is, which no answer for all depends on. */
static bool is_client_field(struct zq_slice name)
{
    static const struct zq_slice names[] = {
        {"x-forwarded-for", 15}, {"x-real-ip", 9}, {"x-client-ip", 11}, {"true-client-ip", 14}};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(names); i++)
        if (zq_slice_eq(names[i], name))
            return true;
    return false;
}

static bool may_choose(const struct zq_field *field)
{
    return is_forwarding_field(field->name) && !is_client_field(field->name);
}

struct zq_slice forwarded_selects(const struct zq_fields *fields, struct zq_arena *arena)
{
    size_t bytes = 0;

    for (size_t i = 0; i < fields->n; i++)
        bytes += may_choose(&fields->v[i]) ? fields->v[i].name.n + 1 : 0;
    if (bytes == 0)
        return ZQ_SLICE("");
    char *start = zq_arena_alloc(arena, bytes), *to = start;
    for (size_t i = 0; i < fields->n && to != NULL; i++)
        if (may_choose(&fields->v[i]))
            to = zq_put(zq_put(to, fields->v[i].name), ZQ_SLICE(","));
    return zq_slice(start, start != NULL ? bytes : 0);
}

bool forwarded_apply(const struct trusted_peers *peers, struct zq_request *r)
{
    bool any = false;

    for (size_t i = 0; i < r->fields.n && !any; i++)
        any = is_forwarding_field(r->fields.v[i].name);
    if (!any)
        return false;
    if (peers == NULL || !trusted_peers_have(peers, &r->client))
        return true;
    size_t hop = apply_for(peers, r);
    apply_proto(r, hop);
    apply_host(r, hop);
    return false;
}
