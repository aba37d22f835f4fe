/* Private to src/worker: the application's virtual environment. Knows no Python.h: it runs before
 * the interpreter does.
 */
#ifndef ZQ_WORKER_VENV_H
#define ZQ_WORKER_VENV_H

#include "zq/base.h"

#include <limits.h>

/* Why a virtual environment cannot be used, for a person. */
struct zq_venv_error {
    char text[8 * PATH_MAX];
};

/* Finds bin/python of the environment in `directory` and asks it which interpreter it belongs to:
 * one whose base prefix and library are those that this process is linked to is as good as ours;
 * any other would start, and then fail in odd symbols. Runs that python for a moment (it blocks,
 * at most 30 s). 0 with the path in `python`, or ZQ_EINVAL with `error` filled. */
int zq_venv_python(const char *directory, char python[PATH_MAX], struct zq_venv_error *error);

/* The interpreter that this process is linked to: its own executable. */
int zq_linked_python(char python[PATH_MAX], struct zq_venv_error *error);

#endif
