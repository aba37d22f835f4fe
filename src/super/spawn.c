/* room: super */
#include "spawn.h"

#include "zq/base.h"
#include "zq/control.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Dispositions that are `ignore` survive exec; SIGTTOU stays ignored, so that `stty tostop` does
 * not stop a child at its first line of output. */
static void reset_signals(void)
{
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        signal(i, i == SIGTTOU ? SIG_IGN : SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void keep_from_terminal(void)
{
    int null = isatty(STDIN_FILENO) ? open("/dev/null", O_RDONLY) : -1;

    if (null > STDIN_FILENO) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
}

/* dup2 of a descriptor onto itself would leave it close-on-exec. */
static bool place_control(int control)
{
    if (control == ZQ_CONTROL_FD)
        return fcntl(control, F_SETFD, 0) == 0;
    return dup2(control, ZQ_CONTROL_FD) >= 0;
}

static _Noreturn void become(const char *path, const char *const argv[], int control, pid_t super,
                             const struct rlimit *descriptors)
{
    setpgid(0, 0);
    reset_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also one that hangs, and would not see the channel close */
    if (getppid() != super)
        _exit(1);
    keep_from_terminal();
    if (place_control(control) && close_range(ZQ_CONTROL_FD + 1, ~0u, 0) == 0) {
        setrlimit(RLIMIT_NOFILE, descriptors);
        execv(path, (char *const *)(uintptr_t)argv);
    }
    dprintf(STDERR_FILENO, "zq: cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

int zq_child_spawn(struct zq_child *out, const char *path, const char *const argv[],
                   const struct rlimit *descriptors)
{
    pid_t super = getpid();
    int ends[2], saved;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return ZQ_EIO;
    out->pid = fork();
    if (out->pid == 0)
        become(path, argv, ends[1], super, descriptors);
    saved = errno;
    close(ends[1]);
    out->control = ends[0];
    if (out->pid > 0) {
        setpgid(out->pid, out->pid); /* whoever is first: a signal to the group must not miss */
        out->pidfd = (int)syscall(SYS_pidfd_open, out->pid, 0);
        if (out->pidfd >= 0)
            return 0;
        saved = errno;
        kill(out->pid, SIGKILL);
        waitpid(out->pid, NULL, 0);
    }
    close(ends[0]);
    *out = (struct zq_child){0, -1, -1};
    errno = saved;
    return ZQ_EIO;
}

void zq_child_signal(const struct zq_child *child, int signal)
{
    syscall(SYS_pidfd_send_signal, child->pidfd, signal, NULL, 0);
}

/* The number cannot belong to another group: it is the child's until it is reaped. */
void zq_child_kill_group(const struct zq_child *child)
{
    if (child->pid > 0 && kill(-child->pid, SIGKILL) < 0)
        zq_child_signal(child, SIGKILL);
}

static void describe(const siginfo_t *info, char *how, size_t size)
{
    const char *name = sigabbrev_np(info->si_status);

    if (info->si_code == CLD_EXITED)
        snprintf(how, size, "(pid %d) exited with status %d", (int)info->si_pid, info->si_status);
    else
        snprintf(how, size, "(pid %d) was killed by SIG%s", (int)info->si_pid, name ? name : "?");
}

bool zq_child_reap(struct zq_child *child, bool *ok, char *how, size_t size)
{
    siginfo_t info = {0};

    if (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        info.si_pid == 0)
        return false;
    zq_child_kill_group(child); /* before the number is free for others */
    waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG);
    *ok = info.si_code == CLD_EXITED && info.si_status == 0;
    describe(&info, how, size);
    close(child->pidfd);
    zq_child_close_control(child);
    *child = (struct zq_child){0, -1, -1};
    return true;
}

void zq_child_close_control(struct zq_child *child)
{
    if (child->control >= 0)
        close(child->control);
    child->control = -1;
}
