"""TOML of strangers as plain values: bounded, and every mistake typed."""

import tomllib
from collections.abc import Mapping
from typing import Any

from cloche.runtimes.provider import CannotPlan

Table = Mapping[str, Any]  # Any: TOML


# tomllib keeps every beginning of a dotted key: of one with n dots some n * n / 2 names.
_MOST_BEGINNINGS = 20_000_000


def read_table(path: str, content: bytes) -> Table:
    """Read a document. Raises CannotPlan."""
    # A key ends with its line, and lines of other things have few dots.
    if sum(line.count(b".") ** 2 for line in content.split(b"\n")) > _MOST_BEGINNINGS:
        raise CannotPlan(path, "it has keys of too many parts")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise CannotPlan(path, f"it is no TOML: {str(error)[:200]}") from error


def table(value: object) -> Table:
    """Give `value` when it is a table, else an empty one."""
    return value if isinstance(value, dict) else {}


def tables(value: object) -> tuple[Table, ...]:
    """Give the tables of a list of them."""
    return tuple(one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def text(value: object) -> str:
    """Give `value` when it is a string, else nothing."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> tuple[str, ...]:
    """Give the strings of a list of them."""
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
