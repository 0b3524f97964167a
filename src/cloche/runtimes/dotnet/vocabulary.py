"""The words the SDK's steps are made of: programs, properties, environments, mounts."""

from hashlib import sha256

from cloche.model.step import HEAP_BYTES, Access, Mount, Projection, Source
from cloche.runtimes.dotnet.cached import SHARED
from cloche.runtimes.dotnet.projection import PROJECTION, project_files, sources_of, tree_files
from cloche.runtimes.dotnet.source import Source as Sources
from cloche.runtimes.provider import HostFacts

DOTNET = "@dotnet/dotnet"
CACHE = "nuget"
HOST = "127.0.0.1"
BUILT = "/build/out"
PACKAGES = "/build/packages"
OFFLINE = "offline"
SOURCES = "sources"
"""Key of the settings that names the sources alone, one a line: not the hosts that these name in turn."""
ARTIFACTS = f"--artifacts-path={BUILT}"

PROJECT = Mount(target="/project", source=Source.PROJECT, access=Access.PRIVATE)
PROJECT_TO_LOOK_AT = Mount(target="/project", source=Source.PROJECT, access=Access.READ)
CACHED = Mount(target=f"/cache/{CACHE}", source=Source.CACHE, ref=CACHE)
LOCK_LINTER = "nuget-lock"
FETCH_MOUNTS = (
    Mount(target="/p", source=Source.PROJECTION, ref=PROJECTION, access=Access.WRITE),
    Mount(target=f"/cache/{CACHE}", source=Source.CACHE, ref=CACHE, access=Access.PRIVATE),
    Mount(target="/home/user", source=Source.USER_CONFIG, ref=CACHE),
)

# What a restore and a build must agree in, or the second asks for packages the first has not brought.
_COMMON = {
    "NuGetAudit": "false",
    # Else a self-contained console asks for the packs of the web and of Windows' desktop too.
    "DisableTransitiveFrameworkReferenceDownloads": "true",
    "EnableWindowsTargeting": "true",
}
_OWN = {
    # A package of an earlier run in the project's directory is content of no web application.
    "DefaultItemExcludesInProjectFolder": "artifacts/**%3BTestResults/**",
}
# What leaves the runtime to its user takes an apphost alone: yet a list of runtimes asks for the packs
# of each, and so do the analyzers of a single file, which warn of what has no place in one.
_WITHOUT_RUNTIMES = {"EnableRuntimePackDownload": "false", "EnableSingleFileAnalyzer": "false"}
QUIET = ("-noAutoResponse", "-nologo", "-nodeReuse:false")

_ENVIRONMENT = {
    "DOTNET_ROOT": "@dotnet",
    "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
    "DOTNET_NOLOGO": "1",
    "DOTNET_CLI_UI_LANGUAGE": "en",
    "DOTNET_CLI_WORKLOAD_UPDATE_NOTIFY_DISABLE": "1",
    # Else each fresh home makes a key pair, also in a restore.
    "DOTNET_GENERATE_ASPNET_CERTIFICATE": "false",
    # No sockets and fifos in /tmp through which a process would take commands.
    "DOTNET_EnableDiagnostics": "0",
    "MSBUILDDISABLENODEREUSE": "1",
    # Else a restore asks hosts of certificate authorities for revoked signatures.
    "NUGET_CERT_REVOCATION_MODE": "offline",
    # The runtime reads limits of control groups, which are hidden here: it must be told.
    "DOTNET_GCHeapHardLimit": HEAP_BYTES,
}


def environment(**more: str) -> dict[str, str]:
    """Give the variables of a step of the SDK."""
    return {**_ENVIRONMENT, **more}


def fetch_environment(**more: str) -> dict[str, str]:
    """Give the variables of a step that reaches registries."""
    return environment(
        NUGET_HTTP_CACHE_PATH="/p/http",
        # NuGet follows this one for every scheme; by it, names of this machine's loopback are reached too.
        http_proxy="http://127.0.0.1:3128",
        **more,
    )


def properties_of(source: Sources) -> tuple[str, ...]:
    """Give the arguments that name the properties of every step over the project."""
    return tuple(f"-p:{key}={value}" for key, value in (_common(source) | _OWN).items())


def _common(source: Sources) -> dict[str, str]:
    chosen = any(project.runtimes for project in source.projects)
    if chosen and not any(project.needs_runtime_packs for project in source.projects):
        return _COMMON | _WITHOUT_RUNTIMES
    return _COMMON


def feed_of(facts: HostFacts) -> str:
    """Give where the cache keeps the packages of the user's registries: those of others are others."""
    return f"/cache/{CACHE}/{sha256(sources_named(facts).encode()).hexdigest()[:16]}"


def own_feed(facts: HostFacts, key: str) -> str:
    """Give the directory below it of what was fetched for one replica."""
    return f"{feed_of(facts)}/{key[:16]}"


def sources_named(facts: HostFacts) -> str:
    """Give the user's sources, one a line. Hosts that these name in turn are not known while they are away."""
    return facts.registry.settings.get(SOURCES, "") if facts.registry is not None else ""


def fetch_key(source: Sources, facts: HostFacts) -> str:
    """Give the key under which the cache remembers that everything for a replica of `source` is in it."""
    tool = facts.toolchains["dotnet"]
    parts = [
        f"{name} {sha256(content).hexdigest()}"
        for name, content in sorted(tree_files(source).items())
    ]
    words = (tool.version, tool.digest, *parts, *_properties(source), sources_named(facts))
    return sha256("\n".join(words).encode()).hexdigest()


def projections_of(source: Sources, facts: HostFacts, key: str) -> tuple[Projection, Projection]:
    """Give what the fetch of `source` sees: the second takes nothing from what others brought."""
    properties = ";".join(_properties(source))
    return project_files(source, properties, f"{feed_of(facts)}/{SHARED}", own_feed(facts, key))


def _properties(source: Sources) -> tuple[str, ...]:
    properties = {
        **_common(source),
        "RestorePackagesPath": "/p/packages",
        "Configuration": "Release",
    }
    if source.locks and not source.unlocked:
        # A lock that the project has outgrown is refused before anything is downloaded.
        properties["RestoreLockedMode"] = "true"
    return tuple(f"{key}={value}" for key, value in properties.items())


def offline_projection(facts: HostFacts, key: str, *, needs_packages: bool) -> Projection:
    """Give the configuration of a restore that has no network."""
    feeds = (own_feed(facts, key),) if needs_packages else ()
    return Projection(ref=OFFLINE, files={"NuGet.config": sources_of(feeds, more=False)})


def built(source: Sources, facts: HostFacts) -> Mount:
    """Give what is kept between builds: packages laid out and objects, new when what decides them is."""
    digest = sha256(facts.toolchains["dotnet"].digest.encode())
    for project in source.projects:
        digest.update(
            repr((project.path, project.sdk, sorted(project.properties.items()))).encode()
        )
        digest.update(repr((project.conditional, project.items, project.lock)).encode())
    return Mount(
        target="/build",
        source=Source.BUILD,
        ref=f"dotnet-{digest.hexdigest()[:20]}",
        access=Access.WRITE,
    )
