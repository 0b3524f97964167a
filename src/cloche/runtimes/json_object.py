"""JSON from strangers: strict, and every failure typed."""

import json
import re
from typing import Any, NoReturn

from cloche.runtimes.provider import CannotPlan

# A string that holds two slashes is no comment.
_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def read_object(name: str, content: bytes, *, comments: bool = False) -> dict[str, Any]:
    """Read one JSON object, with comments where its tool reads them so. Raises CannotPlan naming `name`.

    Any: the values are looked at one by one by whoever asked.
    """
    try:
        # Tools drop a byte order mark; so do we, or the two would read different files.
        text = content.decode("utf-8-sig")
        if comments:
            text = _COMMENT.sub(lambda found: found[1] or " ", text)
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise CannotPlan(name, f"it is not JSON: {error.msg} at {where}") from error
    except (ValueError, RecursionError) as error:
        raise CannotPlan(name, f"it is not JSON: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise CannotPlan(name, "it is not a JSON object")
    return value


def write_object(value: dict[str, Any]) -> bytes:
    """Write an object the same way every time; not a byte beyond ASCII."""
    return json.dumps(value, indent=2).encode() + b"\n"


def texts(value: object) -> dict[str, str]:
    """Give the entries of an object whose values are text; nothing from anything else."""
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
