/* room: super
 *
 * Who holds a port that we cannot have.
 */
#ifndef ZQ_SUPER_HOLDER_H
#define ZQ_SUPER_HOLDER_H

#include <stddef.h>
#include <sys/socket.h>

/* Writes `pid 123 (nginx)` into `out`: the process that listens where `address` is in the way of;
 * `another process` if that cannot be known (it is another user's). */
void holder_of_port(const struct sockaddr *address, char *out, size_t size);

/* The same for a process that is known. */
void holder_of_pid(int pid, char *out, size_t size);

#endif
