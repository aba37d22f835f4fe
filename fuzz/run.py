#!/usr/bin/env python3
"""Runs the fuzz targets that `make fuzz` and its like have built.

    fuzz/run.py all [--time SECONDS] [--jobs N]   every target, with libFuzzer
    fuzz/run.py one [--time SECONDS] TARGET       one
    fuzz/run.py afl [--time SECONDS] TARGET       one, with AFL++
    fuzz/run.py min [TARGET...]                   folds what was found into fuzz/corpus
    fuzz/run.py coverage                          what seeds, corpora and finds reach
    fuzz/run.py unpack DIRECTORY                  seeds and kept corpora, as files

A target's working corpus is build/fuzz/corpus/<target>: the seeds of seeds.py, the kept corpus
(fuzz/corpus/<target>.zip), and what runs have added. An input that breaks an invariant is written
to fuzz/regressions/<target>/, which `make test` replays from then on. The exit status is 1 when
there was one.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUZZ = ROOT / "fuzz"
BUILD = ROOT / "build"
TARGETS = [path.stem for path in sorted(FUZZ.glob("*.c"))]
MAX_LEN = {"connection": 4096, "chunked": 2048, "options": 1024}
OPTIONS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:abort_on_error=1:symbolize=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def unpack(directory, targets=None):
    targets = targets or TARGETS
    subprocess.run([sys.executable, FUZZ / "seeds.py", directory, *targets], check=True)
    for target in targets:
        kept = FUZZ / "corpus" / f"{target}.zip"
        if kept.exists():
            with zipfile.ZipFile(kept) as archive:
                archive.extractall(directory / target)


def pack(directory, path):
    """Always the same bytes for the same inputs."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(directory.iterdir()):
            archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes(), zipfile.ZIP_DEFLATED)


def corpus_of(target):
    directory = BUILD / "fuzz" / "corpus"
    unpack(directory, [target])
    return directory / target


def binary(target, build="fuzz"):
    path = BUILD / build / "fuzz" / target
    if not path.exists():
        sys.exit(f"fuzz: there is no {path}; the targets are: {' '.join(TARGETS)}")
    return path


def libfuzzer(target, seconds):
    """One run: the line to show, and whether nothing was found."""
    regressions = FUZZ / "regressions" / target
    regressions.mkdir(parents=True, exist_ok=True)
    before = set(regressions.iterdir())
    log = BUILD / "fuzz" / "logs" / f"{target}.log"
    log.parent.mkdir(exist_ok=True)
    corpus = corpus_of(target)
    command = [
        binary(target),
        f"-max_total_time={seconds}",
        f"-max_len={MAX_LEN.get(target, 2048)}",
        f"-dict={FUZZ / target}.dict",
        f"-artifact_prefix={regressions}/",
        # In CI the same inputs in the same order each time: a find belongs to the change under test.
        f"-seed={1 if os.environ.get('CI') else 0}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        corpus,
        *([regressions] if before else []),
    ]
    with open(log, "wb") as out:
        status = subprocess.run(
            command, stdout=out, stderr=out, env=os.environ | OPTIONS
        ).returncode
    text = log.read_text(errors="replace")
    found = sorted(set(regressions.iterdir()) - before)
    if not any(regressions.iterdir()):
        regressions.rmdir()
    if status != 0 or found:
        return f"{target}: FAILED ({status})\n{tail(text)}\n{list(map(str, found))}", False
    runs = int(re.search(r"number_of_executed_units: (\d+)", text)[1])
    rate = re.search(r"average_exec_per_sec: +(\d+)", text)[1]
    covered = re.findall(r"cov: (\d+) ft: (\d+)", text)[-1]
    inputs = sum(1 for _ in corpus.iterdir())
    return (
        f"{target:12} {runs:>10} runs {rate:>7}/s   edges {covered[0]:>5}, features "
        f"{covered[1]:>6}, {inputs:>5} inputs"
    ), True


def tail(text):
    text = re.sub(r"\n    #\d+ (?!.*?/(?:fuzz|src)/\S+\.[ch]:).*", "", text)
    at = [m.start() for m in re.finditer(r"invariant broken|runtime error|ERROR:", text)]
    return text[at[0] if at else -2000 :][:4000]


def run_all(targets, seconds, jobs):
    passed = True
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for line, good in pool.map(lambda t: libfuzzer(t, seconds), targets):
            print(line, flush=True)
            passed &= good
    return passed


def afl(target, seconds):
    out = BUILD / "afl" / "out" / target
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    corpus = BUILD / "afl" / "corpus"
    shutil.rmtree(corpus / target, ignore_errors=True)
    unpack(corpus, [target])
    environment = os.environ | {
        "AFL_SKIP_CPUFREQ": "1",
        "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
        "AFL_NO_UI": "1",
        "AFL_QUIET": "1",
    }
    command = ["afl-fuzz", "-i", corpus / target, "-o", out, "-V", str(seconds), "-m", "none"]
    command += ["-x", f"{FUZZ / target}.dict", "--", binary(target, "afl")]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    stats = (out / "default" / "fuzzer_stats").read_text()
    value = {
        k.strip(): v.strip() for k, _, v in (line.partition(":") for line in stats.split("\n"))
    }
    print(
        f"{target:12} {value['execs_done']:>10} runs {value['execs_per_sec']:>7}/s   edges "
        f"{value['edges_found']}, {value['corpus_count']} inputs, {value['saved_crashes']} crashes"
    )
    found = sorted((out / "default" / "crashes").glob("id:*"))
    for path in found:
        kept = FUZZ / "regressions" / target / ("afl-" + re.sub(r"[^\w]+", "-", path.name)[:60])
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, kept)
        print(f"  {kept}")
    return not found


def minimise(targets):
    """-set_cover_merge keeps few inputs, but may lose features that only several of them reach."""
    for target in targets or TARGETS:
        corpus = corpus_of(target)
        small = BUILD / "fuzz" / "small" / target
        shutil.rmtree(small, ignore_errors=True)
        small.mkdir(parents=True)
        command = [binary(target), "-set_cover_merge=1", "-max_len=4096", small, corpus]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=os.environ | OPTIONS)
        pack(small, FUZZ / "corpus" / f"{target}.zip")
        shutil.rmtree(corpus)
        shutil.copytree(small, corpus)
        print(f"{target:12} {sum(1 for _ in small.iterdir()):>5} inputs kept")


def coverage():
    directory = BUILD / "fuzz-coverage"
    shutil.rmtree(directory, ignore_errors=True)
    inputs = directory / "inputs"
    unpack(inputs)
    profiles, binaries = [], []
    for target in TARGETS:
        places = [inputs / target, BUILD / "fuzz/corpus" / target, FUZZ / "regressions" / target]
        profile = directory / f"{target}.profraw"
        subprocess.run(
            [binary(target, "fuzzcov"), *(p for p in places if p.exists())],
            check=True,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"LLVM_PROFILE_FILE": str(profile)},
        )
        profiles.append(profile)
        binaries += ["-object", binary(target, "fuzzcov")]
    merged = directory / "all.profdata"
    subprocess.run(["llvm-profdata", "merge", "-o", merged, *profiles], check=True)
    judged = [ROOT / "src" / room for room in ("base", "cache", "http", "wire", "front", "super")]
    command = [*binaries[1:], f"-instr-profile={merged}"]
    report = subprocess.run(
        ["llvm-cov", "report", *command, *judged], check=True, capture_output=True, text=True
    ).stdout
    (directory / "coverage.txt").write_text(report)
    subprocess.run(
        ["llvm-cov", "show", *command, "-format=html", f"-output-dir={directory}", *judged],
        check=True,
    )
    print(report)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["all", "one", "afl", "min", "coverage", "unpack"])
    parser.add_argument("--time", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("targets", nargs="*")
    a = parser.parse_intermixed_args()
    if a.command in ("one", "afl") and len(a.targets) != 1:
        sys.exit(f"fuzz: name a target with T=; there are: {' '.join(TARGETS)}")
    good = True
    if a.command in ("all", "one"):
        good = run_all(a.targets or TARGETS, a.time, a.jobs)
    elif a.command == "afl":
        good = afl(a.targets[0], a.time)
    elif a.command == "min":
        minimise(a.targets)
    elif a.command == "coverage":
        coverage()
    else:
        unpack(pathlib.Path(a.targets[0]))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
