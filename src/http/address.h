/* room: http, private
 *
 * The two ends of a connection as text, made once a connection.
 */
#ifndef ZQ_HTTP_ADDRESS_H
#define ZQ_HTTP_ADDRESS_H

#include "zq/http.h"

struct zq_peer {
    struct zq_address client, server;
    char text[]; /* what both hosts point to */
};

/* NULL when out of memory; release: free(). An IPv4 address mapped to IPv6 is shown as IPv4; what
 * cannot be known is empty. */
struct zq_peer *zq_peer_new(int fd);

#endif
