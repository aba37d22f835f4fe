#include "worker/embed.h"
#include "worker/venv.h"

#include "zq/config.h"
#include "zq/control.h"
#include "zq/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define CONFIG_MS 60000

/* 0, or -1 with the reason logged. */
static int receive_config(struct zq_config *config)
{
    static char storage[ZQ_CONTROL_TEXT_MAX];
    struct zq_config_error wrong;
    struct zq_control message;
    int error;

    if (fcntl(ZQ_CONTROL_FD, F_SETFD, FD_CLOEXEC) < 0) {
        zq_log(ZQ_LOG_CRITICAL, "zq-worker is started by zq: run `zq serve MODULE:APP`");
        return -1;
    }
    error = zq_control_wait(ZQ_CONTROL_FD, &message, storage, sizeof(storage), CONFIG_MS);
    if (error < 0 || message.type != ZQ_CONTROL_CONFIG) {
        zq_log(ZQ_LOG_CRITICAL, "no configuration from zq: %s",
               error < 0 ? zq_strerror(error) : zq_control_name(message.type));
        return -1;
    }
    if (zq_config_load(config, message.text, &wrong) < 0) {
        zq_log(ZQ_LOG_CRITICAL, "%s", wrong.text);
        return -1;
    }
    return 0;
}

/* The interpreter to be: that of the application's virtual environment, or the one we are linked
 * to. 0, or -1 with the reason logged. */
static int find_python(const struct zq_config *config, char python[PATH_MAX])
{
    static struct zq_venv_error error;
    const char *venv = config->venv;

    if (venv == NULL || *venv == '\0')
        venv = getenv("VIRTUAL_ENV");
    int rc = venv != NULL && *venv != '\0' ? zq_venv_python(venv, python, &error)
                                           : zq_linked_python(python, &error);
    if (rc < 0)
        zq_log(ZQ_LOG_CRITICAL, "%s", error.text);
    return rc;
}

int main(int argc, char **argv)
{
    static char python[PATH_MAX];
    struct zq_config config;
    const char *routes = NULL;

    if (argc > 1 && strcmp(argv[1], "routes") == 0)
        routes = argc > 2 ? argv[2] : "table";
    if (argc > 1 && routes == NULL) {
        bool asked = strcmp(argv[1], "--version") == 0;
        fprintf(asked ? stdout : stderr, "zq-worker %s (Python %s, %s)\n", ZQ_VERSION,
                ZQ_PYTHON_VERSION, ZQ_PYTHON_LIBRARY);
        return asked ? 0 : 2;
    }
    zq_memory_keep(4 << 20, 8 << 20);
    zq_log_init("worker", ZQ_LOG_INFO);
    zq_config_init(&config);
    if (receive_config(&config) < 0)
        return 1;
    zq_log_init("worker", zq_log_level_of(config.log_level));
    if (find_python(&config, python) < 0)
        return 1;
    int status = zq_embed_run(&config, python, routes);
    zq_config_fini(&config);
    return status;
}
