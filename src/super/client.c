/* room: super */
#include "client.h"

#include "admin.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 30

static int fail(struct zq_config_error *error, const char *path, const char *why)
{
    snprintf(error->text, sizeof(error->text), "%s: %s", path, why);
    return ZQ_EIO;
}

/* The descriptor, or -1 with errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), saved;

    if (fd < 0)
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* ---- which ---- */

static bool is_named_so(const char *name)
{
    size_t n = strlen(name), head = strlen(ZQ_ADMIN_PREFIX), tail = strlen(ZQ_ADMIN_SUFFIX);

    return n > head + tail && memcmp(name, ZQ_ADMIN_PREFIX, head) == 0 &&
           strcmp(name + n - tail, ZQ_ADMIN_SUFFIX) == 0;
}

/* Sockets that somebody answers at: how many; the last in `out`, all in `names`. */
static int look_around(const char *directory, char out[108], struct zq_buf *names)
{
    DIR *dir = opendir(directory);
    struct dirent *found;
    int n = 0;

    while (dir != NULL && (found = readdir(dir)) != NULL) {
        char path[ZQ_ADMIN_DIRECTORY_MAX + 300];
        snprintf(path, sizeof(path), "%s/%s", directory, found->d_name);
        if (!is_named_so(found->d_name) || strlen(path) >= 108)
            continue;
        int fd = connect_to(path);
        if (fd < 0)
            continue;
        close(fd);
        strcpy(out, path);
        zq_buf_printf(names, "%s%s", n++ ? ", " : "", path);
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

int zq_client_find(const char *given, char out[108], struct zq_config_error *error)
{
    const char *variable = getenv("ZQ_ADMIN_UDS");
    char directory[ZQ_ADMIN_DIRECTORY_MAX];
    struct zq_buf names = {0};

    if (given[0] == '\0' && variable != NULL)
        given = variable;
    if (strlen(given) >= 108)
        return fail(error, given, "a socket's path has at most 107 bytes");
    if (given[0] != '\0') {
        strcpy(out, given);
        return 0;
    }
    int n = zq_admin_directory(false, directory) == NULL ? look_around(directory, out, &names) : 0;
    if (n == 0)
        fail(error, directory, "no zq of this user runs here; if one does, give its --admin-uds");
    else if (n > 1)
        snprintf(error->text, sizeof(error->text),
                 "several run here; give --admin-uds, one of %.*s",
                 (int)(names.n < 400 ? names.n : 400), zq_buf_data(&names));
    zq_buf_fini(&names);
    return n == 1 ? 0 : ZQ_EIO;
}

/* ---- asking ---- */

static bool send_all(int fd, struct zq_slice data)
{
    while (data.n > 0) {
        ssize_t n = send(fd, data.p, data.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data = zq_slice(data.p + n, data.n - (size_t)n);
    }
    return true;
}

static bool receive_all(int fd, struct zq_buf *in)
{
    for (;;) {
        char *to = zq_buf_reserve(in, 65536);
        ssize_t n = to != NULL ? recv(fd, to, 65536, 0) : -1;
        if (n < 0 && to != NULL && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        zq_buf_commit(in, (size_t)n);
    }
}

/* Where `needle` is, or NULL. */
static const char *find(struct zq_slice s, const char *needle)
{
    return s.n > 0 ? memmem(s.p, s.n, needle, strlen(needle)) : NULL;
}

static bool read_answer(struct zq_answer *out)
{
    struct zq_slice raw = zq_slice(zq_buf_data(&out->raw), out->raw.n);
    const char *end = find(raw, "\r\n\r\n");
    uint64_t status;

    if (end == NULL || raw.n < 12 || memcmp(raw.p, "HTTP/1.1 ", 9) != 0 ||
        zq_parse_u64(zq_slice(raw.p + 9, 3), 599, &status) < 0)
        return false;
    struct zq_slice head = zq_slice(raw.p, (size_t)(end + 2 - raw.p));
    const char *next = find(head, "\r\nZq-Next: ");
    out->status = (unsigned)status;
    out->text = zq_slice(end + 4, raw.n - head.n - 2);
    out->more = next != NULL;
    if (next == NULL)
        return true;
    next += 11;
    struct zq_slice rest = zq_slice(next, (size_t)(end + 2 - next));
    return zq_parse_u64(zq_slice(next, (size_t)(find(rest, "\r\n") - next)), UINT64_MAX,
                        &out->next) == 0;
}

int zq_client_ask(const char *path, const char *method, const char *target, struct zq_slice body,
                  struct zq_answer *out, struct zq_config_error *error)
{
    struct zq_buf request = {0};
    int fd = connect_to(path), rc = 0;

    *out = (struct zq_answer){0};
    if (fd < 0)
        return fail(error, path, strerror(errno));
    if (zq_buf_printf(&request,
                      "%s %s HTTP/1.1\r\nHost: zq\r\nAccept: text/plain\r\nConnection: close\r\n"
                      "Content-Length: %zu\r\n\r\n",
                      method, target, body.n) < 0 ||
        zq_buf_append(&request, body.p, body.n) < 0)
        rc = fail(error, path, "out of memory");
    else if (!send_all(fd, zq_slice(zq_buf_data(&request), request.n)) ||
             !receive_all(fd, &out->raw))
        rc = fail(error, path, strerror(errno));
    else if (out->raw.n == 0)
        rc = fail(error, path, "it does not answer; does it belong to another user?");
    else if (!read_answer(out))
        rc = fail(error, path, "what answers there is no zq");
    zq_buf_fini(&request);
    close(fd);
    return rc;
}
