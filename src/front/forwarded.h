/* X-Forwarded-Proto, -Host and -For, believed only from --forwarded-allow-ips. */
#ifndef ZQ_FRONT_FORWARDED_H
#define ZQ_FRONT_FORWARDED_H

#include "zq/config.h"
#include "zq/http.h"

struct trusted_peers;

/* Compiles --forwarded-allow-ips: addresses, networks, `*`, `unix`. NULL with `error` filled. */
struct trusted_peers *trusted_peers_new(const struct zq_strings *list,
                                        struct zq_config_error *error);
void trusted_peers_free(struct trusted_peers *peers);
bool trusted_peers_have(const struct trusted_peers *peers, const struct zq_address *address);

/* Applies what a trusted peer says to scheme, host (and the Host field) and client of `request`.
 * Values that are no scheme, host or address are ignored. Returns true when there are forwarding
 * fields that nobody vouches for. `peers` NULL: --no-proxy-headers. */
bool forwarded_apply(const struct trusted_peers *peers, struct zq_request *request);

/* The authority that the key is made of, and the Host field, which says the same. */
void request_set_host(struct zq_request *request, struct zq_slice host);

/* What a trusted peer hands on may still be its client's: of the forwarding fields that are there,
 * a list of those that applications choose their answer by (the host, a prefix, a user), and so
 * select among the responses of a key. Names are in lower case; empty where there are none, p is
 * NULL when out of memory. */
struct zq_slice forwarded_selects(const struct zq_fields *fields, struct zq_arena *arena);

#endif
