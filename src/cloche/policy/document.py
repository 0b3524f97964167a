"""A policy document as read: plain values that remember where they stood."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place: text, a number, a truth value, nothing, a list or a mapping."""

    value: "str | int | float | bool | tuple[Node, ...] | Mapping[str, Node] | None"
    place: Place
    keys: Mapping[str, Place]
    """For a mapping: where each key stands."""
