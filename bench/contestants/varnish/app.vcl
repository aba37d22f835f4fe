vcl 4.1;

# The built-in VCL follows: GET and HEAD are cached as Cache-Control says.
backend default {
    .host = "127.0.0.1";
    .port = "{backend_port}";
}
