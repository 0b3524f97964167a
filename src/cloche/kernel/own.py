"""What Cloche itself runs from and believes: no commit may change it, whatever the policy says."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from cloche.model.paths import JailPath

_PACKAGES = ("cloche", "cloche_launch", "cloche_redteam")


def find_own_places(policy_file: Path | None, *homes: Path) -> tuple[Path, ...]:
    """Give our interpreter's trees, our packages, our `homes` such as the caches, and the policy in force.

    Any of them may lie in a project: a virtual environment there is where many
    install us. What a sandbox writes there would run on the host, outside of
    any jar, when Cloche is next started.
    """
    places = [Path(sys.prefix), Path(sys.base_prefix), *homes]
    for name in _PACKAGES:
        spec = find_spec(name)
        places += map(Path, (spec and spec.submodule_search_locations) or ())
    if policy_file is not None:
        places.append(policy_file)
    # A link may be exchanged as well as what it leads to.
    return tuple(dict.fromkeys(each for place in places for each in (_real(place), _named(place))))


def own_places_in(project: Path, places: tuple[Path, ...]) -> tuple[tuple[str, ...], ...]:
    """Give those of `places` that are `project` or lie in it, as parts below it. Pure."""
    return tuple(p.relative_to(project).parts for p in places if p.is_relative_to(project))


def own_objections(path: JailPath, own: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Give the reasons against a change of `path` when `own` holds places of ours. Pure."""
    return tuple(
        f"Cloche itself runs from {'/'.join(place) or 'the project'}"
        for place in own
        if path.parts[: len(place)] == place
    )


def _real(place: Path) -> Path:
    return Path(os.path.realpath(place))


def _named(place: Path) -> Path:
    absolute = place.absolute()
    return _real(absolute.parent) / absolute.name
