#include "worker/module.h"

#include "worker/embed.h"

#include "zq/log.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the interpreter ---- */

static int fail_status(PyStatus status)
{
    zq_log(ZQ_LOG_CRITICAL, "Python does not start: %s", status.err_msg ? status.err_msg : "?");
    return -1;
}

/* As `python` itself would start, with its environment variables and its site, but without its
 * signal handlers: Ctrl-C must not raise KeyboardInterrupt in the middle of a request. */
static int start_python(const char *python)
{
    PyConfig config;
    char name[] = "zq-worker", *argv[] = {name};

    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    config.parse_argv = 0;
    config.faulthandler = 1;
    PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, python);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesArgv(&config, 1, argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return PyStatus_Exception(status) ? fail_status(status) : 0;
}

/* Where zq's Python package is: beside an installed worker, or in the tree it was built in. */
static bool find_package(char out[PATH_MAX])
{
    static const char *const places[] = {"../share/zq/python", "../../python"};
    char exe[PATH_MAX], *slash;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    if (n <= 0)
        return false;
    exe[n] = '\0';
    slash = strrchr(exe, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(places); i++) {
        char path[2 * PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s/zq/_worker.py", exe, places[i]);
        if (access(path, R_OK) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", exe, places[i]);
        return realpath(path, out) != NULL;
    }
    return false;
}

/* Imports a module of our own package, whatever the environment has under that name; later imports
 * find the package at the end of sys.path. New reference. */
static PyObject *import_own(const char *name)
{
    char directory[PATH_MAX];

    if (!find_package(directory)) {
        PyErr_SetString(PyExc_RuntimeError, "zq's Python package is not beside zq-worker");
        return NULL;
    }
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    PyObject *item = PyUnicode_DecodeFSDefault(directory), *module = NULL;
    if (path != NULL && item != NULL && PyList_Insert(path, 0, item) == 0) {
        module = PyImport_ImportModule(name);
        if (PyList_SetSlice(path, 0, 1, NULL) < 0 || PyList_Append(path, item) < 0)
            Py_CLEAR(module);
    }
    Py_XDECREF(item);
    return module;
}

/* ---- the configuration as a dict ---- */

static PyObject *from_string(char *const *value)
{
    return *value ? PyUnicode_DecodeFSDefault(*value) : Py_NewRef(Py_None);
}

static PyObject *from_list(const struct zq_strings *value)
{
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list && i < value->n; i++) {
        PyObject *item = PyUnicode_DecodeFSDefault(value->v[i]);
        if (item == NULL || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *from_number(const int64_t *value)
{
    return PyLong_FromLongLong(*value);
}

static PyObject *from_size(const uint64_t *value)
{
    return PyLong_FromUnsignedLongLong(*value);
}

static PyObject *from_bool(const bool *value)
{
    return PyBool_FromLong(*value);
}

#define FROM_STRING from_string
#define FROM_PATH from_string
#define FROM_CHOICE from_string
#define FROM_LIST from_list
#define FROM_INT from_number
#define FROM_PORT from_number
#define FROM_MODE from_number
#define FROM_DURATION from_number
#define FROM_SIZE from_size
#define FROM_BOOL from_bool

/* Takes the reference to `value`. */
static bool set(PyObject *dict, const char *key, PyObject *value)
{
    bool done = value != NULL && PyDict_SetItemString(dict, key, value) == 0;

    Py_XDECREF(value);
    return done;
}

/* Every option by its field's name. New reference. */
static PyObject *config_dict(const struct zq_config *c)
{
    PyObject *dict = PyDict_New();

    if (dict == NULL)
        return NULL;
    bool done = set(dict, "app", from_string(&c->app));
#define OPTION(kind, field, name, metavar, value, help)                                            \
    done = done && set(dict, #field, FROM_##kind(&c->field));
#include "zq/options.def"
    if (!done)
        Py_CLEAR(dict);
    return dict;
}

/* ---- running ---- */

/* What the module's main returns; an exception out of it is ours, and is printed. */
static int run_main(const struct zq_config *config, const char *routes)
{
    PyObject *module = import_own(routes != NULL ? "zq._table" : "zq._worker");
    PyObject *options = NULL, *result = NULL;
    int status = 1;

    if (module != NULL)
        options = config_dict(config);
    if (options != NULL)
        result = routes != NULL ? PyObject_CallMethod(module, "main", "Os", options, routes)
                                : PyObject_CallMethod(module, "main", "O", options);
    if (result != NULL)
        status = (int)PyLong_AsLong(result);
    if (PyErr_Occurred()) {
        PyErr_Print(); /* SystemExit ends the process here, with its code */
        status = 1;
    }
    Py_XDECREF(result);
    Py_XDECREF(options);
    Py_XDECREF(module);
    return status;
}

/* ---- signals ---- */

static const int stop_signals[] = {SIGTERM, SIGINT};

static void on_stop_signal(int signum)
{
    (void)signum;
}

/* A child that the application forks without exec ends by the signals that we do not end by. */
static void reset_in_child(void)
{
    for (size_t i = 0; i < ZQ_ARRAY_SIZE(stop_signals); i++) {
        struct sigaction now;
        if (sigaction(stop_signals[i], NULL, &now) == 0 && now.sa_handler == on_stop_signal)
            signal(stop_signals[i], SIG_DFL);
    }
}

/* Only super says when a worker ends: a service manager that signals all processes of its group
 * must not end requests in flight. A handler that does nothing, since what is ignored stays so in
 * programs that the application runs; it also keeps Python from installing its own for SIGINT. */
static void set_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};

    for (size_t i = 0; i < ZQ_ARRAY_SIZE(stop_signals); i++)
        sigaction(stop_signals[i], &action, NULL);
    pthread_atfork(NULL, NULL, reset_in_child);
    /* What Python's own handlers would have ignored; subprocess gives children the default back. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

int zq_embed_run(const struct zq_config *config, const char *python, const char *routes)
{
    if (routes == NULL)
        set_signals();
    if (PyImport_AppendInittab("_zq", PyInit__zq) < 0 || start_python(python) < 0)
        return 1;
    int status = run_main(config, routes);
    if (Py_FinalizeEx() < 0 && status == 0)
        status = 1;
    return status;
}
