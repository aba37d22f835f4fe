/* room: super */
#include "check.h"

#include "listen.h"
#include "zq/control.h"
#include "zq/log.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- MODULE:APP ---- */

/* A dotted Python name. Which letters beyond ASCII are allowed is for Python to say. */
static bool is_dotted_name(struct zq_slice s)
{
    bool start = true;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (start ? !(isalpha(c) || c == '_' || c >= 0x80)
                  : !(isalnum(c) || c == '_' || c == '.' || c >= 0x80))
            return false;
        start = c == '.';
    }
    return s.n && !start;
}

static bool is_app(const char *app)
{
    const char *colon = strchr(app, ':');
    bool is_file = colon && colon - app > 3 && memcmp(colon - 3, ".py", 3) == 0;

    return colon && !is_file && is_dotted_name(zq_slice(app, (size_t)(colon - app))) &&
           is_dotted_name(zq_slice_str(colon + 1));
}

/* `shop` → `shop:app`, `shop.py` → `shop:app`, `src/shop.py` → `--app-dir src shop:app`. */
static bool guess_app(const char *app, char *out, size_t size)
{
    const char *slash = strrchr(app, '/'), *base = slash ? slash + 1 : app;
    size_t n = strcspn(base, ":");
    const char *name = base[n] == ':' ? base + n + 1 : "app";
    char made[300];

    if (n > 3 && memcmp(base + n - 3, ".py", 3) == 0)
        n -= 3;
    snprintf(made, sizeof(made), "%.*s:%.100s", (int)(n < 150 ? n : 150), base,
             *name ? name : "app");
    if (!is_app(made))
        return false;
    if (slash)
        snprintf(out, size, "--app-dir %.*s %s", slash == app ? 1 : (int)(slash - app), app, made);
    else
        snprintf(out, size, "%s", made);
    return true;
}

static int check_app(const struct zq_config *c, struct zq_config_error *error)
{
    char guess[320];

    if (c->app[0] == '\0')
        snprintf(error->text, sizeof(error->text), "which application? Give MODULE:APP");
    else if (is_app(c->app))
        return 0;
    else if (strlen(c->app) < 200 && guess_app(c->app, guess, sizeof(guess)))
        snprintf(error->text, sizeof(error->text), "`%s` is not MODULE:APP; did you mean `%s`?",
                 c->app, guess);
    else
        snprintf(error->text, sizeof(error->text),
                 "`%.200s` is not MODULE:APP, such as shop.main:app", c->app);
    return ZQ_EINVAL;
}

/* ---- the rest ---- */

static int check_root_path(const struct zq_config *c, struct zq_config_error *error)
{
    size_t n = strlen(c->root_path);

    if (n == 0 || (c->root_path[0] == '/' && c->root_path[n - 1] != '/'))
        return 0;
    snprintf(
        error->text, sizeof(error->text),
        "--root-path: `%.200s` is not allowed; give a path that begins with / and does not end "
        "with one",
        c->root_path);
    return ZQ_EINVAL;
}

static bool is_network(const char *text)
{
    size_t n = strcspn(text, "/");
    unsigned char address[16];
    char host[INET6_ADDRSTRLEN];
    uint64_t bits;
    int family;

    if (n && text[0] == '[' && text[n - 1] == ']' && n < sizeof(host))
        snprintf(host, sizeof(host), "%.*s", (int)n - 2, text + 1);
    else
        snprintf(host, sizeof(host), "%.*s", (int)(n < sizeof(host) ? n : 0), text);
    family = strchr(host, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, host, address) != 1)
        return false;
    return !text[n] ||
           zq_parse_u64(zq_slice_str(text + n + 1), family == AF_INET6 ? 128 : 32, &bits) == 0;
}

static int check_trusted(const struct zq_config *c, struct zq_config_error *error)
{
    for (size_t i = 0; i < c->forwarded_allow_ips.n; i++) {
        const char *text = c->forwarded_allow_ips.v[i];

        if (strcmp(text, "*") == 0 || strcmp(text, "unix") == 0 || is_network(text))
            continue;
        snprintf(
            error->text, sizeof(error->text),
            "--forwarded-allow-ips: `%.200s` is not allowed; give an address, a network such as "
            "10.0.0.0/8, `*` or `unix`",
            text);
        return ZQ_EINVAL;
    }
    return 0;
}

static int complete_venv(struct zq_config *c, struct zq_config_error *error)
{
    const char *variable = getenv("VIRTUAL_ENV"), *from = "--venv", *venv = c->venv;
    char path[PATH_MAX], python[PATH_MAX + 16];

    if (!*venv) {
        venv = variable ? variable : "";
        from = "$VIRTUAL_ENV";
    }
    if (!*venv)
        return 0;
    if (!realpath(venv, path)) {
        snprintf(error->text, sizeof(error->text), "%s: `%.200s`: %s", from, venv, strerror(errno));
        return ZQ_EINVAL;
    }
    snprintf(python, sizeof(python), "%s/bin/python", path);
    if (access(python, X_OK) == 0)
        return zq_config_set(c, "venv", path, error);
    snprintf(error->text, sizeof(error->text),
             "%s: `%.200s` is no virtual environment: it has no bin/python", from, venv);
    return ZQ_EINVAL;
}

static int check_app_dir(const struct zq_config *c, struct zq_config_error *error)
{
    if (!*c->app_dir || access(c->app_dir, X_OK) == 0)
        return 0;
    snprintf(error->text, sizeof(error->text), "--app-dir: `%.200s`: %s", c->app_dir,
             strerror(errno));
    return ZQ_EINVAL;
}

/* The one that was asked for, or the one beside this executable. */
static int complete_worker(struct zq_config *c, struct zq_config_error *error)
{
    char path[PATH_MAX];
    ssize_t n;
    char *slash;

    if (*c->worker_executable) {
        if (access(c->worker_executable, X_OK) == 0)
            return 0;
        snprintf(error->text, sizeof(error->text), "--worker-executable: `%.200s`: %s",
                 c->worker_executable, strerror(errno));
        return ZQ_EINVAL;
    }
    n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("zq-worker"));
    path[n > 0 ? n : 0] = '\0';
    slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, "zq-worker");
    return zq_config_set(c, "worker-executable", path, error);
}

bool zq_check_worker(const struct zq_config *c)
{
    bool found = access(c->worker_executable, X_OK) == 0;

    if (!found)
        zq_log(ZQ_LOG_CRITICAL,
               "there is no zq-worker at %s: build it (make), or name one with "
               "--worker-executable",
               c->worker_executable);
    return found;
}

/* Half the processors: the workers need the others. */
static void complete_front_threads(struct zq_config *c)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    if (c->front_threads == 0)
        c->front_threads = n / 2 < 1                      ? 1
                           : n / 2 > ZQ_CONTROL_LINKS_MAX ? ZQ_CONTROL_LINKS_MAX
                                                          : n / 2;
}

int zq_check_options(struct zq_options *options, struct zq_config_error *error)
{
    struct zq_config *c = &options->config;
    int rc = check_app(c, error);

    if (rc == 0)
        rc = check_root_path(c, error);
    if (rc == 0)
        rc = check_trusted(c, error);
    if (rc == 0)
        rc = check_app_dir(c, error);
    if (rc == 0)
        rc = zq_listen_check(options, error);
    if (rc == 0)
        rc = complete_venv(c, error);
    if (rc == 0)
        rc = complete_worker(c, error);
    if (rc == 0)
        complete_front_threads(c);
    return rc;
}
