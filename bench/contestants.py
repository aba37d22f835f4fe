"""Contestants: read from bench/contestants/<name>/contestant.toml, rendered, started, ended.

A contestant is named by its folder, or by folder and variant: `zq`, `zq-io2`, `nginx-cache-all`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from bench import probe
from bench.machine import ROOT, Placement, child_environment, tool
from bench.process import Server, pin, tree, wait_for

FOLDER = ROOT / "bench" / "contestants"
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def names() -> list[str]:
    """Every contestant and variant."""
    found = []
    for path in sorted(FOLDER.glob("*/contestant.toml")):
        found.append(path.parent.name)
        variants = tomllib.loads(path.read_text()).get("variants", {})
        found += [f"{path.parent.name}-{variant}" for variant in variants]
    return found


@dataclass(frozen=True)
class Contestant:
    """What a folder (and a variant) says."""

    name: str
    base: str
    settings: dict

    @property
    def title(self) -> str:
        return self.settings["title"]

    @property
    def is_program(self) -> bool:
        """Not a server: a command that measures by itself and prints JSON."""
        return "program" in self.settings

    @property
    def warm(self) -> bool:
        """It answers what it has stored without calling Python."""
        return bool(self.settings.get("warm"))


def load(name: str) -> Contestant:
    """ValueError names what there is when `name` is none of them."""
    for base in sorted((p.parent.name for p in FOLDER.glob("*/contestant.toml")), key=len)[::-1]:
        if name != base and not name.startswith(base + "-"):
            continue
        settings = tomllib.loads((FOLDER / base / "contestant.toml").read_text())
        variants = settings.pop("variants", {})
        if name != base:
            variant = name.removeprefix(base + "-")
            if variant not in variants:
                continue
            settings |= variants[variant]
        if "like" in settings:
            settings = load(settings["like"]).settings | settings
        return Contestant(name, base, settings)
    raise ValueError(f"there is no contestant '{name}'; there are: {', '.join(names())}")


def render(text: str, values: dict[str, object]) -> str:
    """Fills in {placeholders} that are known, so that a configuration's own braces stay."""
    return PLACEHOLDER.sub(lambda m: str(values.get(m[1], m[0])), text)


def quoted_for_nginx(body: bytes) -> str:
    return body.decode().replace("\\", "\\\\").replace('"', '\\"').replace("$", "${dollar}")


@dataclass
class Work:
    """What a contestant is to serve, and where."""

    app: str
    """A module of bench/apps, whose `app` it is."""
    environment: dict[str, str]
    placement: Placement
    threads: int
    target: str
    run: Path
    """A directory for the contestant's own files."""
    body: bytes = b""
    """The right answer, for contestants that are given it."""
    recorded: Path | None = None
    """A file with every byte of zq's response, for the limit."""
    close: bool = False
    """Each request comes on a connection of its own."""

    def values(self) -> dict[str, object]:
        n = len(self.placement.server)
        return {
            **{name: tool(name) for name in ("zq", "worker", "venv", "limit")},
            "apps": ROOT / "bench" / "apps",
            "bench": ROOT / "bench",
            "app": self.app,
            "workers": 1,
            "threads": self.threads,
            "cores": n,
            "half": max(1, n // 2),
            "route": self.target,
            "recorded": self.recorded or "",
            "afterwards": "close" if self.close else "keep",
        }


@dataclass
class Running:
    """A started contestant. End it with stop()."""

    contestant: Contestant
    port: int
    servers: list[Server] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.contestant.name

    def pids(self) -> list[int]:
        return tree(server.pid for server in self.servers)

    def front_pids(self) -> list[int]:
        """The processes that own the clients: those of `front_match`, or all but the backend's."""
        mark = self.contestant.settings.get("front_match")
        own = tree([self.servers[-1].pid])
        if mark is None:
            return own
        return [p for p in own if mark.encode() in Path(f"/proc/{p}/cmdline").read_bytes()]

    def keep_apart(self, cpus: tuple[int, ...]) -> None:
        """The front on the first processor, everything else on the others."""
        front = self.front_pids()
        pin(front, cpus[:1])
        pin([pid for pid in self.pids() if pid not in front], cpus[1:])

    def log(self) -> str:
        return "\n".join(server.log for server in self.servers)

    def stop(self) -> None:
        for server in reversed(self.servers):
            server.stop()


def command_of(
    contestant: Contestant, values: dict[str, object], key: str = "command"
) -> list[str]:
    settings = contestant.settings
    replace = settings.get("replace", {})
    parts = [replace.get(part, part) for part in settings[key]]
    extra = settings.get("extra", [])
    parts[-1:-1] = extra
    return [render(part, values) for part in parts]


def values_of(contestant: Contestant, work: Work, run: Path, port: int) -> dict[str, object]:
    """What the placeholders in a contestant's command and files stand for, but `backend_port`."""
    settings = contestant.settings
    values = work.values() | {"run": run, "port": port} | settings.get("values", {})
    values["app"] = settings.get("app", {}).get(work.app, work.app)
    for name in ("workers", "threads"):
        if name in settings:
            values[name] = render(str(settings[name]), values)
    if settings.get("needs_body"):
        values["body"] = quoted_for_nginx(work.body)
    return values


def _shown(command: list[str], run: Path) -> str:
    """A command as results show it: without this machine's paths."""
    text = " ".join(command)
    return text.replace(str(run), "{run}").replace(f"{ROOT}/", "")


def start(contestant: Contestant, work: Work) -> Running:
    """Starts it (its backend first) and waits until it answers; stops all of it on failure."""
    running = Running(contestant, 0)
    try:
        _start(contestant, work, running)
    except BaseException:
        log = running.log()
        running.stop()
        if log:
            print(f"--- log of {contestant.name}\n{log}")
        raise
    return running


def _start(contestant: Contestant, work: Work, running: Running, suffix: str = "") -> int:
    run = work.run / (contestant.name + suffix)
    run.mkdir(mode=0o755)
    backend_port = 0
    if "backend" in contestant.settings:
        backend_port = _start(load(contestant.settings["backend"]), work, running, "-backend")
    port = probe.free_port()
    values = values_of(contestant, work, run, port) | {"backend_port": backend_port}
    for name in contestant.settings.get("files", []):
        (run / name).write_text(render((FOLDER / contestant.base / name).read_text(), values))
    command = command_of(contestant, values)
    directory = render(contestant.settings.get("directory", str(run)), values)
    env = child_environment() | work.environment
    if contestant.settings.get("directory"):
        env["PYTHONPATH"] = directory
    server = Server(
        command, log=run / "log", cpus=work.placement.server, cwd=Path(directory), env=env
    )
    running.servers.append(server)
    running.commands.append(_shown(command, run))
    running.port = port

    def answers() -> bool:
        if not server.running():
            raise RuntimeError(f"{contestant.name} exited with {server.process.returncode}")
        try:
            return probe.ask(port, work.target).status < 500
        except (OSError, IndexError):
            return False

    wait_for(answers, f"{contestant.name} to answer", 60)
    return port
