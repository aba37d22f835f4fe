/* room: base
 *
 * A line is made on the stack and leaves in one write, so that lines of several processes and
 * threads do not mix.
 */
#include "zq/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static struct {
    const char *role;
    enum zq_log_level least;
    bool colour;
} state = {"", ZQ_LOG_INFO, false};

/* Names and colours as uvicorn has them. */
static const struct {
    const char *name, *colour;
} levels[] = {
    [ZQ_LOG_DEBUG] = {"DEBUG", "36"},       [ZQ_LOG_INFO] = {"INFO", "32"},
    [ZQ_LOG_WARNING] = {"WARNING", "33"},   [ZQ_LOG_ERROR] = {"ERROR", "31"},
    [ZQ_LOG_CRITICAL] = {"CRITICAL", "91"},
};

static bool wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDERR_FILENO) && !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
}

enum zq_log_level zq_log_level_of(const char *word)
{
    static const char *const words[] = {
        [ZQ_LOG_DEBUG] = "debug", [ZQ_LOG_INFO] = "info",         [ZQ_LOG_WARNING] = "warning",
        [ZQ_LOG_ERROR] = "error", [ZQ_LOG_CRITICAL] = "critical",
    };

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(words); i++)
        if (strcmp(word, words[i]) == 0)
            return (enum zq_log_level)i;
    return ZQ_LOG_DEBUG;
}

void zq_log_init(const char *role, enum zq_log_level least)
{
    state.role = role ? role : "";
    state.least = least;
    state.colour = wants_colour();
}

bool zq_log_enabled(enum zq_log_level level)
{
    return level >= state.least;
}

/* `LEVEL:     zq role: `; super, which is what people know as zq, has no role to tell. */
static size_t prefix(char *line, size_t size, enum zq_log_level level)
{
    const char *name = levels[level].name, *role = state.role;
    int pad = 9 - (int)strlen(name);

    return (size_t)snprintf(line, size, "%s%s%s%s%s:%*s%s%s%s", state.colour ? "\033[" : "",
                            state.colour ? levels[level].colour : "", state.colour ? "m" : "", name,
                            state.colour ? "\033[0m" : "", pad, "", *role ? "zq " : "", role,
                            *role ? ": " : "");
}

/* A terminal or pipe that someone made non-blocking is waited for, but not for ever. */
static void write_all(const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(STDERR_FILENO, p, n);

        if (done < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};

            if (poll(&wait, 1, 1000) <= 0)
                return;
        } else if (done < 0 && errno != EINTR) {
            return;
        } else if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
}

void zq_log(enum zq_log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    size_t start, n;
    va_list arguments;
    int saved = errno, wanted;

    if (!zq_log_enabled(level))
        return;
    start = prefix(line, sizeof(line) / 2, level);
    if (start >= sizeof(line) / 2)
        start = sizeof(line) / 2 - 1;
    va_start(arguments, format);
    wanted = vsnprintf(line + start, sizeof(line) - start, format, arguments);
    va_end(arguments);
    n = start + (wanted > 0 ? (size_t)wanted : 0);
    if (n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    for (size_t i = start; i < n; i++) /* one line a call, and nothing that moves the cursor */
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
    line[n++] = '\n';
    write_all(line, n);
    errno = saved;
}

int zq_log_escape(struct zq_buf *out, struct zq_slice s)
{
    static const char hex[] = "0123456789abcdef";
    char *p = zq_buf_reserve(out, s.n * 4), *start = p;

    if (!p)
        return ZQ_ENOMEM;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
            *p++ = (char)c;
            continue;
        }
        *p++ = '\\';
        *p++ = 'x';
        *p++ = hex[c >> 4];
        *p++ = hex[c & 15];
    }
    zq_buf_commit(out, (size_t)(p - start));
    return 0;
}
