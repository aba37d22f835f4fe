/* Answers that zq gives by itself. */
#include "connection.h"
#include "status.h"

#include <stdio.h>

static int append_line(struct zq_buf *out, const char *name, struct zq_slice value)
{
    return zq_buf_printf(out, "%s: %.*s\r\n", name, (int)value.n, value.p);
}

static int append_block(struct zq_buf *out, const struct zq_config *config, unsigned status,
                        int retry_after_s)
{
    char date[ZQ_DATE_SIZE];
    int rc = zq_buf_printf(out, "HTTP/1.1 %u %s\r\n", status, zq_http_reason(status));
    if (rc == 0 && config->date_header) {
        zq_date_format(zq_wall_clock(), date);
        rc = append_line(out, "Date", zq_slice(date, sizeof(date)));
    }
    if (rc == 0 && config->server_header)
        rc = append_line(out, "Server", ZQ_SLICE("zq"));
    if (rc == 0)
        rc = append_line(out, "Content-Type", ZQ_SLICE("text/plain; charset=utf-8"));
    if (rc == 0 && retry_after_s > 0)
        rc = zq_buf_printf(out, "Retry-After: %d\r\n", retry_after_s);
    return rc;
}

void zq_respond_error(struct zq_http_exchange *ex, unsigned status, int retry_after_s,
                      struct zq_slice cache_status)
{
    char text[256];
    struct zq_buf block = {0};
    int n = snprintf(text, sizeof(text), "%u %s: %s.\n", status, zq_http_reason(status),
                     zq_http_explain(status));
    if (append_block(&block, ex->conn->server->config, status, retry_after_s) != 0) {
        zq_buf_fini(&block);
        zq_exchange_cut(ex, ZQ_EXCHANGE_CUT);
        return;
    }
    struct zq_response_head head = {
        .status = status,
        .block = {zq_buf_data(&block), block.n},
        .content_length = n,
        .age = -1,
        .cache_status = cache_status,
    };
    zq_respond_whole(ex, &head, zq_slice(text, (size_t)n));
    zq_buf_fini(&block);
}

void zq_exchange_error(struct zq_exchange *exchange, unsigned status, int retry_after_s,
                       struct zq_slice cache_status)
{
    struct zq_http_exchange *ex = zq_exchange_of(exchange);
    struct zq_conn *conn = ex->conn;
    if (zq_respond_is_over(ex))
        return;
    zq_conn_enter(conn);
    zq_respond_error(ex, status, retry_after_s, cache_status);
    zq_conn_leave(conn);
}
