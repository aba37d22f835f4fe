"""What the build promises: targets, set-up, interpreters, what is linked to what.

Most tests work on a tree of stubs with this Makefile and ci/ in a temporary directory;
those of the executables look at the ones that are tested (ZQ_BUILD_DIR)."""

import hashlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest

import train

ROOT = pathlib.Path(__file__).parent.parent
BUILD = pathlib.Path(os.environ.get("ZQ_BUILD_DIR", ROOT / "build/release"))
WORKERS = [pathlib.Path(w) for w in os.environ.get("ZQ_WORKERS", "").split(os.pathsep) if w]

STUBS = {
    "include/zq/base.h": "/* room: base */\nint zq_base(void);\n",
    "src/base/base.c": '#include "zq/base.h"\nint zq_base(void)\n{\n    return 7;\n}\n',
    "src/base/other.c": "int zq_other(void);\nint zq_other(void)\n{\n    return 1;\n}\n",
    "src/super/main.c": (
        '#include "zq/base.h"\n#include <stdio.h>\n'
        'int main(void)\n{\n    printf("%s %d\\n", ZQ_VERSION, zq_base());\n    return 0;\n}\n'
    ),
    "src/worker/main.c": (
        '#include <Python.h>\n#include "zq/base.h"\n'
        "int main(void)\n{\n"
        '    printf("%s|%s|%s|%.6s\\n", ZQ_PYTHON_VERSION, ZQ_PYTHON_PREFIX,\n'
        "           ZQ_PYTHON_LIBRARY, Py_GetVersion());\n    return zq_base() - 7;\n}\n"
    ),
    "tests/c/test_base.c": (
        "#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n"
        '#include <cmocka.h>\n#include "zq/base.h"\n'
        "static void seven(void **state)\n{\n    assert_int_equal(zq_base(), 7);\n}\n"
        "int main(void)\n{\n    const struct CMUnitTest tests[] = {cmocka_unit_test(seven)};\n"
        "    return cmocka_run_group_tests(tests, NULL, NULL);\n}\n"
    ),
    "python/zq/__init__.py": "",
}


def clean_environment(**more):
    """Ours, without what `make test` or a sanitizer's run put into it."""
    drop = {
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
        "MAKEOVERRIDES",
        "BUILD",
        "PGO",
        "CC",
        "CFLAGS",
        "DESTDIR",
    }
    return {k: v for k, v in os.environ.items() if k not in drop} | more


class Tree:
    """A tree of stubs."""

    def __init__(self, path):
        self.path = path
        shutil.copytree(ROOT / "ci", path / "ci")
        makefile = (ROOT / "Makefile").read_text()
        self.write("Makefile", makefile)
        for name in re.findall(r"^include ([\w/]+\.mk)$", makefile, re.M):
            self.write(name, (ROOT / name).read_text())
        for name, text in STUBS.items():
            self.write(name, text)
        shutil.copytree(ROOT / "build/deps", path / "build/deps")

    def write(self, name, text):
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def script(self, name, text):
        file = self.write(name, text)
        file.chmod(0o755)
        return file

    def run(self, *command, **environment):
        return subprocess.run(
            command,
            cwd=self.path,
            env=clean_environment(**environment),
            capture_output=True,
            text=True,
            timeout=250,
        )

    def make(self, *arguments, **environment):
        done = self.run("make", *arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def fields(mk):
    return dict(re.findall(r"^PY_(\w+) := (.*)$", mk.read_text(), re.M))


def interpreters():
    """What ci/python-config knows of the interpreters that are present."""
    done = subprocess.run(
        [ROOT / "ci/python-config", "--all", os.environ.get("PYTHON") or "python3"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [fields(ROOT / mk) for mk in done.stdout.split()]


# --- make ---


def test_help_lists_every_target_in_one_line():
    done = subprocess.run(
        ["make", "help"], cwd=ROOT, env=clean_environment(), capture_output=True, text=True
    )
    listed = dict(line.split(None, 1) for line in done.stdout.splitlines() if line)
    wanted = "build release serve test test-asan test-tsan coverage lint format deps workers install clean"
    assert set(wanted.split()) <= set(listed)
    assert all(len(text) < 90 for text in listed.values())


def test_help_needs_no_interpreter(tree):
    assert "build" in tree.make("help", PYTHON="/nonexistent")


def test_builds_out_of_tree_and_only_what_changed(tree):
    before = {p for p in tree.path.rglob("*") if "build" not in p.parts}
    out = tree.make("BUILD=debug")
    assert out.count("CC ") == 4
    assert tree.run("build/debug/zq").stdout.endswith(" 7\n")
    assert {p for p in tree.path.rglob("*") if "build" not in p.parts} == before

    assert tree.make("BUILD=debug") == ""

    time.sleep(0.02)
    tree.write("include/zq/base.h", STUBS["include/zq/base.h"] + "int zq_new(void);\n")
    rebuilt = re.findall(r"CC +(\S+)", tree.make("BUILD=debug"))
    assert sorted(rebuilt) == ["src/base/base.c", "src/super/main.c", "src/worker/main.c"]

    assert tree.make("BUILD=debug", "CFLAGS=-DZQ_ELSE").count("CC ") == 4

    (tree.path / "src/base/other.c").unlink()
    assert "AR      build/debug/libzq.a" in tree.make("BUILD=debug", "CFLAGS=-DZQ_ELSE")


def test_make_is_parallel_unless_told_otherwise(tree):
    tree.write("probe.mk", "include Makefile\nflags:; @echo $(MAKEFLAGS)\n")
    assert f"-j{len(os.sched_getaffinity(0))}" in tree.make("-f", "probe.mk", "flags")
    assert "-j1" in tree.make("-f", "probe.mk", "-j1", "flags")


def optimised_with(tree, option):
    """The objects of build/release-pgo that gcc says were compiled with it (their DWARF does)."""
    objects = sorted((tree.path / "build/release-pgo").rglob("*.o"))
    said = [tree.run("readelf", "--debug-dump=info", str(o)).stdout for o in objects]
    assert objects and all("DW_AT_producer" in text for text in said)
    return [o.stem for o, text in zip(objects, said, strict=True) if f" {option}" in text]


def test_a_release_is_built_from_the_profile_of_one_that_was_trained(tree):
    """make release PGO=1. The training of the stubs is to run them."""
    tree.write(
        "tests/train.py",
        "import os, subprocess\n"
        "for name in ('zq', 'zq-worker'):\n"
        "    subprocess.run([os.environ['ZQ_BUILD_DIR'] + '/' + name], check=True)\n"
        "print('trained here')\n",
    )
    out = tree.make("release", "PGO=1")
    release = tree.path / "build/release-pgo"
    used = optimised_with(tree, "-fprofile-use")
    assert {"main", "base", "other", "llhttp"} <= set(used)
    assert not optimised_with(tree, "-fprofile-generate")
    assert out.count("trained here") == 1
    profiles = {file.stem: file for file in release.rglob("*.gcda")}
    assert {"main", "base"} <= set(profiles)
    for name in ("zq", "zq-worker"):
        assert tree.run(release / name).returncode == 0
        assert "gcov" not in tree.run("nm", str(release / name)).stdout
    assert not (tree.path / "build/release").exists()

    assert tree.make("release", "PGO=1") == ""
    tree.make("install", "PGO=1", "DESTDIR=dest", "PREFIX=/opt/zq")
    installed = (tree.path / "dest/opt/zq/bin/zq").read_bytes()
    assert installed == (release / "zq").read_bytes()

    time.sleep(0.02)
    tree.write("src/base/other.c", STUBS["src/base/other.c"].replace("1", "2"))
    assert tree.make("release", "PGO=1").count("trained here") == 1


def test_the_training_gets_the_answers_that_it_wants():
    assert train.run(share=0.01) > 300


def test_a_training_that_fails_or_leaves_nothing_builds_nothing(tree):
    for script, message in (("raise SystemExit(3)\n", "Error 3"), ("", "left no profile")):
        tree.write("tests/train.py", script)
        done = tree.run("make", "release", "PGO=1")
        assert done.returncode != 0
        assert message in done.stderr
        assert not (tree.path / "build/release-pgo/trained").exists()


@pytest.mark.parametrize("what", ["PGO=yes", "BUILD=debug PGO=1", "CC=clang PGO=1"])
def test_a_profile_is_for_gcc_and_the_release(tree, what):
    done = tree.run("make", *what.split())
    assert done.returncode != 0
    assert "PGO=1 goes with BUILD=release and gcc" in done.stderr


def test_a_warning_is_an_error(tree):
    tree.write("src/base/other.c", "int zq_other(void)\n{\n    return 1;\n}\n")
    done = tree.run("make", "BUILD=debug")
    assert done.returncode != 0
    assert "missing-prototypes" in done.stderr


def test_an_unknown_build_is_refused(tree):
    done = tree.run("make", "BUILD=fast")
    assert done.returncode != 0
    assert "BUILD=fast: there are release, debug, asan, tsan and cov" in done.stderr


def test_unit_tests_run_and_fail(tree):
    assert "release: 1 passed, 0 failed" in tree.make("unit")
    broken = STUBS["tests/c/test_base.c"].replace(", 7", ", 8")
    time.sleep(0.02)
    tree.write("tests/c/test_base.c", broken)
    done = tree.run("make", "unit")
    assert done.returncode != 0
    assert "release: 0 passed, 1 failed" in done.stdout


@pytest.mark.parametrize(
    ("build", "body", "report"),
    [
        ("asan", "leak = malloc(4); leak[n] = 1; free(leak);", "heap-buffer-overflow"),
        ("asan", "volatile int i = 2147483647; i += n;", "signed integer overflow"),
        ("asan", "for (; n < 20; n++) { leak = malloc(9); strcpy(leak, ``x``); }", "leaked"),
    ],
)
def test_a_sanitizer_report_fails_the_run_even_where_a_test_passes(tree, build, body, report):
    """The test forks, and does not care how its child ended."""
    tree.write(
        "tests/c/test_base.c",
        "#include <stdlib.h>\n#include <string.h>\n#include <sys/wait.h>\n#include <unistd.h>\n"
        "static char *volatile leak;\n"
        f"static void wrong(int n)\n{{\n    {body.replace('``', chr(34))}\n    leak = NULL;\n}}\n"
        "int main(void)\n{\n    if (fork() == 0) {\n        wrong(4);\n        exit(0);\n    }\n"
        "    wait(NULL);\n    return 0;\n}\n",
    )
    done = tree.run("make", f"BUILD={build}", "unit")
    assert f"{build}: unit tests: 1 passed, 0 failed" in done.stdout
    assert done.returncode != 0
    assert report in done.stdout


def test_install(tree):
    out = tree.make("install", "DESTDIR=dest", "PREFIX=/opt/zq")
    prefix = tree.path / "dest/opt/zq"
    assert (prefix / "share/zq/python/zq/__init__.py").is_file(), out
    worker = prefix / "bin/zq-worker"
    assert not worker.is_symlink()
    assert tree.run(worker).returncode == 0
    assert tree.run(prefix / "bin/zq").returncode == 0


def test_clean_keeps_what_was_downloaded(tree):
    tree.make("BUILD=debug")
    tree.make("clean")
    assert not (tree.path / "build/debug").exists()
    assert (tree.path / "build/deps/llhttp/src").is_dir()


# --- interpreters ---


def test_each_interpreter_has_objects_of_its_own(tree):
    tree.make("workers", "BUILD=debug")
    known = interpreters()
    for python in known:
        worker = tree.path / f"build/debug/zq-worker-{python['XY']}"
        assert worker.resolve().name == f"zq-worker-{python['KEY']}"
        said = tree.run(worker).stdout.strip().split("|")
        assert said[:3] == [python["VERSION"], python["PREFIX"], python["LIBRARY"]]
        assert said[3].strip() == python["VERSION"]
        assert list((tree.path / f"build/debug/py-{python['KEY']}").glob("*.o"))


def test_the_chosen_interpreter_is_a_link_away(tree):
    for python in interpreters():
        tree.make("build", "BUILD=debug", f"PYTHON={python['EXECUTABLE']}")
        worker = tree.path / "build/debug/zq-worker"
        assert worker.resolve().name == f"zq-worker-{python['KEY']}"


def test_two_interpreters_of_one_version_are_kept_apart(tree):
    """Another prefix with the same headers and library: another key."""
    python = interpreters()[0]
    fake = tree.script("fake", disguised(python, f"sys.base_prefix = {str(tree.path)!r}"))
    ours = tree.run("ci/python-config", python["EXECUTABLE"]).stdout.strip()
    theirs = tree.run("ci/python-config", str(fake)).stdout.strip()
    assert fields(tree.path / ours)["VERSION"] == fields(tree.path / theirs)["VERSION"]
    assert ours != theirs


def disguised(python, patch):
    """A script that runs this interpreter with `patch` applied before what it was asked."""
    return (
        f"#!{python['EXECUTABLE']}\nimport sys, sysconfig\n"
        "variables = sysconfig.get_config_vars()\n"
        f"{patch}\nat = sys.argv.index('-c')\ncode = sys.argv[at + 1]\n"
        "sys.argv[: at + 2] = ['-c']\nexec(code)\n"
    )


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (
            'sys.version_info = (3, 10, 13, "final", 0)',
            r"is Python 3\.10\.13; .*3\.11, 3\.12, 3\.13",
        ),
        ('sys.version_info = (3, 14, 0, "final", 0)', r"is Python 3\.14\.0; .*3\.11, 3\.12, 3\.13"),
        (
            'sys.base_prefix = "/nonexistent"; variables["INCLUDEPY"] = "/nonexistent"; '
            'sysconfig.get_path = lambda name: "/nonexistent"',
            r"has no C headers \(Python\.h\); install the development files",
        ),
        (
            'sys.base_prefix = "/nonexistent"; variables["LIBDIR"] = "/nonexistent"',
            r"has no shared libpython; .*--enable-shared",
        ),
        (
            'sys.base_prefix = "/usr"; variables["INCLUDEPY"] = "/nonexistent"; '
            'sysconfig.get_path = lambda name: "/nonexistent"; variables["LIBDIR"] = "/nonexistent"; '
            "import os.path; os.path.isfile = lambda path: False",
            r"apt-get install python3\.\d+-dev",
        ),
        ('variables["Py_GIL_DISABLED"] = 1', "free-threaded"),
    ],
)
def test_an_interpreter_that_cannot_be_embedded(tree, patch, message):
    fake = tree.script("fake", disguised(interpreters()[0], patch))
    done = tree.run("make", f"PYTHON={fake}")
    assert done.returncode != 0
    sentences = [line for line in done.stderr.splitlines() if line.startswith("zq: ")]
    assert len(sentences) == 1, done.stderr
    assert re.search(message, sentences[0])
    assert str(fake) in sentences[0]


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("/nonexistent", "zq: PYTHON=/nonexistent: there is no such interpreter."),
        ("/bin/false", "zq: PYTHON=/bin/false does not run as a Python interpreter."),
    ],
)
def test_no_interpreter(tree, python, message):
    done = tree.run("make", f"PYTHON={python}")
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_virtual_environment_stands_for_its_base(tree):
    python = interpreters()[0]
    ours = tree.run("ci/python-config", python["EXECUTABLE"]).stdout
    assert tree.run("ci/python-config", str(ROOT / "build/venv/bin/python")).stdout == ours


# --- the executables under test ---


def linked(executable):
    done = subprocess.run(["ldd", executable], capture_output=True, text=True, check=True)
    return done.stdout


def test_zq_links_no_python():
    libraries = linked(BUILD / "zq")
    assert "libc.so" in libraries
    assert "python" not in libraries


def test_every_worker_links_the_library_it_was_built_for():
    assert WORKERS, "ZQ_WORKERS names no worker"
    known = {python["XY"]: python for python in interpreters()}
    for worker in WORKERS:
        library = re.search(r"libpython\S+ => (\S+)", linked(worker)).group(1)
        xy = worker.name.removeprefix("zq-worker-")
        assert os.path.realpath(library) == known[xy]["LIBRARY"]


@pytest.mark.parametrize("name", ["zq", "zq-worker"])
def test_executables_are_hardened(name):
    def readelf(option):
        command = ["readelf", "-W", option, BUILD / name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert re.search(r"Type:\s+DYN", readelf("-h"))
    assert re.search(r"FLAGS_1\).*\bNOW\b.*\bPIE\b", readelf("-d"))
    segments = readelf("-l")
    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK.* RW ", segments)
    symbols = readelf("-s")
    assert "__stack_chk_fail" in symbols
    if BUILD.name.startswith("release"):
        assert re.search(r"__\w+_chk@", symbols)


def test_one_version():
    version = re.search(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M).group(1)
    done = subprocess.run([BUILD / "zq", "--version"], capture_output=True, text=True, check=True)
    assert version in done.stdout.split()


# --- ci/setup ---


def setup(*arguments, **environment):
    return subprocess.run(
        [ROOT / "ci/setup", *arguments],
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("profile", ["serve", "test"])
def test_setup_is_silent_and_quick_when_there_is_nothing_to_do(profile):
    assert setup(profile).returncode == 0
    seconds = []
    for _ in range(4):
        since = time.monotonic()
        done = setup(profile)
        seconds.append(time.monotonic() - since)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert min(seconds) < 5  # it takes about 0.3


def test_setup_follows_the_interpreter_where_there_is_nothing_to_do(tree):
    """Two of one version, chosen in turn: the links lead to the chosen one's environment."""
    ours = interpreters()[0]
    fake = tree.script("fake", disguised(ours, f"sys.base_prefix = {str(tree.path)!r}"))
    config = tree.run("ci/python-config", str(fake)).stdout.strip()
    theirs = fields(tree.path / config)
    for python in (ours, theirs):
        (tree.path / "build/venvs" / python["KEY"]).mkdir(parents=True)
    for command, key in 2 * [(ours["EXECUTABLE"], ours["KEY"]), (str(fake), theirs["KEY"])]:
        done = tree.run("ci/setup", "build", PYTHON=command)
        assert (done.returncode, done.stderr) == (0, "")
        for link in ("venv", "venv-" + ours["XY"]):
            assert (tree.path / "build" / link).readlink() == pathlib.Path("venvs", key)


def test_setup_refuses_an_unknown_profile():
    done = setup("everything")
    assert done.returncode == 1
    assert "unknown profile 'everything'" in done.stderr


def without_packages(tree, uid):
    """A PATH on which nothing is installed, and apt-get only writes down what it is asked."""
    tree.script("bin/dpkg-query", "#!/bin/sh\nexit 1\n")
    tree.script("bin/id", f"#!/bin/sh\necho {uid}\n")
    tree.script("bin/apt-get", '#!/bin/sh\necho "$@" >>apt.log\n')
    return f"{tree.path}/bin:{os.environ['PATH']}"


def test_setup_says_what_to_install_when_it_may_not(tree):
    done = tree.run("ci/setup", "test", PATH=without_packages(tree, 1000))
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "apt-get install" in line]
    assert len(lines) == 1
    assert {"gcc", "make", "libcmocka-dev"} <= set(lines[0].split())
    assert "clang" not in done.stderr
    assert not (tree.path / "apt.log").exists()


def test_setup_installs_as_root(tree):
    done = tree.run("ci/setup", "build", PATH=without_packages(tree, 0))
    assert done.returncode == 0, done.stderr
    asked = (tree.path / "apt.log").read_text().split()
    assert {"install", "gcc", "libc6-dev"} <= set(asked)
    assert not {"libcmocka-dev", "clang", "gcovr"} & set(asked)


def test_setup_asks_debian_for_the_headers_of_its_python_only(tree):
    path = without_packages(tree, 1000)
    python = interpreters()[0]
    for prefix, asks in (("/usr", True), ("/opt/python", False)):
        fake = tree.script(f"fake{asks}", disguised(python, f"sys.base_prefix = {prefix!r}"))
        done = tree.run("ci/setup", "serve", PATH=path, PYTHON=str(fake))
        assert done.returncode == 1
        assert (f"python{python['XY']}-dev" in done.stderr) is asks, done.stderr


class Index:
    """A directory pip may install from, instead of an index: what ci/setup pins, forged."""

    def __init__(self, tree, llhttp_version):
        self.path = tree.path / "index"
        self.path.mkdir()
        wheel = self.path / "setuptools-82.0.1-py3-none-any.whl"
        info = "setuptools-82.0.1.dist-info"
        with zipfile.ZipFile(wheel, "w") as z:
            z.writestr("setuptools.py", "")
            z.writestr(
                f"{info}/METADATA", "Metadata-Version: 2.1\nName: setuptools\nVersion: 82.0.1\n"
            )
            z.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            z.writestr(f"{info}/RECORD", "")
        numbers = zip(("MAJOR", "MINOR", "PATCH"), llhttp_version.split("."), strict=True)
        backend = (
            "import os\ndef prepare_metadata_for_build_wheel(d, s=None):\n"
            "    i = os.path.join(d, 'httptools-0.9.0.dist-info')\n    os.mkdir(i)\n"
            "    with open(os.path.join(i, 'METADATA'), 'w') as f:\n"
            "        f.write('Metadata-Version: 2.1\\nName: httptools\\nVersion: 0.9.0\\n')\n"
            "    return os.path.basename(i)\n"
        )
        files = {
            "PKG-INFO": "Metadata-Version: 2.1\nName: httptools\nVersion: 0.9.0\n",
            "pyproject.toml": (
                '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
            ),
            "b.py": backend,
            "vendor/llhttp/include/llhttp.h": "".join(
                f"#define LLHTTP_VERSION_{name} {number}\n" for name, number in numbers
            ),
        }
        sdist = self.path / "httptools-0.9.0.tar.gz"
        with tarfile.open(sdist, "w:gz") as tar:
            for name, text in files.items():
                member = tarfile.TarInfo(f"httptools-0.9.0/{name}")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
        self.hashes = {
            name: hashlib.sha256((self.path / file).read_bytes()).hexdigest()
            for name, file in (("setuptools", wheel), ("httptools", sdist))
        }


def fetch_llhttp(tree, index, pins):
    """ci/setup with nothing fetched yet, and `pins` replaced by the forgeries' hashes."""
    shutil.rmtree(tree.path / "build/deps")
    (tree.path / "build/venvs").symlink_to(ROOT / "build/venvs")
    script = tree.path / "ci/setup"
    text = script.read_text()
    for name in pins:
        text, n = re.subn(rf"({name}==\S+ --hash=sha256:)\w+", rf"\g<1>{index.hashes[name]}", text)
        assert n == 1
    script.write_text(text)
    return tree.run("ci/setup", "build", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index.path))


def test_llhttp_of_another_hash_is_refused(tree):
    done = fetch_llhttp(tree, Index(tree, "9.4.3"), ["setuptools"])
    assert done.returncode == 1
    assert "HASHES" in done.stderr
    assert not (tree.path / "build/deps/llhttp").exists()


def test_llhttp_of_another_version_is_refused(tree):
    done = fetch_llhttp(tree, Index(tree, "9.4.2"), ["setuptools", "httptools"])
    assert done.returncode == 1
    assert "expected llhttp 9.4.3, found '9.4.2'" in done.stderr
    assert not (tree.path / "build/deps/llhttp").exists()


def test_llhttp_of_that_hash_and_version_is_taken(tree):
    done = fetch_llhttp(tree, Index(tree, "9.4.3"), ["setuptools", "httptools"])
    assert done.returncode == 0, done.stderr
    assert (tree.path / "build/deps/llhttp/include/llhttp.h").is_file()
    assert [p.name for p in (tree.path / "build/deps").iterdir()] == ["llhttp"]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-serve.txt"])
def test_requirements_are_pinned_with_hashes(name):
    text = (ROOT / "ci" / name).read_text().replace("\\\n", " ")
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert len(lines) > 5
    for line in lines:
        assert re.match(r"[\w.-]+==\S+ ", line), line
        assert "--hash=sha256:" in line


def test_the_environments_hold_what_was_pinned():
    for worker in WORKERS:
        venv = ROOT / ("build/venv-" + worker.name.removeprefix("zq-worker-"))
        done = subprocess.run(
            [venv / "bin/python", "-c", "import quart, uvloop, sys; print(sys.version_info[:2])"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip("()\n").replace(", ", ".") == venv.name.removeprefix("venv-")


def test_no_third_party_source_in_the_tree():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    assert "Makefile" in done.stdout.split()
    assert [f for f in done.stdout.split() if "llhttp" in f.rsplit("/", 1)[-1]] == []


def test_this_python_runs_the_tests():
    """The environment of PYTHON, and not the one of whoever typed `make test`."""
    assert pathlib.Path(sys.prefix).resolve() == (ROOT / "build/venv").resolve()
