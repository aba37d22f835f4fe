# Varnish as a shared cache that obeys its origin; varnishd(1), Debian's package; @…@ is filled in.
# Run with -p default_ttl=0 (without, what names no lifetime is stored for two minutes),
# -p default_grace=0 (without, stale is served for ten seconds though nobody allowed it) and
# -p default_keep=600 (stale entries are kept to be validated). What is not here is builtin.vcl.
vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "@origin@";
    .max_connections = 256;
}

sub vcl_recv {
    # builtin.vcl passes what has a Cookie, which RFC 9111 does not know, or Authorization: below.
    if (req.method == "GET" || req.method == "HEAD") {
        return (hash);
    }
    return (pass);
}

sub vcl_backend_response {
    set beresp.http.x-url = bereq.url;
    set beresp.http.x-host = bereq.http.host;
    # RFC 9111 4.4, which varnishd leaves to VCL.
    if (bereq.method != "GET" && bereq.method != "HEAD" && bereq.method != "OPTIONS" &&
        bereq.method != "TRACE" && beresp.status >= 200 && beresp.status < 400) {
        ban("obj.http.x-url == " + bereq.url + " && obj.http.x-host == " + bereq.http.host);
    }
    # RFC 9111 3.5.
    if (bereq.http.Authorization &&
        beresp.http.Cache-Control !~ "(?i)(public|must-revalidate|s-maxage)") {
        set beresp.uncacheable = true;
        return (deliver);
    }
    # builtin.vcl does not store what has Set-Cookie, which RFC 9111 allows (7.3): it is stored
    # here, as zq is asked to do as well, by the empty vcl_beresp_cookie.
}

sub vcl_beresp_cookie {
    return;
}

sub vcl_deliver {
    unset resp.http.x-url;
    unset resp.http.x-host;
}
