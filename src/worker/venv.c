#include "worker/venv.h"

#include "zq/clock.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_MS 30000

/* What an interpreter is, as far as it matters here. Real paths. */
struct interpreter {
    char version[32];
    char prefix[PATH_MAX];
    char library[PATH_MAX]; /* empty where it has none of its own */
};

/* `-I -S`: neither the environment's variables nor its site-packages have a say. sysconfig names
 * where the library was installed; a moved interpreter has it beside its prefix. */
static const char question[] =
    "import os, sys, sysconfig\n"
    "name = sysconfig.get_config_var('INSTSONAME') or ''\n"
    "places = (sysconfig.get_config_var('LIBDIR') or '', os.path.join(sys.base_prefix, 'lib'))\n"
    "found = [os.path.join(p, name) for p in places if '.so' in name]\n"
    "found = [os.path.realpath(p) for p in found if os.path.isfile(p)] + ['']\n"
    "print('%d.%d.%d' % sys.version_info[:3], os.path.realpath(sys.base_prefix), found[0], "
    "sep='\\n')\n";

/* ---- asking ---- */

static pid_t spawn(const char *python, int output)
{
    const char *const argv[] = {python, "-I", "-S", "-c", question, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    int error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawn(&pid, python, &actions, NULL, (char **)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    errno = error;
    return error == 0 ? pid : -1;
}

/* All that comes until the end, at most `size` - 1 bytes; -1 when it takes too long. */
static ssize_t read_all(int fd, char *text, size_t size)
{
    int64_t deadline = zq_now_ms() + ASK_MS;
    size_t n = 0;

    while (n < size - 1) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - zq_now_ms();
        if (left <= 0 || (poll(&wait, 1, (int)left) < 0 && errno != EINTR))
            return -1;
        if (wait.revents == 0)
            continue;
        ssize_t got = read(fd, text + n, size - 1 - n);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        n += got > 0 ? (size_t)got : 0;
    }
    text[n] = '\0';
    return (ssize_t)n;
}

static bool parse(char *text, struct interpreter *out)
{
    char *line[3];

    for (int i = 0; i < 3; i++) {
        line[i] = text;
        text = strchr(text, '\n');
        if (text == NULL)
            return false;
        *text++ = '\0';
    }
    snprintf(out->version, sizeof(out->version), "%s", line[0]);
    snprintf(out->prefix, sizeof(out->prefix), "%s", line[1]);
    snprintf(out->library, sizeof(out->library), "%s", line[2]);
    return true;
}

static bool ask(const char *python, struct interpreter *out)
{
    char text[3 * PATH_MAX];
    int pipes[2], status = -1;

    if (pipe2(pipes, O_CLOEXEC) < 0)
        return false;
    pid_t pid = spawn(python, pipes[1]);
    close(pipes[1]);
    ssize_t n = pid > 0 ? read_all(pipes[0], text, sizeof(text)) : -1;
    close(pipes[0]);
    if (pid < 0)
        return false;
    if (n < 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return n >= 0 && status == 0 && parse(text, out);
}

/* ---- what we are linked to ---- */

static void real_path(const char *path, char out[PATH_MAX])
{
    if (realpath(path, out) == NULL)
        snprintf(out, PATH_MAX, "%s", path);
}

/* The library that was really loaded, not the one that the linker saw. */
static void linked(struct interpreter *out)
{
    void *symbol = dlsym(RTLD_DEFAULT, "Py_InitializeFromConfig");
    Dl_info info;

    snprintf(out->version, sizeof(out->version), "%s", ZQ_PYTHON_VERSION);
    real_path(ZQ_PYTHON_PREFIX, out->prefix);
    real_path(ZQ_PYTHON_LIBRARY, out->library);
    if (symbol != NULL && dladdr(symbol, &info) != 0 && info.dli_fname != NULL)
        real_path(info.dli_fname, out->library);
}

int zq_linked_python(char python[PATH_MAX], struct zq_venv_error *error)
{
    struct interpreter ours = {0};
    int major = 3, minor = 0;

    linked(&ours);
    sscanf(ours.version, "%d.%d", &major, &minor);
    if (snprintf(python, PATH_MAX, "%s/bin/python%d.%d", ours.prefix, major, minor) < PATH_MAX &&
        access(python, X_OK) == 0)
        return 0;
    if (snprintf(python, PATH_MAX, "%s/bin/python3", ours.prefix) < PATH_MAX &&
        access(python, X_OK) == 0)
        return 0;
    snprintf(error->text, sizeof(error->text),
             "zq-worker was built for Python %s in %s, but there is no bin/python%d.%d any more",
             ours.version, ours.prefix, major, minor);
    return ZQ_EINVAL;
}

/* ---- the environment ---- */

static int refuse(const char *directory, const struct interpreter *theirs,
                  const struct interpreter *ours, struct zq_venv_error *error)
{
    snprintf(
        error->text, sizeof(error->text),
        "the virtual environment %s belongs to Python %s in %s (%s), but this zq-worker embeds "
        "Python %s in %s (%s); make the environment with that Python, or build zq with "
        "PYTHON=%s/bin/python",
        directory, theirs->version, theirs->prefix,
        *theirs->library ? theirs->library : "without a shared library", ours->version,
        ours->prefix, ours->library, directory);
    return ZQ_EINVAL;
}

int zq_venv_python(const char *directory, char python[PATH_MAX], struct zq_venv_error *error)
{
    struct interpreter theirs = {0}, ours = {0};
    char absolute[PATH_MAX];

    if (realpath(directory, absolute) == NULL) {
        snprintf(error->text, sizeof(error->text), "the virtual environment %s cannot be used: %s",
                 directory, strerror(errno));
        return ZQ_EINVAL;
    }
    /* Not the real path of python itself: through the link the environment is found. */
    if (snprintf(python, PATH_MAX, "%s/bin/python", absolute) >= PATH_MAX ||
        access(python, X_OK) < 0) {
        snprintf(error->text, sizeof(error->text),
                 "%s is not a virtual environment: it has no bin/python", directory);
        return ZQ_EINVAL;
    }
    if (!ask(python, &theirs)) {
        snprintf(error->text, sizeof(error->text),
                 "the python of the virtual environment %s does not run", directory);
        return ZQ_EINVAL;
    }
    linked(&ours);
    if (strcmp(theirs.prefix, ours.prefix) == 0 && strcmp(theirs.library, ours.library) == 0)
        return 0;
    return refuse(directory, &theirs, &ours, error);
}
