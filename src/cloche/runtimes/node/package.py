"""What a package is made of: a site's files, or a server with exactly its production packages."""

from dataclasses import dataclass
from importlib.resources import files

from cloche.model.ids import StepId
from cloche.model.step import (
    Access,
    ArtifactSpec,
    Mount,
    Net,
    Plan,
    Probe,
    Projection,
    Source,
    Step,
    Trust,
)
from cloche.runtimes.node.components import components_of
from cloche.runtimes.node.frameworks import is_server, program_of
from cloche.runtimes.node.lock import Lock
from cloche.runtimes.node.manifest import Manifest
from cloche.runtimes.node.members import (
    built_site,
    member_files,
    start_script,
    starting_member,
)
from cloche.runtimes.node.names import is_inside
from cloche.runtimes.node.script import Command, read_script, without_building
from cloche.runtimes.node.source import (
    LOCK,
    MANIFEST,
    read_manifest_only,
    read_members,
    read_project_lock,
)
from cloche.runtimes.node.vocabulary import HOST, NODE, NPM, environment
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan

_AT = "/package"
_PORT = 3000
_SERVER = "serve.mjs"
# Directories a server may read at run time, besides what it was built to.
_COMPANIONS = ("public", "static", "views", "assets", "prisma", "migrations", "drizzle")
_SOURCES = ("src", "lib", "server", "app", "api", "routes")
# Made anew at each run, and different each time. Names without a slash mean any depth.
_NOISE = (
    ".cache",
    ".vite",
    "tsconfig.tsbuildinfo",
    # What a C compiler left on the way to a native module.
    "obj.target",
    ".deps",
    ".next/cache",
    ".next/trace",
    ".next/trace-build",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """What goes in, and how it is started."""

    include: tuple[str, ...]
    serve: Step | None
    projections: tuple[Projection, ...] = ()
    notes: tuple[str, ...] = ()


def plan_package(view: ProjectView) -> Plan:
    """Plan the package of a built project. Raises CannotPlan when nothing is built."""
    manifest = read_manifest_only(view)
    lock = read_project_lock(view)
    contents = _contents(manifest, read_members(view, manifest), lock, view)
    return Plan(
        verb="package",
        steps=(),
        projections=contents.projections,
        artifact=ArtifactSpec(
            name=manifest.name or "app",
            version=manifest.version or "0.0.0",
            include=contents.include,
            exclude=_NOISE,
            components=components_of(lock) if lock is not None else (),
            serve=contents.serve,
        ),
        notes=contents.notes,
    )


def _contents(
    manifest: Manifest, members: tuple[Manifest, ...], lock: Lock | None, view: ProjectView
) -> _Contents:
    if manifest.depends_on("next") and view.read(".next/BUILD_ID") is not None:
        return _next(lock, view)
    start = _start_command(manifest)
    if start is not None and any(is_server(one) for one in (manifest, *members)):
        return _server(manifest, members, lock, view)
    if site := built_site(manifest, members, view):
        return _static(site)
    return _server(manifest, members, lock, view)


def _static(site: str) -> _Contents:
    content = files("cloche.runtimes.node").joinpath(_SERVER).read_bytes()
    mount = Mount(target="/server", source=Source.PROJECTION, ref="server", access=Access.WRITE)
    argv = (NODE, f"/server/{_SERVER}", f"{_AT}/{site}", HOST, str(_PORT))
    return _Contents(
        include=(site,),
        serve=_serve(argv, more=(mount,)),
        projections=(Projection(ref="server", files={_SERVER: content}),),
    )


def _next(lock: Lock | None, view: ProjectView) -> _Contents:
    if view.read("out/index.html") is not None:
        return _static("out")
    if view.read(".next/standalone/server.js", limit=16 << 20) is not None:
        # Next leaves these two for whoever deploys; both are found where the server expects them.
        include = (".next/standalone", ".next/static", *_there(("public",), view))
        return _Contents(
            include=include,
            serve=_serve((NODE, ".next/standalone/server.js"), cwd=_AT),
            notes=(
                "a standalone server of Next: copy .next/static and public beside it to deploy",
            ),
        )
    program = program_of(view, "next", "next")
    if not program:
        raise CannotPlan("node_modules/next", "it is not installed", "resolve first")
    own = (*view.names("next.config.*"), *_there(("public",), view))
    include = (".next", MANIFEST, *own, *_production(lock, view))
    argv = (NODE, program, "start", "-H", HOST, "-p", str(_PORT))
    return _Contents(include=include, serve=_serve(argv))


def _server(
    manifest: Manifest, members: tuple[Manifest, ...], lock: Lock | None, view: ProjectView
) -> _Contents:
    notes: tuple[str, ...] = ()
    start = _start_command(manifest)
    argv = _start(manifest, lock, view, start)
    if not argv:
        starting = starting_member(manifest, members)
        name, where = start_script(starting), starting.directory
        argv = (NODE, NPM, "run", name, *((f"--workspace={where}",) if where else ()))
        notes = (f"the script {name} of {where or 'the project'} is started through npm",)
    built = tuple(name for name in ("dist", "build", ".output") if view.names(f"{name}/*", limit=1))
    entry = argv[1] if argv[1] != NPM else ""
    included = list(dict.fromkeys((*built, *_there(_COMPANIONS, view), *_locked(view))))
    included += member_files(members, lock, view)
    if entry and not _covers(included, entry) and not entry.startswith("node_modules/"):
        included += _sources_of(entry, view)
    elif not built and not members:
        included += _there(_SOURCES, view)
    included += _production(lock, view)
    return _Contents(include=tuple(dict.fromkeys(included)), serve=_serve(argv), notes=notes)


def _start_command(manifest: Manifest) -> Command | None:
    return read_script(without_building(manifest.scripts.get(start_script(manifest), "")))


def _start(
    manifest: Manifest, lock: Lock | None, view: ProjectView, start: Command | None
) -> tuple[str, ...]:
    """Give the command of the server without a shell; () when that cannot be known."""
    if start is None:
        return (NODE, manifest.main) if manifest.main and is_inside(manifest.main) else ()
    if start.program == "node":
        plain = [word for word in start.arguments if not word.startswith("-")]
        if len(plain) == len(start.arguments) and plain:
            return (NODE, _script_file(plain[0].removeprefix("./"), view), *plain[1:])
        return (NODE, *start.arguments)
    for entry in lock.packages() if lock is not None else ():
        if start.program in entry.commands and not entry.development:
            name = entry.path.removeprefix("node_modules/")
            if program := program_of(view, name, start.program):
                return (NODE, program, *start.arguments)
    return ()


def _script_file(name: str, view: ProjectView) -> str:
    """Give the file that node runs for `name`, which may leave out an ending or name a directory."""
    likely = (name, f"{name}.js", f"{name}/index.js")
    return next((file for file in likely if view.read(file, limit=64 << 20) is not None), name)


def _sources_of(entry: str, view: ProjectView) -> list[str]:
    """Give what a server that needs no build is made of: its own directory, or its files at the root."""
    top, _, below = entry.partition("/")
    if below:
        return [top]
    roots = [
        name
        for pattern in ("*.js", "*.mjs", "*.cjs", "*.json")
        for name in view.names(pattern)
        if "/" not in name
    ]
    return [*roots, *_there(_SOURCES, view)]


def _locked(view: ProjectView) -> tuple[str, ...]:
    return tuple(name for name in (MANIFEST, LOCK) if view.read(name, limit=64 << 20) is not None)


def _production(lock: Lock | None, view: ProjectView) -> tuple[str, ...]:
    """Give the installed packages that production needs, from the lock alone; nested ones come along."""
    paths: list[str] = []
    for entry in lock.packages() if lock is not None else ():
        if entry.development or any(entry.path.startswith(f"{path}/") for path in paths[-1:]):
            continue
        # Optional packages of other systems are in the lock and not on the disk.
        if view.read(f"{entry.path}/package.json") is not None:
            paths.append(entry.path)
    return tuple(paths)


def _there(names: tuple[str, ...], view: ProjectView) -> tuple[str, ...]:
    return tuple(name for name in names if view.names(f"{name}/*", limit=1))


def _covers(included: list[str], path: str) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in included)


def _serve(argv: tuple[str, ...], *, cwd: str = _AT, more: tuple[Mount, ...] = ()) -> Step:
    return Step(
        id=StepId("serve-package"),
        title="Start the package",
        argv=argv,
        trust=Trust.PROJECT,
        net=Net.INBOUND,
        cwd=cwd,
        env=environment(PORT=str(_PORT), HOST=HOST, HOSTNAME=HOST, NODE_ENV="production"),
        mounts=(Mount(target=_AT, source=Source.PACKAGE), *more),
        limits="preview",
        parser="build",
        probe=Probe(port=_PORT),
    )
