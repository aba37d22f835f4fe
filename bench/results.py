"""A run's directory: results/<UTC time>/ with env.json, raw/, cases/, data.json, and the reports.

env.json      the machine, versions, commit, options
raw/          every generator output
cases/        one file a finished case: what makes an interrupted run resumable
data.json     one flat record a measurement, from all cases
summary.md, index.html, *.svg
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

from bench.machine import ROOT
from bench.rows import Case, Options

RESULTS = ROOT / "results"


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


def as_json(value) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


class Results:
    """One directory. `new` makes it, `open_unfinished` finds one to go on with."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def new(cls, env: dict, options: Options, parent: Path = RESULTS) -> Results:
        path = parent / time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
        (path / "raw").mkdir(parents=True)
        (path / "cases").mkdir()
        env = env | {"options": dataclasses.asdict(options), "started": path.name}
        write(path / "env.json", as_json(env))
        return cls(path)

    @classmethod
    def open_unfinished(cls, env: dict, options: Options, parent: Path = RESULTS) -> Results | None:
        """The newest directory without data.json that the same commit and options began."""
        for path in sorted(parent.glob("20*"), reverse=True):
            if (path / "data.json").exists() or not (path / "env.json").exists():
                continue
            began = json.loads((path / "env.json").read_text())
            same = json.loads(json.dumps(dataclasses.asdict(options)))
            if began.get("commit") == env["commit"] and began.get("options") == same:
                return cls(path)
        return None

    def save_raw(self, name: str, text: str) -> None:
        (self.path / "raw" / f"{name}.txt").write_text(text)

    def _case(self, case: Case) -> Path:
        return self.path / "cases" / f"{case.slug}.json"

    def has(self, case: Case) -> bool:
        return self._case(case).exists()

    def save_case(self, case: Case, index: int, result: dict) -> None:
        write(self._case(case), as_json(result | {"index": index}))

    def cases(self) -> list[dict]:
        """What the finished cases found, in the order of the plan."""
        found = [json.loads(p.read_text()) for p in (self.path / "cases").glob("*.json")]
        return sorted(found, key=lambda case: case["index"])

    def env(self) -> dict:
        return json.loads((self.path / "env.json").read_text())

    def finish(self) -> None:
        """data.json: the run is complete. env.json gets the rounds that each case had."""
        cases = self.cases()
        had = {case["case"]: case["rounds"] for case in cases if "rounds" in case}
        write(self.path / "env.json", as_json(self.env() | {"rounds": had}))
        records = [record for case in cases for record in case["records"]]
        write(self.path / "data.json", as_json(records))


def finished(parent: Path = RESULTS) -> list[Results]:
    """Newest first."""
    found = sorted(parent.glob("20*/data.json"), reverse=True)
    return [Results(path.parent) for path in found]


def latest(parent: Path = RESULTS) -> Path | None:
    """The newest finished directory."""
    return next((results.path for results in finished(parent)), None)


def whole(modes: tuple[str, ...], parent: Path = RESULTS) -> Path | None:
    """The newest finished directory of one of these modes that nothing was left out of."""
    for results in finished(parent):
        options = results.env()["options"]
        narrowed = any(options[name] for name in ("only", "contestants", "routes", "conns"))
        if options["mode"] in modes and not narrowed:
            return results.path
    return None
