/* The head block of an application's response: what the cache stores and every client gets. */
#include "chars.h"

#include "zq/http.h"

/* What a look at all fields tells before any is written. */
struct survey {
    const struct zq_fields *fields;
    bool has_connection, has_date, has_server;
};

static bool is_named(const struct zq_field *field, struct zq_slice name)
{
    return zq_slice_ieq(field->name, name);
}

static struct survey look_over(const struct zq_fields *fields, bool *close)
{
    struct survey s = {.fields = fields};
    for (size_t i = 0; i < fields->n; i++) {
        const struct zq_field *field = &fields->v[i];
        struct zq_slice list = field->value, option;
        s.has_date |= is_named(field, ZQ_SLICE("date"));
        s.has_server |= is_named(field, ZQ_SLICE("server"));
        if (!is_named(field, ZQ_SLICE("connection")))
            continue;
        s.has_connection = true;
        while (zq_list_next(&list, &option))
            *close |= zq_slice_ieq(option, ZQ_SLICE("close"));
    }
    return s;
}

/* RFC 9110 7.6.1: an option of Connection names fields that are for this connection alone. */
static bool is_connection_option(const struct survey *s, struct zq_slice name)
{
    const struct zq_field *field = NULL;
    while ((field = zq_fields_find(s->fields, ZQ_SLICE("connection"), field)) != NULL) {
        struct zq_slice list = field->value, option;
        while (zq_list_next(&list, &option))
            if (zq_slice_ieq(option, name))
                return true;
    }
    return false;
}

static bool is_the_connections(const struct survey *s, const struct zq_field *field)
{
    static const struct zq_slice names[] = {
        {"connection", 10}, {"keep-alive", 10}, {"proxy-connection", 16},
        {"te", 2},          {"upgrade", 7},     {"transfer-encoding", 17},
    };
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(names); i++)
        if (is_named(field, names[i]))
            return true;
    return s->has_connection && is_connection_option(s, field->name);
}

/* Nothing that would end the line, or the message, for somebody downstream (RFC 9110 5.5). */
static bool is_clean(const struct zq_field *field)
{
    if (!zq_is_token(field->name))
        return false;
    for (size_t i = 0; i < field->value.n; i++)
        if (field->value.p[i] == '\r' || field->value.p[i] == '\n' || field->value.p[i] == '\0')
            return false;
    return true;
}

static int take_length(struct zq_slice value, int64_t *content_length)
{
    uint64_t length;
    if (zq_parse_u64(zq_slice_trim(value), INT64_MAX, &length) != 0)
        return ZQ_EINVAL;
    if (*content_length >= 0 && (uint64_t)*content_length != length)
        return ZQ_EINVAL;
    *content_length = (int64_t)length;
    return 0;
}

static int append_field(struct zq_buf *out, struct zq_slice name, struct zq_slice value)
{
    char *p = zq_buf_reserve(out, name.n + value.n + 4);
    if (p == NULL)
        return ZQ_ENOMEM;
    memcpy(p, name.p, name.n);
    memcpy(p + name.n, ": ", 2);
    if (value.n > 0)
        memcpy(p + name.n + 2, value.p, value.n);
    memcpy(p + name.n + 2 + value.n, "\r\n", 2);
    zq_buf_commit(out, name.n + value.n + 4);
    return 0;
}

static int append_own(struct zq_buf *out, const struct survey *s, const struct zq_config *config,
                      time_t now)
{
    int rc = 0;
    if (config == NULL)
        return 0;
    if (config->date_header && !s->has_date) {
        char date[ZQ_DATE_SIZE];
        zq_date_format(now, date);
        rc = append_field(out, ZQ_SLICE("Date"), zq_slice(date, sizeof(date)));
    }
    if (rc == 0 && config->server_header && !s->has_server)
        rc = append_field(out, ZQ_SLICE("Server"), ZQ_SLICE("zq"));
    return rc;
}

static int append_all(struct zq_buf *out, const struct survey *s, int64_t *content_length,
                      struct zq_slice *bad)
{
    for (size_t i = 0; i < s->fields->n; i++) {
        const struct zq_field *field = &s->fields->v[i];
        int rc = is_clean(field) ? 0 : ZQ_EINVAL;
        if (rc == 0 && is_named(field, ZQ_SLICE("content-length")))
            rc = take_length(field->value, content_length);
        else if (rc == 0 && !is_the_connections(s, field))
            rc = append_field(out, field->name, zq_slice_trim(field->value));
        if (rc == ZQ_EINVAL)
            *bad = field->name;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int append_status(struct zq_buf *out, unsigned status)
{
    const char *reason = zq_http_reason(status);
    char *line = zq_buf_reserve(out, sizeof("HTTP/1.1 999 \r\n") + strlen(reason));

    if (line == NULL)
        return ZQ_ENOMEM;
    char *to = zq_put_number(zq_put(line, ZQ_SLICE("HTTP/1.1 ")), status);
    *to++ = ' ';
    to = zq_put(zq_put_text(to, reason), ZQ_SLICE("\r\n"));
    zq_buf_commit(out, (size_t)(to - line));
    return 0;
}

int zq_http_block(struct zq_buf *out, unsigned status, const struct zq_fields *fields,
                  const struct zq_config *config, time_t now, int64_t *content_length, bool *close,
                  struct zq_slice *bad)
{
    size_t before = out->n;
    *content_length = -1;
    *close = false;
    *bad = ZQ_SLICE("status");
    if (status < 100 || status > 999)
        return ZQ_EINVAL;
    struct survey s = look_over(fields, close);
    int rc = append_status(out, status);
    if (rc == 0)
        rc = append_all(out, &s, content_length, bad);
    if (rc == 0)
        rc = append_own(out, &s, config, now);
    if (rc != 0)
        out->n = before;
    return rc;
}
