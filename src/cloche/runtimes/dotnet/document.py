"""JSON from strangers: bounded, strict, and every failure typed."""

import json
import re
from typing import Any, NoReturn

from cloche.runtimes.provider import CannotPlan

# The host reads global.json with comments; a string that holds two slashes is no comment.
_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def read_object(name: str, content: bytes, *, comments: bool = False) -> dict[str, Any]:
    """Read one JSON object. Raises CannotPlan naming `name`.

    Any: the values are looked at one by one by whoever asked.
    """
    try:
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


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
