"""MSBuild values without MSBuild: literal text, properties that are literal themselves, simple conditions."""

import re
from collections.abc import Mapping

from cloche.runtimes.provider import CannotPlan

FRAMEWORK = "TargetFramework"
_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_ACTIVE = re.compile(r"[$@%]\(|%[0-9A-Fa-f]{2}")
_COMPARED = re.compile(r"\s*'([^']*)'\s*(==|!=)\s*'([^']*)'\s*\Z")
_OF_THE_SDK = re.compile(
    r"(MSBuild|TargetFramework|TargetPlatform|Runtime|NETCore|NuGet|Bundled|_)"
)
_MOST_STEPS = 16
_LONGEST = 4096


class Unknown(Exception):
    """What a value comes to cannot be known from the text alone."""


class Scope:
    """The properties that are known; names are compared without case, as MSBuild does."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = {name.lower(): value for name, value in known.items()}

    def set(self, name: str, value: str) -> None:
        """Give a property a value; it may refer to others."""
        self._known[name.lower()] = value

    def get(self, name: str) -> str:
        """Give a property as text; "" where nothing set it."""
        return self._known.get(name.lower(), "")

    def knows(self, name: str) -> bool:
        """Tell whether something set it."""
        return name.lower() in self._known

    def literal(self, text: str) -> str:
        """Give `text` with known properties put in. Raises Unknown for anything that must be evaluated."""
        for _ in range(_MOST_STEPS):
            if not (found := _REFERENCE.search(text)):
                break
            if not self.knows(found[1]):
                raise Unknown(f"$({found[1]}) is not known without evaluating it")
            text = f"{text[: found.start()]}{self.get(found[1])}{text[found.end() :]}"
            if len(text) > _LONGEST:
                raise Unknown("it grows without end")
        if _ACTIVE.search(text):
            raise Unknown(f"{text[:80]!r} must be evaluated")
        return text.strip()

    def holds(self, condition: str) -> bool:
        """Tell whether a comparison holds. Raises Unknown for any other condition."""
        if not condition.strip():
            return True
        match = _COMPARED.match(condition)
        if match is None:
            raise Unknown(f"the condition {condition[:80]!r} must be evaluated")
        left, right = self._side(match[1]), self._side(match[3])
        return (left.lower() == right.lower()) == (match[2] == "==")

    def _side(self, text: str) -> str:
        # What no file sets is empty, unless it is one of those that the SDK sets.
        for name in _REFERENCE.findall(text):
            if not self.knows(name) and not _OF_THE_SDK.match(name):
                text = text.replace(f"$({name})", "")
        return self.literal(text)


def framework_condition(condition: str) -> str:
    """Give a condition over the target framework alone, written anew; "" when it is another."""
    match = _COMPARED.match(condition)
    if match is None or match[1].strip() != f"$({FRAMEWORK})":
        return ""
    if not re.fullmatch(r"[A-Za-z0-9.\-]{1,60}", match[3]):
        return ""
    return f"'$({FRAMEWORK})' {match[2]} '{match[3]}'"


def refuse(name: str, what: str, problem: Unknown) -> CannotPlan:
    """Make a refusal that says why a value cannot be used."""
    return CannotPlan(
        f"{name}: {what}",
        str(problem),
        "a fetch has a network, so nothing of the project is evaluated for it: write the value itself",
    )
