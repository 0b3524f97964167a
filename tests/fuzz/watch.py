"""Looks at a machine, and says what is no longer as it was."""

from collections.abc import Callable, Mapping

Facet = Callable[[], dict[str, str]]
"""One kind of thing a host has: names to values, each as plain text."""
Looks = dict[str, dict[str, str]]
COME_AND_GO = frozenset({"groups", "keys"})
"""Facets of which others make and remove things all the time: only what stays counts."""


class Watch:
    """Every facet of a host, as it was when the watch began.

    What differs between two looks at the beginning changes by itself, and is
    left out from then on: `restless` names it.
    """

    def __init__(self, facets: Mapping[str, Facet]) -> None:
        self._facets = facets
        first, second = self._look(), self._look()
        self.restless = {
            (facet, name)
            for facet in facets
            for name in {*first[facet], *second[facet]}
            if first[facet].get(name) != second[facet].get(name)
        }
        self._before = second

    def changes(self) -> list[str]:
        """Say in a line each what changed, appeared or is gone."""
        now = self._look()
        return [
            f"{facet}: {_plain(name)}: {_told(before)} -> {_told(after)}"
            for facet in self._facets
            for name in sorted({*self._before[facet], *now[facet]})
            if (facet, name) not in self.restless
            and not (facet in COME_AND_GO and (name in self._before[facet]) != (name in now[facet]))
            and (before := self._before[facet].get(name)) != (after := now[facet].get(name))
        ]

    def sees(self) -> Mapping[str, int]:
        """Count what is watched, by facet."""
        return {facet: len(found) for facet, found in self._before.items()}

    def _look(self) -> Looks:
        return {name: facet() for name, facet in self._facets.items()}


def _plain(name: str) -> str:
    """Give a name that a stranger may have made so that it does nothing to a terminal."""
    return name.encode("unicode_escape").decode("ascii")


def _told(value: str | None) -> str:
    return "nothing" if value is None else repr(value[:300])
