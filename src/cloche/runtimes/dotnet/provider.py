""".NET projects. Says what to run; the kernel decides whether, and runs it."""

from collections.abc import Mapping

from cloche.model.step import Plan
from cloche.runtimes.dotnet.build import plan_build, plan_test
from cloche.runtimes.dotnet.cached import cache_entry
from cloche.runtimes.dotnet.detect import detect_dotnet
from cloche.runtimes.dotnet.diagnostics.msbuild import MsbuildParser
from cloche.runtimes.dotnet.diagnostics.nuget import NugetParser
from cloche.runtimes.dotnet.diagnostics.vstest import VstestParser
from cloche.runtimes.dotnet.discovery import PLACES, plan_discovery, read_discovery
from cloche.runtimes.dotnet.lock import LOCK, read_lock
from cloche.runtimes.dotnet.package import PUBLISHED, plan_package
from cloche.runtimes.dotnet.preview import plan_preview
from cloche.runtimes.dotnet.resolve import plan_resolve
from cloche.runtimes.dotnet.scaffold import TEMPLATES
from cloche.runtimes.dotnet.source import Source, read_source
from cloche.runtimes.dotnet.tools import DOTNET
from cloche.runtimes.dotnet.vocabulary import CACHE, LOCK_LINTER
from cloche.runtimes.project import ProjectView, ToolTree
from cloche.runtimes.provider import (
    Answer,
    CannotPlan,
    Detection,
    HostFacts,
    OutputParser,
    RegistryFacts,
    Template,
)
from cloche.runtimes.toolchain import CacheEntry, UserConfig


class DotNetProvider:
    """Plans the seven verbs for solutions and projects of the .NET SDK, 8 or later."""

    api = "1"
    runtime_id = "dotnet"
    supported_platforms = frozenset({"linux"})
    toolchains = (DOTNET,)
    caches = (CACHE,)
    trees: tuple[ToolTree, ...] = ()
    user_config = UserConfig(
        home_files=(".nuget/NuGet/NuGet.Config",),
        # Credentials of sources; nothing else of NuGet's variables, which name programs and places.
        variable_prefixes=("nugetpackagesourcecredentials_",),
        certificate_variables=("SSL_CERT_FILE",),
        place_settings=(PLACES,),
        mention=r"%([A-Za-z_][A-Za-z0-9_]*)%",
    )

    def detect(self, view: ProjectView) -> Detection | None:
        """Say what kind of .NET project this is; None when it is none."""
        return detect_dotnet(view)

    def templates(self) -> tuple[Template, ...]:
        """Give the templates that lie in this package."""
        return TEMPLATES.all()

    def asks_registry(self, verb: str, view: ProjectView, facts: HostFacts) -> bool:
        """Say yes for `resolve`, whatever the project asks for: it is soon learned."""
        del view, facts
        return verb == "resolve"

    def discovery(self, facts: HostFacts) -> Plan | None:
        """Give the next question about the user's sources of packages."""
        return plan_discovery(facts)

    def read_discovery(self, answer: Answer, facts: HostFacts) -> RegistryFacts:
        """Read what NuGet said. Raises CannotPlan."""
        return read_discovery(answer, facts)

    def scaffold(self, template: str, name: str) -> Mapping[str, bytes]:
        """Give the files of a new project. Raises CannotPlan."""
        return TEMPLATES.fill(template, name)

    def resolve_dependencies(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan fetch and restore. Raises CannotPlan, LintRefused, OtherSdkWanted, as every verb here."""
        return plan_resolve(_read(view, facts), facts)

    def build(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the build."""
        return plan_build(_read(view, facts), facts)

    def test(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan build and tests."""
        return plan_test(_read(view, facts), facts)

    def preview(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the service of what was built."""
        return plan_preview(_read(view, facts), facts)

    def package(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the publishing, and say what goes into the package."""
        return plan_package(_read(view, facts), view, facts)

    def validate(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan nothing: the build is the check of sources."""
        del facts, view
        return Plan(verb="validate", steps=())

    def destroy(self, view: ProjectView) -> tuple[str, ...]:
        """Name what the steps made and can make again."""
        del view
        return (PUBLISHED, "TestResults")

    def lint(self, linter: str, content: bytes, facts: HostFacts) -> None:
        """Judge a lock that a fetch made. Raises CannotPlan, LintRefused."""
        del facts
        if linter == LOCK_LINTER:
            read_lock(LOCK, content)
            return
        raise CannotPlan(linter, "there is no such linter")

    def parser(self, name: str) -> OutputParser:
        """Give a fresh parser. Raises CannotPlan for a name no step of this provider uses."""
        match name:
            case "msbuild":
                return MsbuildParser()
            case "nuget":
                return NugetParser()
            case "vstest":
                return VstestParser()
        raise CannotPlan(f"parser {name!r}", "there is none of this name")

    def cached(self, cache: str, path: str, digests: Mapping[str, str]) -> CacheEntry | None:
        """Say what a new file of the packages' cache must be."""
        return cache_entry(path, digests) if cache == CACHE else None


def _read(view: ProjectView, facts: HostFacts) -> Source:
    return read_source(view, facts.toolchains["dotnet"].version)
