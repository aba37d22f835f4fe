/* room: super */
#include "admin.h"

#include "endpoint.h"
#include "zq/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_LEAST 32
#define TOKEN_MOST 4096

/* ---- the token ---- */

static int refuse(struct zq_config_error *error, const char *where, const char *why)
{
    snprintf(error->text, sizeof(error->text), "%s: %s", where, why);
    return ZQ_EINVAL;
}

/* Reads at most `size` bytes; their number, or -1 with errno. */
static ssize_t read_file(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return -1;
    size_t n = fread(out, 1, size, file);
    bool failed = ferror(file);
    fclose(file);
    return failed ? -1 : (ssize_t)n;
}

/* What a header field can carry (RFC 6750 2.1, and a little more). */
static bool is_token(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

static int take_token(const struct zq_config *c, struct zq_listeners *out,
                      struct zq_config_error *error)
{
    char text[TOKEN_MOST + 2] = "";
    const char *given = getenv("ZQ_ADMIN_TOKEN"), *where = "ZQ_ADMIN_TOKEN";

    if (c->admin_token_file[0] != '\0') {
        where = c->admin_token_file;
        if (read_file(where, text, sizeof(text) - 1) < 0)
            return refuse(error, where, strerror(errno));
        text[strcspn(text, "\r\n")] = '\0';
    } else if (given != NULL) {
        snprintf(text, sizeof(text), "%s", given);
    }
    unsetenv("ZQ_ADMIN_TOKEN"); /* workers have no use for it */
    if (c->admin_bind[0] == '\0')
        return 0;
    if (text[0] == '\0')
        return refuse(error, "--admin-bind",
                      "needs a token: --admin-token-file, or ZQ_ADMIN_TOKEN in the environment");
    if (strlen(text) < TOKEN_LEAST || strlen(text) > TOKEN_MOST)
        return refuse(error, where, "the token has to have 32 to 4096 bytes");
    if (!is_token(text))
        return refuse(error, where, "the token has to be printable ASCII without spaces");
    out->admin_token = strdup(text);
    return out->admin_token != NULL ? 0 : refuse(error, where, "out of memory");
}

/* ---- TCP ---- */

static bool is_loopback(int fd)
{
    struct sockaddr_storage bound = {0};
    struct sockaddr_in v4;
    socklen_t n = sizeof(bound);

    if (getsockname(fd, (struct sockaddr *)&bound, &n) < 0)
        return false;
    if (bound.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)(void *)&bound)->sin6_addr);
    if (bound.ss_family != AF_INET)
        return false;
    memcpy(&v4, &bound, sizeof(v4));
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
}

static int open_tcp(const struct zq_config *c, struct zq_listeners *out,
                    struct zq_config_error *error)
{
    char *bind[] = {c->admin_bind}, none[] = "";
    struct zq_options asked = {.config = {.bind = {bind, 1}, .uds = none, .fd = -1}};
    struct endpoint e;
    size_t before = out->n;

    if (c->admin_bind[0] == '\0')
        return 0;
    if (endpoint_list(&asked, &e, 1, error) < 0 || e.kind != ENDPOINT_TCP)
        return refuse(error, "--admin-bind", "give ADDRESS:PORT");
    int rc = zq_listen_add(c, &e, 0, out, error);
    for (size_t i = before; rc == 0 && i < out->n; i++) {
        out->v[i].admin = true;
        if (!c->admin_remote && !is_loopback(out->v[i].fd))
            rc = refuse(error, "--admin-bind",
                        "this is no loopback address; if others shall reach it, behind something "
                        "that encrypts, give --admin-remote as well");
        else
            zq_log(ZQ_LOG_INFO, "admin at %s", out->v[i].text);
    }
    return rc;
}

/* ---- the Unix domain socket ---- */

/* Ours, and nobody else can put anything there. */
static bool is_private(const char *path, mode_t forbidden)
{
    struct stat s;

    return lstat(path, &s) == 0 && S_ISDIR(s.st_mode) && s.st_uid == geteuid() &&
           (s.st_mode & forbidden) == 0;
}

const char *zq_admin_directory(bool make, char out[ZQ_ADMIN_DIRECTORY_MAX])
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (runtime != NULL && runtime[0] == '/' && strlen(runtime) < ZQ_ADMIN_DIRECTORY_MAX &&
        is_private(runtime, 022)) {
        strcpy(out, runtime);
        return NULL;
    }
    if (geteuid() == 0)
        strcpy(out, "/run/zq");
    else
        snprintf(out, ZQ_ADMIN_DIRECTORY_MAX, "/tmp/zq-%u", (unsigned)geteuid());
    if (make && mkdir(out, 0700) < 0 && errno != EEXIST)
        return strerror(errno);
    if (access(out, F_OK) < 0)
        return strerror(errno);
    return is_private(out, 022) ? NULL : "it belongs to, or is open to, somebody else";
}

/* The port that clients know, or our number where there is none. */
static unsigned name_number(const struct zq_listeners *listeners)
{
    struct sockaddr_storage bound = {0};
    socklen_t n = sizeof(bound);

    for (size_t i = 0; i < listeners->n; i++) {
        if (getsockname(listeners->v[i].fd, (struct sockaddr *)&bound, &n) < 0)
            continue;
        if (bound.ss_family == AF_INET)
            return ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port);
        if (bound.ss_family == AF_INET6)
            return ntohs(((struct sockaddr_in6 *)(void *)&bound)->sin6_port);
    }
    return (unsigned)getpid();
}

static int add_unix(const struct zq_config *c, const char *path, struct zq_listeners *out,
                    struct zq_config_error *error)
{
    struct endpoint e = {.kind = ENDPOINT_UNIX, .option = "--admin-uds"};
    size_t before = out->n;

    if (strlen(path) >= sizeof(e.path))
        return refuse(error, "--admin-uds", "a socket's path has at most 107 bytes");
    strcpy(e.path, path);
    int rc = zq_listen_add(c, &e, 0600, out, error);
    if (out->n > before)
        out->v[before].admin = true;
    return rc;
}

/* Takes back a listener that is there by half. */
static void remove_after(struct zq_listeners *listeners, size_t n)
{
    struct zq_listeners rest = {0};

    while (listeners->n > n)
        rest.v[rest.n++] = listeners->v[--listeners->n];
    zq_listen_close(&rest);
    zq_listen_unlink(&rest);
}

/* Two servers may share a port on different addresses: the second has its number in the name. */
static void open_default(const struct zq_config *c, struct zq_listeners *out)
{
    struct zq_config_error error = {""};
    char directory[ZQ_ADMIN_DIRECTORY_MAX], path[ZQ_ADMIN_DIRECTORY_MAX + 64];
    const char *why = zq_admin_directory(true, directory);
    unsigned number = name_number(out);
    size_t before = out->n;

    for (int i = 0; why == NULL && i < 2; i++) {
        snprintf(path, sizeof(path),
                 i == 0 ? "%s/" ZQ_ADMIN_PREFIX "%u" ZQ_ADMIN_SUFFIX
                        : "%s/" ZQ_ADMIN_PREFIX "%u-%d" ZQ_ADMIN_SUFFIX,
                 directory, number, (int)getpid());
        if (add_unix(c, path, out, &error) == 0)
            return;
        remove_after(out, before);
    }
    zq_log(ZQ_LOG_WARNING, "no admin socket in %s: %s", directory, why ? why : error.text);
}

int zq_admin_open(const struct zq_config *config, struct zq_listeners *listeners,
                  struct zq_config_error *error)
{
    int rc = take_token(config, listeners, error);

    if (rc == 0 && config->admin && config->admin_uds[0] != '\0')
        rc = add_unix(config, config->admin_uds, listeners, error);
    else if (rc == 0 && config->admin)
        open_default(config, listeners);
    if (rc == 0)
        rc = open_tcp(config, listeners, error);
    if (rc == 0)
        return 0;
    remove_after(listeners, 0);
    free(listeners->admin_token);
    listeners->admin_token = NULL;
    return rc;
}
