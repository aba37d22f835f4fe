/* How the admin API writes its answers. */
#include "front/admin.h"
#include "front/json.h"

#include <stdio.h>

void admin_put(struct admin_reply *reply, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (zq_buf_vprintf(&reply->text, format, arguments) < 0)
        reply->no_memory = true;
    va_end(arguments);
}

void admin_put_slice(struct admin_reply *reply, struct zq_slice s)
{
    if (zq_buf_append(&reply->text, s.p, s.n) < 0)
        reply->no_memory = true;
}

void admin_put_string(struct admin_reply *reply, struct zq_slice s)
{
    if (json_put(&reply->text, s) < 0)
        reply->no_memory = true;
}

void admin_fail(const struct admin_request *request, struct admin_reply *reply, unsigned status,
                const char *what, const char *why)
{
    char text[256];

    snprintf(text, sizeof(text), "%s: %s", what, why);
    reply->status = status;
    zq_buf_consume(&reply->text, reply->text.n);
    if (request->plain) {
        admin_put(reply, "%s\n", text);
        return;
    }
    admin_put(reply, "{\"error\": ");
    admin_put_string(reply, zq_slice_str(text));
    admin_put(reply, "}\n");
}
