"""A project as its files say it is: solution, projects, central versions, locks, global.json."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import basename, dirname, join, splitext

from cloche.runtimes.dotnet.imports import nearest, parts_of
from cloche.runtimes.dotnet.literals import Scope
from cloche.runtimes.dotnet.lock import LOCK, Lock, read_lock
from cloche.runtimes.dotnet.markup import read_markup
from cloche.runtimes.dotnet.msproject import (
    KINDS,
    Contents,
    Item,
    read_contents,
    referenced,
    sdk_of,
)
from cloche.runtimes.dotnet.sdk import check_sdk
from cloche.runtimes.dotnet.solution import read_solution
from cloche.runtimes.project import LOCK_BYTES, ProjectView
from cloche.runtimes.provider import CannotPlan

_PROPS, _TARGETS, _CENTRAL = (
    "Directory.Build.props",
    "Directory.Build.targets",
    "Directory.Packages.props",
)
_RESPONSES = ("Directory.Build.rsp", "MSBuild.rsp")
_WEB = frozenset({"Microsoft.NET.Sdk.Web", "Microsoft.NET.Sdk.BlazorWebAssembly"})
_PROGRAMS = frozenset({"Microsoft.NET.Sdk.Web", "Microsoft.NET.Sdk.Worker"})
_SOLUTIONS = (".slnx", ".sln")
_BRINGING = ("PublishSingleFile", "PublishTrimmed", "PublishAot")
_OF_8 = re.compile(r"net([89]|\d\d)\.\d")
_MOST = 200
_MOST_NAMES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One project of a solution."""

    path: str
    sdk: str
    properties: dict[str, str]
    conditional: tuple[tuple[str, str, str], ...]
    items: tuple[Item, ...]
    notes: tuple[str, ...]
    lock: Lock | None = None
    is_described: bool = False
    """It says what only a package says."""

    @property
    def name(self) -> str:
        """The file's name without its ending: so MSBuild names the project and its output."""
        return splitext(basename(self.path))[0]

    @property
    def assembly(self) -> str:
        """The name of what is built."""
        return self.properties.get("AssemblyName", "") or self.name

    @property
    def is_test(self) -> bool:
        """Tell whether `dotnet test` finds tests in it."""
        told = self.properties.get("IsTestProject", "").lower()
        return told == "true" or (not told and self.uses("Microsoft.NET.Test.Sdk"))

    @property
    def keeps_lock(self) -> bool:
        """Tell whether NuGet is to make a lock where there is none."""
        return self.properties.get("RestorePackagesWithLockFile", "").lower() == "true"

    @property
    def is_web(self) -> bool:
        """Tell whether it serves."""
        return self.sdk == "Microsoft.NET.Sdk.Web"

    @property
    def is_desktop(self) -> bool:
        """Tell whether it needs Windows' desktop packs."""
        told = (self.properties.get(name, "").lower() for name in ("UseWPF", "UseWindowsForms"))
        return self.sdk == "Microsoft.NET.Sdk.WindowsDesktop" or "true" in told

    @property
    def is_program(self) -> bool:
        """Tell whether it is something to start, and to be published."""
        if self.is_test or self._says("IsPublishable", "false"):
            return False
        kind = self.properties.get("OutputType", "").lower()
        return kind in ("exe", "winexe") or (not kind and self.sdk in _PROGRAMS)

    @property
    def is_package(self) -> bool:
        """Tell whether it is a library that is meant to be a package, also beside programs."""
        if self.is_test or self.properties.get("OutputType", "Library").lower() != "library":
            return False
        meant = self.is_described or self._says("IsPackable", "true")
        meant |= bool(self.properties.get("PackageId"))
        return meant and self.sdk not in _PROGRAMS and not self._says("IsPackable", "false")

    @property
    def is_self_contained(self) -> bool:
        """Tell whether what is published brings the runtime along; one file does, unless it is said not to."""
        told = [
            self.properties.get(n, "").lower() for n in ("PublishSelfContained", "SelfContained")
        ]
        if any(told):
            return "true" in told
        return any(self._says(name, "true") for name in _BRINGING)

    @property
    def needs_runtime_packs(self) -> bool:
        """Tell whether it cannot be published, or not surely, without the packs of a runtime."""
        return (
            self.is_self_contained
            or any(
                self._says(name, "true")
                for name in ("PublishTrimmed", "PublishAot", "PublishReadyToRun")
            )
            or bool(self.conditional)
            or self.sdk == "Microsoft.NET.Sdk.BlazorWebAssembly"
            # Before 8.0 a runtime's identifier alone said so.
            or not all(_OF_8.match(framework) for framework in self.frameworks)
        )

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtime identifiers that it is published for; none: for any, with the runtime apart."""
        several = self.properties.get("RuntimeIdentifiers", "").split(";")
        one = self.properties.get("RuntimeIdentifier", "")
        found = [text.strip() for text in several if text.strip()]
        return tuple(dict.fromkeys([*([one] if one else []), *found]))

    @property
    def frameworks(self) -> tuple[str, ...]:
        """The target frameworks."""
        one = self.properties.get("TargetFramework", "")
        several = self.properties.get("TargetFrameworks", "")
        return tuple(text.strip() for text in (several or one).split(";") if text.strip())

    def _says(self, name: str, value: str) -> bool:
        return self.properties.get(name, "").lower() == value

    def uses(self, package: str) -> bool:
        """Tell whether it refers to a package."""
        return any(
            item.kind == "PackageReference" and item.name.lower() == package.lower()
            for item in self.items
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the verbs plan from."""

    target: str
    """The solution or project that the commands are given."""
    projects: tuple[Project, ...]
    notes: tuple[str, ...]

    @property
    def programs(self) -> tuple[Project, ...]:
        """What can be started."""
        return tuple(project for project in self.projects if project.is_program)

    @property
    def tests(self) -> tuple[Project, ...]:
        """What holds tests."""
        return tuple(project for project in self.projects if project.is_test)

    @property
    def locks(self) -> tuple[Lock, ...]:
        """The locks that are there."""
        return tuple(project.lock for project in self.projects if project.lock is not None)

    @property
    def unlocked(self) -> tuple[Project, ...]:
        """What is to have a lock and has none."""
        return tuple(p for p in self.projects if p.keeps_lock and p.lock is None)

    @property
    def name(self) -> str:
        """What a package of all of it is called."""
        return splitext(basename(self.target))[0]


def find_target(view: ProjectView) -> tuple[str, tuple[str, ...]] | None:
    """Give the solution or project to build, and notes; None where there is neither.

    What lies directly in the directory counts, as for the SDK's own commands: a project further
    down, which no solution here lists, is another project's. Raises CannotPlan where several
    projects are held together by no solution.
    """
    solutions = [name for kind in _SOLUTIONS for name in _at_top(view, kind)]
    if solutions:
        others = [name for name in solutions[1:] if splitext(name)[0] != splitext(solutions[0])[0]]
        notes = (f"of several solutions {solutions[0]} is built",) if others else ()
        return solutions[0], notes
    projects = [name for kind in KINDS for name in _at_top(view, kind)]
    if not projects:
        return None
    if len(projects) > 1:
        raise CannotPlan(
            ", ".join(projects[:5]), "several projects and no solution", "make one: dotnet new sln"
        )
    return projects[0], ()


def _at_top(view: ProjectView, ending: str) -> list[str]:
    # A view's "*" crosses slashes, so that what is further down counts for the limit as well.
    return [name for name in view.names(f"*{ending}", limit=_MOST_NAMES) if "/" not in name]


def read_source(view: ProjectView, sdk: str) -> Source:
    """Read everything that the verbs plan from, for SDK version `sdk`.

    Raises CannotPlan, LintRefused, OtherSdkWanted.
    """
    check_sdk(view, sdk)
    found = find_target(view)
    if found is None:
        raise CannotPlan("this directory", "no solution and no project is in it")
    target, notes = found
    paths, others = _listed(view, target)
    projects = tuple(_read_all(view, paths))
    _check_names(projects)
    notes += tuple(f"{name}: not a kind of project that is built" for name in others)
    notes += tuple(dict.fromkeys(note for project in projects for note in project.notes))
    responses = [name for name in _RESPONSES if view.read(name) is not None]
    if responses:
        notes += (
            f"{', '.join(responses)}: the SDK's arguments are Cloche's alone, it is not read",
        )
    if view.names("nuget.config") or view.names("[Nn]u[Gg]et.[Cc]onfig"):
        notes += (
            "packages come from your own NuGet sources: the project's NuGet.config is not followed",
        )
    return Source(target=target, projects=projects, notes=notes)


def _check_names(projects: tuple[Project, ...]) -> None:
    """Raise CannotPlan for two projects of one name: what is made of both would have one place."""
    known: dict[str, str] = {}
    for project in projects:
        other = known.setdefault(project.name.lower(), project.path)
        if other != project.path:
            raise CannotPlan(
                project.path, f"it has the name of {other}", "rename one of the project files"
            )


def _listed(view: ProjectView, target: str) -> tuple[list[str], list[str]]:
    if target.endswith(KINDS):
        return [target], []
    names = read_solution(target, _bytes(view, target))
    ours = [name for name in names if name.endswith(KINDS)]
    if not ours:
        raise CannotPlan(target, "it lists no project")
    return ours, [name for name in names if not name.endswith(KINDS)]


def _read_all(view: ProjectView, paths: list[str]) -> Iterator[Project]:
    """Yield the projects and those that they refer to, each once."""
    pending, seen = list(paths), set(paths)
    while pending:
        project = _read(view, pending.pop(0))
        yield project
        for item in project.items:
            if item.kind == "ProjectReference" and item.operation == "Include":
                target = referenced(project.path, item)
                if target not in seen:
                    seen.add(target)
                    pending.append(target)
        if len(seen) > _MOST:
            raise CannotPlan(paths[0], f"more than {_MOST} projects hang together")


def _read(view: ProjectView, path: str) -> Project:
    root = read_markup(path, _bytes(view, path))
    sdk = sdk_of(path, root)
    scope = Scope(
        {
            "MSBuildProjectName": splitext(basename(path))[0],
            "MSBuildProjectExtension": splitext(path)[1],
            "Configuration": "Release",
            "Platform": "AnyCPU",
            "OS": "Unix",
        }
    )
    around = {name: nearest(view, path, name) for name in (_PROPS, _CENTRAL, _TARGETS)}
    order = [around[_PROPS], around[_CENTRAL], (path, root), around[_TARGETS]]
    contents = Contents(scope=scope)
    read_contents([part for one in order if one for part in parts_of(view, *one)], contents)
    if scope.knows("NuGetLockFilePath"):
        raise CannotPlan(f"{path}: NuGetLockFilePath", f"a lock is looked for in {LOCK} alone")
    lock_path, locked = _find_lock(view, path)
    project = Project(
        path=path,
        sdk=sdk,
        properties=contents.properties,
        conditional=tuple(contents.conditional),
        items=tuple(contents.items),
        notes=tuple(contents.notes),
        lock=read_lock(lock_path, locked) if locked is not None else None,
        is_described=contents.is_described,
    )
    _check(project)
    return project


def _find_lock(view: ProjectView, path: str) -> tuple[str, bytes | None]:
    """Give a project's lock where NuGet looks for it: under the project's own name first."""
    own = f"packages.{splitext(basename(path))[0].replace(' ', '_')}.lock.json"
    for name in (own, LOCK):
        place = join(dirname(path), name)
        content = view.read(place, limit=LOCK_BYTES)
        if content is not None:
            return place, content
    return place, None


def _check(project: Project) -> None:
    if not project.frameworks:
        raise CannotPlan(
            project.path,
            "it names no target framework",
            "<TargetFramework>net10.0</TargetFramework>",
        )
    for item in project.items:
        for key in ("Version", "VersionOverride"):
            if "*" in item.get(key) and project.lock is None and not project.keeps_lock:
                raise CannotPlan(
                    f"{project.path}: {item.name}",
                    f"its version {item.get(key)!r} floats and there is no {LOCK}",
                    "name a version, or have a lock made: RestorePackagesWithLockFile",
                )


def _bytes(view: ProjectView, path: str) -> bytes:
    content = view.read(path)
    if content is None:
        raise CannotPlan(path, "it is not there, a link, or longer than a mebibyte")
    return content
