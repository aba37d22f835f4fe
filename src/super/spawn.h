/* room: super
 *
 * A child process: the front or a worker, started by exec, held by a pidfd.
 */
#ifndef ZQ_SUPER_SPAWN_H
#define ZQ_SUPER_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

struct zq_child {
    pid_t pid;   /* 0: there is none */
    int pidfd;   /* readable when it has ended */
    int control; /* our end of the control channel; -1 once it was found closed */
};

/* Starts `path` as `argv` (NULL-terminated): in a process group of its own, with default signal
 * dispositions and an empty mask; it has the standard descriptors and the control channel (as
 * ZQ_CONTROL_FD), and nothing else. Standard input is /dev/null where it would be a terminal: a
 * background process group that reads there is stopped. `descriptors` is its RLIMIT_NOFILE. The
 * kernel kills it when we die. 0, or ZQ_EIO with errno. Release: zq_child_reap. */
int zq_child_spawn(struct zq_child *out, const char *path, const char *const argv[],
                   const struct rlimit *descriptors);

void zq_child_signal(const struct zq_child *child, int signal);
void zq_child_kill_group(const struct zq_child *child);

/* Collects a child that has ended, and what is left of its process group. Writes how it ended
 * (`(pid 7) exited with status 3`, `(pid 7) was killed by SIGSEGV`). False when it has not ended
 * yet; true and
 * `*ok` whether that was exit(0). */
bool zq_child_reap(struct zq_child *child, bool *ok, char *how, size_t size);

void zq_child_close_control(struct zq_child *child);

#endif
