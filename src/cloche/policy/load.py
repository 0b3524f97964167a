"""Reading policy files: the only importer of YAML, and a strict one."""

from importlib.resources import files
from pathlib import Path
from typing import Protocol

import yaml

from cloche.policy.document import Node, Place
from cloche.policy.errors import PolicyInvalid
from cloche.policy.schema import Policy, read_policy


class _Mark(Protocol):
    """A place as both of the library's parsers give it; lines and columns count from 0."""

    line: int
    column: int


_LARGEST = 256 * 1024
_DEEPEST = 32


def load_policy(path: Path) -> Policy:
    """Read the policy at `path`. Raises PolicyInvalid with every mistake found."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyInvalid((f"{path}: {error.strerror}",)) from error
    return read_policy(parse(content, str(path)))


def load_default() -> Policy:
    """Give the policy that holds where nobody wrote one."""
    content = (files("cloche.policy") / "default.yaml").read_bytes()
    return read_policy(parse(content, "default.yaml"))


def parse(content: bytes, name: str) -> Node:
    """Turn bytes into a document. Raises PolicyInvalid for anything but plain YAML.

    Refused: more than 256 KiB, other encodings than UTF-8, aliases (a few of
    them can stand for gigabytes), tags, keys that are not text or come twice.
    """
    if len(content) > _LARGEST:
        raise PolicyInvalid((f"{name}: it is larger than {_LARGEST} bytes",))
    try:
        text = content.decode("utf-8")
        _check_events(text, name)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise PolicyInvalid((f"{name}: it is not UTF-8",)) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = _place(name, mark) if mark else name
        what = getattr(error, "problem", None) or "it is not YAML"
        raise PolicyInvalid((f"{where}: {what}",)) from error
    if root is None:
        raise PolicyInvalid((f"{name}:1:1: the document is empty",))
    return _node(root, name)


def _check_events(text: str, name: str) -> None:
    """Refuse aliases, and depths that take the library minutes, before a tree is made."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        place = _place(name, event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise PolicyInvalid((f"{place}: aliases are not accepted",))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise PolicyInvalid((f"{place}: nested deeper than {_DEEPEST} levels",))


def _place(name: str, mark: _Mark | None) -> Place:
    if mark is None:
        return Place(name, 1, 1)
    return Place(name, mark.line + 1, mark.column + 1)


def _node(node: yaml.Node, name: str) -> Node:
    place = _place(name, node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        return Node(tuple(_node(item, name) for item in node.value), place, {})
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, name)
    return Node(_scalar(node, place), place, {})


def _mapping(node: yaml.MappingNode, name: str) -> Node:
    values: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    for key, value in node.value:
        place = _place(name, key.start_mark)
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            raise PolicyInvalid((f"{place}: a key is text",))
        if key.value in values:
            raise PolicyInvalid((f"{place}: the key {key.value!r} is there twice",))
        values[key.value] = _node(value, name)
        keys[key.value] = place
    return Node(values, _place(name, node.start_mark), keys)


def _scalar(node: yaml.Node, place: Place) -> str | int | float | bool | None:
    kinds = ("str", "int", "float", "bool", "null")
    if node.tag not in tuple(f"tag:yaml.org,2002:{kind}" for kind in kinds):
        raise PolicyInvalid((f"{place}: {node.tag.rpartition(':')[2]} values are not accepted",))
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except (ValueError, yaml.YAMLError) as error:
        raise PolicyInvalid((f"{place}: {node.value[:40]!r} cannot be read",)) from error
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise PolicyInvalid((f"{place}: {node.value[:40]!r} cannot be read",))
