"""What the environment may set, read once at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_COMPANIES = 500
DEFAULT_DAYS = 750
DEVELOPMENT_SECRET_KEY = "finance-example-development-key"

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """One start's configuration; every field has a default."""

    database: Path
    """The SQLite file, made on first start."""
    companies: int = DEFAULT_COMPANIES
    """How many companies the generator makes."""
    days: int = DEFAULT_DAYS
    """How many trading days each company has."""
    secret_key: str = DEVELOPMENT_SECRET_KEY
    """Signs the session cookie."""
    admin_token: str = ""
    """Who shows it may POST /admin/prices; empty: nobody."""
    stream_interval_s: float = 1.0
    """Seconds between two events of /quotes/stream."""
    stream_limit_s: float = 300.0
    """Seconds after which /quotes/stream ends by itself (browsers reconnect)."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read FINANCE_*; ValueError names the variable, its value and what is allowed."""
        companies = int(_number(environment, "FINANCE_COMPANIES", DEFAULT_COMPANIES, 1, 1000))
        days = int(_number(environment, "FINANCE_DAYS", DEFAULT_DAYS, 2, 5000))
        return cls(
            database=_database(environment, companies, days),
            companies=companies,
            days=days,
            secret_key=environment.get("FINANCE_SECRET_KEY") or DEVELOPMENT_SECRET_KEY,
            admin_token=environment.get("FINANCE_ADMIN_TOKEN", ""),
            stream_interval_s=_number(
                environment, "FINANCE_STREAM_INTERVAL", 1.0, 0.01, 60.0, whole=False
            ),
            stream_limit_s=_number(
                environment, "FINANCE_STREAM_LIMIT", 300.0, 1.0, 86400.0, whole=False
            ),
        )


def _database(environment: Mapping[str, str], companies: int, days: int) -> Path:
    """FINANCE_DB, or a file in the repository's build folder, one for each size."""
    if path := environment.get("FINANCE_DB"):
        return Path(path).absolute()
    if (companies, days) == (DEFAULT_COMPANIES, DEFAULT_DAYS):
        return REPOSITORY / "build" / "finance.db"
    return REPOSITORY / "build" / f"finance-{companies}x{days}.db"


def _number(
    environment: Mapping[str, str],
    name: str,
    default: float,
    least: float,
    most: float,
    *,
    whole: bool = True,
) -> float:
    text = environment.get(name)
    if not text:
        return default
    kind = "a whole number" if whole else "a number"
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise ValueError(f"{name} must be {kind} from {least:g} to {most:g}, not {text!r}")
    return value
