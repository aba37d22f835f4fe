"""ci/deps lets through what the room table allows, and nothing else."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent

DOORS = {
    "include/zq/base.h": "/* room: base */\n#include <stddef.h>\n",
    "include/zq/loop.h": '/* room: net\n * The loop. */\n#include "zq/base.h"\n',
    "include/zq/http.h": '/* room: http */\n#include "zq/loop.h"\n',
    "include/zq/cache.h": '/* room: cache */\n#include "zq/base.h"\n',
    "include/zq/wire.h": '/* room: wire */\n#include "zq/base.h"\n',
    "include/zq/front.h": "/* room: front */\n",
}


def deps(tmp_path, files):
    for name, text in (DOORS | files).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return subprocess.run(
        [sys.executable, ROOT / "ci/deps", tmp_path], capture_output=True, text=True, timeout=30
    )


def test_this_tree_is_clean():
    done = subprocess.run([ROOT / "ci/deps"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert "all allowed" in done.stdout


def test_what_the_table_allows(tmp_path):
    done = deps(
        tmp_path,
        {
            "src/front/a.c": '#include "zq/http.h"\n#include <zq/cache.h>\n#include "zq/wire.h"\n',
            "src/front/b.c": '#include "b.h"\n#include "front/b.h"\n',
            "src/front/b.h": "",
            "src/worker/a.c": "#include <Python.h>\n# include <sys/epoll.h>\n",
            "src/super/main.c": '#include "zq/front.h"\n',
            "src/net/tls.c": "#include <openssl/ssl.h>\n",
            "src/http/h1.c": '#include "llhttp.h"\n',
            "python/zq/__init__.py": "import asyncio\nfrom . import x\nfrom zq import y\n",
        },
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "text", "line", "named"),
    [
        ("src/cache/key.c", '#include "zq/base.h"\n#include "zq/loop.h"\n', 2, '"zq/loop.h"'),
        ("src/cache/key.c", "#include <zq/http.h>\n", 1, "<zq/http.h>"),
        ("src/worker/a.c", '#include "zq/cache.h"\n', 1, "zq/cache.h"),
        ("src/super/a.c", '\n\n#include "zq/wire.h"\n', 3, "zq/wire.h"),
        ("src/super/a.c", '#include "zq/front.h"\n', 1, "zq/front.h"),
        ("src/net/a.c", '#include "zq/http.h"\n', 1, "zq/http.h"),
        ("src/front/a.c", "#include <Python.h>\n", 1, "CPython is for worker"),
        ("src/http/a.c", "#include <openssl/ssl.h>\n", 1, "OpenSSL is for net"),
        ("src/front/a.c", "#include <llhttp.h>\n", 1, "llhttp is for http"),
        ("src/base/a.c", "#include <event2/event.h>\n", 1, "event2/event.h"),
        ("src/front/a.c", '#include "../net/private.h"\n', 1, "private to src/net"),
        ("src/front/a.c", '#include "net/private.h"\n', 1, "private to src/net"),
        ("src/front/a.c", "#include <net/private.h>\n", 1, "private to src/net"),
        ("src/front/a.c", "#define H <Python.h>\n#include H\n", 2, "names its file"),
        ("src/front/a.c", "/* # */ #\tinclude <Python.h>\n", 1, "Python.h"),
        ("src/front/a.c", '#include "absent.h"\n', 1, "no such file"),
        ("src/gui/a.c", "", 1, "in no room"),
        ("include/zq/new.h", "#include <stddef.h>\n", 1, "declares its room"),
        ("include/zq/new.h", '/* room: base */\n#include "zq/loop.h"\n', 2, "zq/loop.h"),
        ("python/zq/__init__.py", "import os\ndef f():\n    import quart\n", 3, "quart"),
    ],
)
def test_what_it_forbids(tmp_path, file, text, line, named):
    done = deps(tmp_path, {"src/net/private.h": "", file: text})
    assert done.returncode == 1
    faults = [f for f in done.stderr.splitlines() if f.startswith(f"{file}:{line}: ")]
    assert len(faults) == 1, done.stderr
    assert named in faults[0]


def test_comments_and_strings_are_not_includes(tmp_path):
    text = '/*\n#include <Python.h>\n*/\n// #include <Python.h>\nconst char *s = "/*";\n'
    done = deps(tmp_path, {"src/cache/a.c": text})
    assert done.returncode == 0, done.stderr
    done = deps(tmp_path, {"src/cache/a.c": text + '#include "zq/loop.h"\n'})
    assert done.returncode == 1
    assert "src/cache/a.c:6: " in done.stderr


def test_an_empty_tree_is_not_clean(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "ci/deps", tmp_path], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
