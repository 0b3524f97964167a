"""What a fetch sees of a project: a tree of projects written here, with literal references alone."""

from posixpath import dirname, join
from xml.sax.saxutils import escape, quoteattr

from cloche.model.step import Projection
from cloche.runtimes.dotnet.lock import LOCK, write_lock
from cloche.runtimes.dotnet.msproject import Item
from cloche.runtimes.dotnet.source import Project, Source

PROJECTION = "dotnet"
ANEW = "dotnet-anew"
"""As PROJECTION, with nothing taken from what other projects brought."""
FETCH = "fetch.proj"
SOURCE = "cloche"
"""The name of the cache among the sources of packages."""
_TREE = "tree"
_SOLUTION = "all.slnx"
# Nothing of these is the SDK's to decide for a fetch.
_NOT_WRITTEN = frozenset(
    {"Version", "VersionPrefix", "VersionSuffix", "IsPublishable", "IsPackable"}
)

# Restores the tree, then gives the cache each package under the SHA-512 of its file: the version's
# build metadata, which NuGet reads in a file's name and then looks for in the package itself. Each
# replica has a directory of its own there, in which its restore finds what its fetch brought and nothing else.
_FETCH = """\
<Project DefaultTargets="Fetch">
  <Target Name="Fetch">
    <MakeDir Directories="{shared};{own}" />
    <Touch Files="{own}/fetched" AlwaysCreate="true" />
    <MSBuild Projects="/p/tree/all.slnx" Targets="Restore" Properties="{properties}" />
    <ItemGroup>
      <Package Include="/p/packages/*/*/*.nupkg" />
    </ItemGroup>
    <GetFileHash Files="@(Package)" Algorithm="SHA512" HashEncoding="hex">
      <Output TaskParameter="Items" ItemName="Hashed" />
    </GetFileHash>
    <ItemGroup>
      <Hashed>
        <Kept>{own}/%(Filename)+%(FileHash).nupkg</Kept>
      </Hashed>
    </ItemGroup>
    <Copy SourceFiles="@(Hashed)" DestinationFiles="@(Hashed->'%(Kept)')" Condition="!Exists('%(Kept)')" />
  </Target>
</Project>
"""


def project_files(
    source: Source, properties: str, shared: str, own: str
) -> tuple[Projection, Projection]:
    """Give the replica of `source`, once with the packages that all projects share beside the user's sources."""
    fetch = {
        FETCH: _FETCH.format(properties=properties, shared=shared, own=own).encode()
    } | tree_files(source)
    return (
        Projection(
            ref=PROJECTION, files=fetch | {"NuGet.config": sources_of((shared,), more=True)}
        ),
        Projection(ref=ANEW, files=fetch | {"NuGet.config": sources_of((), more=True)}),
    )


def tree_files(source: Source) -> dict[str, bytes]:
    """Give the projects of a replica: the same paths and names, since locks and references name them."""
    files = {
        f"{_TREE}/{_SOLUTION}": _solution(source),
        # What central versions are read from; each project states its own.
        f"{_TREE}/Directory.Packages.props": b"<Project />\n",
        f"{_TREE}/Directory.Build.props": b"<Project />\n",
        f"{_TREE}/Directory.Build.targets": b"<Project />\n",
    }
    for project in source.projects:
        files[f"{_TREE}/{project.path}"] = _project(project)
        if project.lock is not None:
            files[f"{_TREE}/{lock_of(project)}"] = write_lock(project.lock)
    return files


def lock_of(project: Project) -> str:
    """Give the path of a project's lock, or of the one that NuGet would make, below the directory of all."""
    return project.lock.path if project.lock is not None else join(dirname(project.path), LOCK)


def sources_of(places: tuple[str, ...], *, more: bool) -> bytes:
    """Give a NuGet.config with these folders as sources; `more`: beside those of the user's."""
    clear = "" if more else "<clear />"
    added = "".join(
        f"<add key={quoteattr(f'{SOURCE}{number or str()}')} value={quoteattr(place)} />"
        for number, place in enumerate(places)
    )
    return (
        f"<configuration><packageSources>{clear}{added}</packageSources>"
        "<fallbackPackageFolders><clear /></fallbackPackageFolders></configuration>\n"
    ).encode()


def _solution(source: Source) -> bytes:
    lines = "".join(f"<Project Path={quoteattr(project.path)} />" for project in source.projects)
    return f"<Solution>{lines}</Solution>\n".encode()


def _project(project: Project) -> bytes:
    properties = "".join(
        f"<{name}>{escape(value)}</{name}>"
        for name, value in project.properties.items()
        if name not in _NOT_WRITTEN
    )
    conditional = "".join(
        f"<{name} Condition={quoteattr(condition)}>{escape(value)}</{name}>"
        for condition, name, value in project.conditional
        if name not in _NOT_WRITTEN
    )
    items = "".join(_item(item) for item in project.items)
    return (
        f"<Project Sdk={quoteattr(project.sdk)}>\n<PropertyGroup>{properties}{conditional}</PropertyGroup>\n"
        f"<ItemGroup>{items}</ItemGroup>\n</Project>\n"
    ).encode()


def _item(item: Item) -> str:
    name = item.name.replace("\\", "/") if item.kind == "ProjectReference" else item.name
    condition = f" Condition={quoteattr(item.condition)}" if item.condition else ""
    metadata = "".join(f" {key}={quoteattr(value)}" for key, value in item.metadata)
    return f"<{item.kind} {item.operation}={quoteattr(name)}{condition}{metadata} />"
