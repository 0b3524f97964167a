"""TOML of strangers as plain values: bounded, and every mistake typed."""

import tomllib
from collections.abc import Mapping
from typing import Any

from cloche.runtimes.provider import CannotPlan

Table = Mapping[str, Any]  # Any: TOML
# A second or two each. A lock of ten thousand packages comes to a fifth of them.
_MOST_OF_KEYS = 2_000_000
_MOST_BELOW = 2_000_000


def read_table(path: str, content: bytes) -> Table:
    """Read a document. Raises CannotPlan."""
    if _takes_long(content):
        raise CannotPlan(path, "it has keys of too many parts to be read in a moment")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise CannotPlan(path, f"it is no TOML: {str(error)[:200]}") from error


def _takes_long(content: bytes) -> bool:
    """Tell whether to read `content` may take more than a few seconds. Pure.

    tomllib goes through all parts of a dotted key for each of them, and through those of a header
    for each line below it: a megabyte of "a.a.a" takes hours. Dots in strings count as well.
    """
    dots = [line.count(b".") for line in content.split(b"\n")]
    return (
        sum(count * count for count in dots) > _MOST_OF_KEYS or max(dots) * len(dots) > _MOST_BELOW
    )


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
