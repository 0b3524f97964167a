"""MSBuild values without MSBuild: literal text, and properties that are literal themselves."""

import re
from collections.abc import Mapping

from cloche.runtimes.provider import CannotPlan

_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_-]*)\)")
# "EndsWith('Tests')" of a project's name is how libraries tell their tests apart.
_ASKED = re.compile(
    r"\$\(([A-Za-z_][A-Za-z0-9_-]*)\.(EndsWith|StartsWith|Contains)\('([^'$@%]{0,200})'\)\)"
)
_ACTIVE = re.compile(r"[$@%]\(|%[0-9A-Fa-f]{2}")
_OF_THE_SDK = re.compile(
    r"(?i:MSBuild|TargetFramework|TargetPlatform|Runtime|NETCore|NuGet|Bundled|_)"
)
# The SDK gives these a value only behind the project: what refers to one that is not set gets "".
_EMPTY_AT_FIRST = frozenset(
    {
        "targetframeworks", "runtimeidentifiers", "assemblyname", "packageid", "versionsuffix",
    }
)  # fmt: skip
_MOST_STEPS = 16
_LONGEST = 4096


class Unknown(Exception):
    """What a value comes to cannot be known from the text alone."""


class Scope:
    """The properties that are known; names are compared without case, as MSBuild does."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = {name.lower(): value for name, value in known.items()}
        self._when: dict[tuple[str, str], str] = {}
        self._lost: set[str] = set()

    def set(self, name: str, value: str) -> None:
        """Give a property a value as it is now; it may refer to others, and to what it was before.

        One that cannot be known is lost: whoever uses it is refused.
        """
        name = name.lower()
        before, itself = self._known.get(name, ""), re.compile(rf"(?i)\$\({re.escape(name)}\)")
        try:
            # Counted first: a few lines that double a value each would fill the memory.
            if len(itself.findall(value)) * len(before) > _LONGEST:
                raise Unknown("it grows without end")
            self._known[name] = self.literal(itself.sub(lambda _: before, value))
        except Unknown:
            self.lose(name)
        else:
            if name in self._lost:  # what was said under conditions before counts no more
                self._lost.discard(name)
                self._when = {key: kept for key, kept in self._when.items() if key[1] != name}

    def set_when(self, condition: str, name: str, value: str) -> None:
        """Give a property a value under a condition that is not decided here: elsewhere it is unknown."""
        self._when[condition, name.lower()] = value
        self._lost.add(name.lower())

    def lose(self, name: str) -> None:
        """Say that something sets a property, and that nobody knows to what."""
        self._lost.add(name.lower())

    def knows(self, name: str) -> bool:
        """Tell whether something sets a property, to whatever."""
        return name.lower() in self._known or name.lower() in self._lost

    def literal(self, text: str, *, when: str = "") -> str:
        """Give `text` with known properties put in. Raises Unknown for anything that must be evaluated.

        `when` is the undecided condition under which it is asked.
        """
        for _ in range(_MOST_STEPS):
            if not (found := _ASKED.search(text) or _REFERENCE.search(text)):
                break
            text = f"{text[: found.start()]}{self._put(found, when)}{text[found.end() :]}"
            if len(text) > _LONGEST:
                raise Unknown("it grows without end")
        if _ACTIVE.search(text):
            raise Unknown(f"{text[:80]!r} must be evaluated")
        return text.strip()

    def side(self, text: str) -> str:
        """Give one side of a comparison: there what nothing sets is empty, unless the SDK sets it."""
        for name in _REFERENCE.findall(text):
            lowered = name.lower()
            if not {lowered} & (self._known.keys() | self._lost) and not _OF_THE_SDK.match(name):
                text = text.replace(f"$({name})", "")
        return self.literal(text)

    def _put(self, found: "re.Match[str]", when: str) -> str:
        name = found[1].lower()
        if when and (when, name) in self._when:
            value = self._when[when, name]
        elif self._is_unknown(name):
            raise Unknown(f"$({found[1]}) is not known without evaluating it")
        else:
            value = self._known.get(name, "")
        if found.re is _REFERENCE:
            return value
        value = self.literal(value, when=when)
        asked = {
            "EndsWith": value.endswith,
            "StartsWith": value.startswith,
            "Contains": value.__contains__,
        }
        return str(asked[found[2]](found[3]))

    def _is_unknown(self, name: str) -> bool:
        # Of several frameworks each build has its own, whatever was said before of one.
        if name == "targetframework" and self._known.get("targetframeworks"):
            return True
        return name in self._lost or (name not in self._known and name not in _EMPTY_AT_FIRST)


def refuse(name: str, what: str, problem: Unknown) -> CannotPlan:
    """Make a refusal that says why a value cannot be used."""
    return CannotPlan(
        f"{name}: {what}",
        str(problem),
        "a fetch has a network, so nothing of the project is evaluated for it: write the value itself",
    )
