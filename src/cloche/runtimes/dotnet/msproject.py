"""One project file as values: what decides which packages are needed, and nothing else."""

import re
from dataclasses import dataclass, field
from posixpath import dirname, join, normpath

from cloche.runtimes.dotnet.conditions import decide
from cloche.runtimes.dotnet.imports import Part
from cloche.runtimes.dotnet.literals import Scope, Unknown, refuse
from cloche.runtimes.dotnet.markup import Element
from cloche.runtimes.provider import CannotPlan

SDKS = frozenset(
    {
        "Microsoft.NET.Sdk",
        "Microsoft.NET.Sdk.Web",
        "Microsoft.NET.Sdk.Worker",
        "Microsoft.NET.Sdk.Razor",
        "Microsoft.NET.Sdk.BlazorWebAssembly",
        "Microsoft.NET.Sdk.WindowsDesktop",
    }
)
KINDS = (".csproj", ".vbproj", ".fsproj")
# Everything that adds a package or a pack to a restore, or names the project in a lock.
PROPERTIES = (
    "TargetFramework", "TargetFrameworks", "TargetPlatformVersion", "RuntimeIdentifier",
    "RuntimeIdentifiers", "RuntimeFrameworkVersion", "OutputType", "SelfContained",
    "PublishSingleFile", "PublishTrimmed", "PublishAot", "PublishReadyToRun", "PublishSelfContained",
    "IsTrimmable", "IsAotCompatible", "EnableTrimAnalyzer", "EnableAotAnalyzer",
    "EnableSingleFileAnalyzer", "UseWPF", "UseWindowsForms", "UseAppHost", "DisableImplicitFrameworkReferences",
    "DisableTransitiveProjectReferences", "ManagePackageVersionsCentrally",
    "CentralPackageTransitivePinningEnabled", "CentralPackageVersionOverrideEnabled",
    "RestorePackagesWithLockFile", "AssemblyName", "PackageId", "IsTestProject", "IsPackable",
    "IsPublishable", "Version", "VersionPrefix", "VersionSuffix",
)  # fmt: skip
# Whoever says one of these of a library means to publish it as a package.
_DESCRIBING = frozenset(
    {
        "packagetags", "packageprojecturl", "packagelicenseexpression", "packagereadmefile",
        "packageicon", "packagereleasenotes", "generatepackageonbuild",
    }
)  # fmt: skip
_NAMED = {name.lower(): name for name in PROPERTIES}
# Others may name what a restore uses, so they are kept for `$(...)`, and never written.
_ITEMS = {
    "PackageReference": ("Version", "VersionOverride", "PrivateAssets", "IncludeAssets", "ExcludeAssets"),
    "PackageVersion": ("Version",),
    "GlobalPackageReference": ("Version", "PrivateAssets", "IncludeAssets", "ExcludeAssets"),
    "PackageDownload": ("Version",),
    "FrameworkReference": ("PrivateAssets",),
    "ProjectReference": ("PrivateAssets", "ReferenceOutputAssembly", "OutputItemType", "SetTargetFramework"),
}  # fmt: skip
_VERSIONS = frozenset({"Version", "VersionOverride"})
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}\Z")
_VERSION = re.compile(r"[A-Za-z0-9.\-+\[\](), ;*]{1,100}\Z")
_VALUE = re.compile(r"[A-Za-z0-9_.;,=+\- ]{0,1000}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One reference, with literal metadata."""

    kind: str
    operation: str
    """Include, Update or Remove."""
    name: str
    metadata: tuple[tuple[str, str], ...] = ()
    condition: str = ""
    """Over the target framework alone; "" for always."""

    def get(self, name: str) -> str:
        """Give metadata; "" when there is none."""
        return dict(self.metadata).get(name, "")


@dataclass(slots=True, kw_only=True)
class Contents:
    """What a project file and those that are imported around it say, in order."""

    scope: Scope
    properties: dict[str, str] = field(default_factory=dict)
    conditional: list[tuple[str, str, str]] = field(default_factory=list)
    """(condition over the framework, property, value)."""
    items: list[Item] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_described: bool = False
    """It says what only a package says."""


def sdk_of(path: str, root: Element) -> str:
    """Give a project's SDK. Raises CannotPlan for none, a downloaded or an unknown one."""
    if root.name != "Project":
        raise CannotPlan(path, f"its root element is {root.name!r}, not Project")
    name = root.attributes.get("Sdk", "").strip()
    for more in root.find_all("Sdk"):
        what = f"the SDK {more.attributes.get('Name', '')[:80]!r}"
        raise CannotPlan(path, f"{what} is beside that of <Project>", "use one, in <Project Sdk>")
    if not name:
        raise CannotPlan(
            path,
            "it does not name one SDK in <Project Sdk>: projects of the .NET Framework's form are not built",
        )
    if name not in SDKS:
        why = "is downloaded and runs" if "/" in name else "is not one of the SDK's own"
        raise CannotPlan(
            path, f"the SDK {name[:80]!r} {why}", f"use one of {', '.join(sorted(SDKS))}"
        )
    return name


def read_contents(parts: list[Part], into: Contents) -> None:
    """Add what `parts` say, in the order in which MSBuild reads them: all properties, then all items.

    Raises CannotPlan for a used value that is not literal.
    """
    for path, element in parts:
        match element.name:
            case "PropertyGroup":
                _take_properties(path, element, into)
            case "Import" | "ImportGroup":
                into.notes.append(f"{path}: what it imports is not looked at for the fetch")
            case "Choose":
                if _is_used(element):
                    why = "<Choose> decides about its packages"
                    raise CannotPlan(path, why, "write them without")
    for path, element in parts:
        if element.name == "ItemGroup":
            _take_items(path, element, into)


def _is_used(element: Element) -> bool:
    return any(
        child.name in _ITEMS or child.name.lower() in _NAMED or _is_used(child)
        for child in element.children
    )


def _take_properties(path: str, group: Element, into: Contents) -> None:
    for element in group.children:
        used = _NAMED.get(element.name.lower())
        try:
            framework = decide(_conditions(group, element), into.scope)
        except Unknown as problem:
            if used:
                raise refuse(path, element.name, problem) from problem
            into.scope.lose(element.name)  # nothing of a restore, and no other value may use it
            continue
        if framework is None:
            continue
        into.is_described |= element.name.lower() in _DESCRIBING and bool(element.text.strip())
        if not used:
            if framework:
                into.scope.set_when(framework, element.name, element.text)
            else:
                into.scope.set(element.name, element.text)
            continue
        try:
            value = into.scope.literal(element.text, when=framework)
        except Unknown as problem:
            raise refuse(path, element.name, problem) from problem
        if not _VALUE.match(value):
            raise CannotPlan(f"{path}: {used}", f"{value[:80]!r} is no value for it")
        if framework:
            into.conditional.append((framework, used, value))
        else:
            into.properties[used] = value
            into.scope.set(used, value)


def _conditions(*elements: Element) -> list[str]:
    return [condition for e in elements if (condition := e.attributes.get("Condition", ""))]


def _take_items(path: str, group: Element, into: Contents) -> None:
    for element in group.children:
        if element.name not in _ITEMS:
            continue
        try:
            framework = decide(_conditions(group, element), into.scope)
            if framework is None:
                continue
            operation = next(
                o for o in ("Include", "Update", "Remove", "") if o in element.attributes or not o
            )
            names = into.scope.literal(element.attributes.get(operation, ""), when=framework)
            metadata = tuple(
                (key, into.scope.literal(text, when=framework))
                for key in _ITEMS[element.name]
                if (text := element.get(key))
            )
        except Unknown as problem:
            raise refuse(path, element.name, problem) from problem
        for name in filter(None, (name.strip() for name in names.split(";"))):
            item = Item(
                kind=element.name,
                operation=operation,
                name=name,
                metadata=metadata,
                condition=framework,
            )
            _check(path, item)
            into.items.append(item)


def _check(path: str, item: Item) -> None:
    what = f"{path}: {item.kind} {item.name[:80]!r}"
    if item.kind != "ProjectReference" and not _ID.match(item.name):
        raise CannotPlan(what, "that is no name of a package")
    for key, value in item.metadata:
        allowed = _VERSION if key in _VERSIONS else _VALUE
        if not allowed.match(value):
            raise CannotPlan(what, f"its {key} is {value[:80]!r}")


def referenced(path: str, item: Item) -> str:
    """Give the project-relative path of a referenced project. Raises CannotPlan when it lies outside."""
    target = normpath(join(dirname(path), item.name.replace("\\", "/")))
    if target.startswith(("../", "/")) or not target.endswith(KINDS) or "*" in target:
        raise CannotPlan(
            f"{path}: ProjectReference {item.name[:80]!r}",
            "that is no project below this directory",
        )
    return target
