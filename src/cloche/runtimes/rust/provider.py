"""Rust projects. Says what to run; the kernel decides whether, and runs it."""

from collections.abc import Mapping

from cloche.model.step import Plan
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import (
    Answer,
    CannotPlan,
    Detection,
    HostFacts,
    OutputParser,
    RegistryFacts,
    Template,
)
from cloche.runtimes.rust.build import plan_build, plan_test
from cloche.runtimes.rust.cached import cache_entry
from cloche.runtimes.rust.check import plan_validate
from cloche.runtimes.rust.detect import detect_rust
from cloche.runtimes.rust.diagnostics.choice import choose_parser
from cloche.runtimes.rust.discovery import plan_discovery, read_answer
from cloche.runtimes.rust.lint import lint_lock
from cloche.runtimes.rust.lock import read_lock
from cloche.runtimes.rust.package import plan_package
from cloche.runtimes.rust.preview import plan_preview
from cloche.runtimes.rust.resolve import LOCK_LINTER, plan_resolve
from cloche.runtimes.rust.scaffold import TEMPLATES
from cloche.runtimes.rust.settings import check_toolchain
from cloche.runtimes.rust.source import LOCK, RustProject, read_project
from cloche.runtimes.rust.tools import RUST
from cloche.runtimes.rust.vocabulary import CACHE, TARGET
from cloche.runtimes.toolchain import CacheEntry, UserConfig


class RustProvider:
    """Projects with a Cargo.toml."""

    api = "1"
    runtime_id = "rust"
    supported_platforms = frozenset({"linux"})
    toolchains = (RUST,)
    caches = (CACHE,)
    trees = (TARGET,)
    user_config = UserConfig(
        home_files=(".cargo/config.toml", ".cargo/config", ".cargo/credentials.toml"),
        directory_variable="CARGO_HOME",
        is_whole=True,
        variable_prefixes=("CARGO_REGISTRIES_", "CARGO_HTTP_", "CARGO_NET_"),
        certificate_variables=("CARGO_HTTP_CAINFO", "SSL_CERT_FILE"),
        proxy_settings=("http-proxy", "proxy"),
    )

    def detect(self, view: ProjectView) -> Detection | None:
        """Say what kind of Rust project this is; None when it is none."""
        return detect_rust(view)

    def templates(self) -> tuple[Template, ...]:
        """Give the templates that lie in this package."""
        return TEMPLATES.all()

    def asks_registry(self, verb: str, view: ProjectView, facts: HostFacts) -> bool:
        """Say no for a project that has all that it needs. Raises CannotPlan, LintRefused.

        A build has to know it as well: where packages lie in the cache depends on its address.
        """
        del verb
        project = self._read(view, facts)
        return not project.settings.vendored and project.asks_registry()

    def discovery(self, facts: HostFacts) -> Plan | None:
        """Give the next question that shows which registry the user's cargo asks."""
        return plan_discovery(facts)

    def read_discovery(self, answer: Answer, facts: HostFacts) -> RegistryFacts:
        """Read what cargo said, and whom it asked. Raises CannotPlan."""
        return read_answer(answer, facts)

    def scaffold(self, template: str, name: str) -> Mapping[str, bytes]:
        """Give the files of a new project. Raises CannotPlan."""
        return TEMPLATES.fill(template, name)

    def resolve_dependencies(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan lock and fetch. Raises CannotPlan, LintRefused."""
        return plan_resolve(self._read(view, facts), view, facts)

    def build(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the release build. Raises CannotPlan, LintRefused."""
        return plan_build(self._read(view, facts), view, facts)

    def test(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the project's own tests. Raises CannotPlan, LintRefused."""
        return plan_test(self._read(view, facts), facts)

    def preview(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the web service. Raises CannotPlan, LintRefused."""
        return plan_preview(self._read(view, facts), view, facts)

    def package(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Say what goes into the package. Raises CannotPlan, LintRefused."""
        return plan_package(self._read(view, facts), view, facts)

    def validate(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan clippy. Raises CannotPlan, LintRefused."""
        return plan_validate(self._read(view, facts), facts)

    def destroy(self, view: ProjectView) -> tuple[str, ...]:
        """Name nothing: what cargo makes is kept elsewhere, and a target directory is the user's own."""
        del view
        return ()

    def lint(self, linter: str, content: bytes, facts: HostFacts) -> None:
        """Judge a lock that a step left. Raises LintRefused, CannotPlan."""
        if linter != LOCK_LINTER:
            raise CannotPlan(linter, "there is no such linter")
        lint_lock(read_lock(LOCK, content), facts.registry)

    def parser(self, name: str) -> OutputParser:
        """Give a fresh parser. Raises CannotPlan for a name no step of this provider uses."""
        return choose_parser(name)

    def cached(self, cache: str, path: str, digests: Mapping[str, str]) -> CacheEntry | None:
        """Say what a file of cargo's home must be."""
        return cache_entry(path, digests) if cache == CACHE else None

    def _read(self, view: ProjectView, facts: HostFacts) -> RustProject:
        check_toolchain(view, facts.toolchains.get("rust"))
        return read_project(view)
