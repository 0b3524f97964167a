"""global.json as data: which SDK a project wants, judged against the one that was found."""

import re
from typing import Any

from cloche.errors import ClocheError
from cloche.runtimes.json_object import read_object
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan

GLOBAL = "global.json"
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,3})(?:-[0-9A-Za-z.\-]+)?\Z")
_RULES = frozenset(
    {
        "disable", "patch", "feature", "minor", "major",
        "latestpatch", "latestfeature", "latestminor", "latestmajor",
    }
)  # fmt: skip


class OtherSdkWanted(ClocheError):
    """A project's global.json asks for an SDK that is not the one on this machine."""

    code = "other-sdk-wanted"
    exit_status = 87
    remedy = (
        "Install that SDK and name its directory in DOTNET_ROOT, or let global.json accept others"
        ' ("rollForward": "latestMinor").'
    )

    def __init__(self, wanted: str, rule: str, found: str) -> None:
        super().__init__(f"{GLOBAL} wants SDK {wanted} (rollForward {rule}), found {found}")
        self.wanted, self.rule, self.found = wanted, rule, found


def check_sdk(view: ProjectView, found: str) -> None:
    """Raise CannotPlan or OtherSdkWanted where the project's global.json does not go with SDK `found`.

    The muxer reads `sdk.paths` before any SDK starts, and then runs the
    project's own: that is refused whatever else is said.
    """
    content = view.read(GLOBAL)
    if content is None:
        return
    document = read_object(GLOBAL, content, comments=True)
    sdk = document.get("sdk", {})
    if not isinstance(sdk, dict):
        raise CannotPlan(GLOBAL, '"sdk" is not an object')
    lowered = {str(key).lower(): value for key, value in sdk.items()}
    if "paths" in lowered:
        raise CannotPlan(
            GLOBAL,
            "sdk.paths makes every dotnet command run an SDK of the project's own",
            "remove it",
        )
    if any(str(key).lower() == "msbuild-sdks" and value for key, value in document.items()):
        raise CannotPlan(
            GLOBAL, "msbuild-sdks names SDKs that are downloaded and run", "remove them"
        )
    _check_version(lowered, found)


def _check_version(sdk: dict[str, Any], found: str) -> None:
    wanted = sdk.get("version", "")
    if not isinstance(wanted, str) or not wanted:
        return
    rule = sdk.get("rollforward", "patch")
    match, have = _VERSION.match(wanted), _VERSION.match(found)
    if match is None or not isinstance(rule, str) or rule.lower() not in _RULES:
        raise CannotPlan(
            GLOBAL, f"version {wanted!r} with rollForward {rule!r} is not what the SDK reads"
        )
    if have is None:
        return
    if not _fits(_numbers(match), _numbers(have), rule.lower()):
        raise OtherSdkWanted(wanted, rule, found)


def _numbers(match: "re.Match[str]") -> tuple[int, ...]:
    major, minor, last = map(int, match.groups())
    return major, minor, *divmod(last, 100)  # a feature band and a patch: 10.0.0 is of band 0


def _fits(wanted: tuple[int, ...], found: tuple[int, ...], rule: str) -> bool:
    """Tell whether `found` may stand for `wanted`: both are major, minor, feature band, patch.

    Written after what the host of SDK 10.0.401 did with each rule.
    """
    if rule == "disable":
        return found == wanted
    same = {
        "patch": 3,
        "latestpatch": 3,
        "feature": 2,
        "latestfeature": 2,
        "minor": 1,
        "latestminor": 1,
    }
    kept = same.get(rule, 0)
    return found >= wanted and found[:kept] == wanted[:kept]
