/* room: super
 *
 * The listening sockets: what --host, --port, --bind, --uds and --fd ask for. Bound and listening,
 * non-blocking and close-on-exec, before any child is started; the front gets copies.
 */
#ifndef ZQ_SUPER_LISTEN_H
#define ZQ_SUPER_LISTEN_H

#include "options.h"

#include <sys/types.h>

#define ZQ_LISTENERS_MAX 64 /* of one front */

struct zq_listener {
    int fd;
    char text[160]; /* for people: `http://127.0.0.1:8000`, `unix:/run/shop.sock` */
    bool admin;     /* not for clients */
    char *path;     /* a socket file that we made, or NULL */
    dev_t device;   /* … as it was when we made it */
    ino_t inode;
};

struct zq_listeners {
    struct zq_listener v[ZQ_LISTENERS_MAX];
    size_t n;
    char *admin_token; /* of the admin listeners over TCP, or NULL */
};

/* The syntax of --bind and the like, before anything is opened: 0, or ZQ_EINVAL with `error`. */
int zq_listen_check(const struct zq_options *options, struct zq_config_error *error);

/* Opens all or none: 0, or ZQ_EIO with `error` saying which, why, and what holds a busy port.
 * Release: zq_listen_close, then zq_listen_unlink. */
int zq_listen_open(const struct zq_options *options, struct zq_listeners *out,
                   struct zq_config_error *error);

/* One more: 0, or ZQ_EIO with `error`; what was added before stays. `mode` is a socket file's. */
struct endpoint;
int zq_listen_add(const struct zq_config *config, const struct endpoint *endpoint, int64_t mode,
                  struct zq_listeners *out, struct zq_config_error *error);

void zq_listen_close(struct zq_listeners *listeners);
/* Removes the socket files that we made, unless another process has put its own there. */
void zq_listen_unlink(struct zq_listeners *listeners);

#endif
