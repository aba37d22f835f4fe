"""Every fuzz target over its seeds, its kept corpus and what was ever found with it: each input's
invariants hold in this build, too."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("ZQ_BUILD_DIR", ROOT / "build" / "release"))
TARGETS = [path.stem for path in sorted((ROOT / "fuzz").glob("*.c"))]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("corpus")
    subprocess.run([sys.executable, ROOT / "fuzz/run.py", "unpack", directory], check=True)
    return directory


@pytest.mark.parametrize("target", TARGETS)
def test_the_invariants_hold(inputs, target):
    places = [inputs / target, ROOT / "fuzz" / "regressions" / target]
    done = subprocess.run(
        [BUILD / "fuzz" / target, *(place for place in places if place.exists())],
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "inputs hold" in done.stderr


def test_every_target_has_what_it_needs():
    for target in TARGETS:
        assert (ROOT / "fuzz" / f"{target}.dict").read_text().strip(), target
        text = (ROOT / "fuzz" / f"{target}.c").read_text()
        assert "Invariant" in text.split("*/", 1)[0], f"{target} does not say what it holds"
        regressions = ROOT / "fuzz" / "regressions" / target
        assert all(path.is_file() for path in regressions.glob("*"))
