"""Log lines, and tracebacks that begin where the application does. Private."""

import os
import sys
import traceback

from zq._native import bridge

_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep


class StartError(Exception):
    """The worker cannot serve: a sentence for a person, and perhaps a traceback."""

    def __init__(self, sentence, cause=None):
        super().__init__(sentence)
        self.cause = cause

    def log(self):
        if self.cause is not None:
            log_exception("error", str(self), self.cause)
        else:
            log_lines("error", str(self))


def log(level, text):
    """One line; whether that level is logged."""
    return bridge.log(level, text.replace("\0", "\\0").encode("utf-8", "backslashreplace"))


def printable(text):
    """What a client sent, so that it moves no cursor and forges no line."""
    return text.encode("unicode_escape").decode("ascii")


def _is_own(filename):
    return (
        filename.startswith((_OWN, "<frozen importlib"))
        or filename.replace("\\", "/").endswith("importlib/__init__.py")
        or filename == "<frozen runpy>"
    )


def _trim(trace, seen):
    """Take our frames and the import machinery's out of a TracebackException and its causes."""
    if trace is None or id(trace) in seen:
        return
    seen.add(id(trace))
    if trace.stack:
        kept = [frame for frame in trace.stack if not _is_own(frame.filename)]
        trace.stack = traceback.StackSummary.from_list(kept)
    for other in (trace.__cause__, trace.__context__, *(getattr(trace, "exceptions", None) or ())):
        _trim(other, seen)


def format_exception(exception):
    trace = traceback.TracebackException.from_exception(exception, compact=True)
    _trim(trace, set())
    text = "".join(trace.format())
    head = "Traceback (most recent call last):\n"
    if not trace.stack and text.startswith(head):
        text = text[len(head) :]  # a syntax error, say: no frame is left to show
    return text


def log_exception(level, sentence, exception):
    """One line, and the traceback behind it."""
    try:
        text = format_exception(exception)
    except BaseException as error:  # an exception whose __str__ fails, or the like
        text = f"{type(exception).__name__} (its traceback could not be shown: {error!r})\n"
    log_lines(level, f"{sentence}\n{text}")


def log_lines(level, text):
    """The first line as a log line, the others as they are, in one write: no other process of
    ours cuts in."""
    first, _, rest = text.partition("\n")
    if not log(level, first) or not rest:
        return
    sys.stderr.flush()
    try:
        os.write(2, (rest.rstrip("\n") + "\n").encode("utf-8", "backslashreplace"))
    except OSError:
        pass
