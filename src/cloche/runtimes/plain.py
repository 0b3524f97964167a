"""A directory of no known runtime: commands can be run in it, and nothing else."""

from collections.abc import Mapping
from typing import NoReturn

from cloche.model.step import Plan
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
from cloche.runtimes.toolchain import CacheEntry, ToolchainNeed, UserConfig


class PlainProvider:
    """Stands where no runtime is recognised, so that `cloche run` works anywhere."""

    api = "1"
    runtime_id = "plain"
    supported_platforms = frozenset({"linux"})
    toolchains: tuple[ToolchainNeed, ...] = ()
    caches: tuple[str, ...] = ()
    user_config = UserConfig(home_files=())
    trees: tuple[ToolTree, ...] = ()

    def detect(self, view: ProjectView) -> Detection | None:
        """Recognise nothing: this provider is chosen, never found."""
        del view
        return None

    def templates(self) -> tuple[Template, ...]:
        """Offer nothing."""
        return ()

    def asks_registry(self, verb: str, view: ProjectView, facts: HostFacts) -> bool:
        """Say no: there is nothing to resolve."""
        del verb, view, facts
        return False

    def discovery(self, facts: HostFacts) -> Plan | None:
        """Have no registry."""
        del facts
        return None

    def read_discovery(self, answer: Answer, facts: HostFacts) -> RegistryFacts:
        """Have no registry."""
        del answer, facts
        return RegistryFacts(urls=())

    def scaffold(self, template: str, name: str) -> Mapping[str, bytes]:
        """Raise CannotPlan."""
        del name
        self._refuse(f"scaffold {template}")

    def resolve_dependencies(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Raise CannotPlan."""
        self._refuse_verb("resolve", view, facts)

    def build(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Raise CannotPlan."""
        self._refuse_verb("build", view, facts)

    def test(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Raise CannotPlan."""
        self._refuse_verb("test", view, facts)

    def preview(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Raise CannotPlan."""
        self._refuse_verb("preview", view, facts)

    def package(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Raise CannotPlan."""
        self._refuse_verb("package", view, facts)

    def validate(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Raise CannotPlan."""
        self._refuse_verb("validate", view, facts)

    def destroy(self, view: ProjectView) -> tuple[str, ...]:
        """Own nothing."""
        del view
        return ()

    def lint(self, linter: str, content: bytes, facts: HostFacts) -> None:
        """Raise CannotPlan: no step of this provider has outputs."""
        del content, facts
        self._refuse(f"lint {linter}")

    def parser(self, name: str) -> OutputParser:
        """Raise CannotPlan: no step of this provider is parsed."""
        self._refuse(f"parse {name}")

    def cached(self, cache: str, path: str, digests: Mapping[str, str]) -> CacheEntry | None:
        """Keep nothing."""
        del cache, path, digests
        return None

    def _refuse_verb(self, verb: str, view: ProjectView, facts: HostFacts) -> NoReturn:
        del view, facts
        self._refuse(verb)

    def _refuse(self, what: str) -> NoReturn:
        raise CannotPlan(what, "no runtime is recognised here", "only `cloche run` works")
