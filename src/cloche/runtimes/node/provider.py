"""Node projects. Says what to run; the kernel decides whether, and runs it."""

from collections.abc import Mapping

from cloche.model.step import Plan
from cloche.runtimes.node.build import plan_build, plan_test
from cloche.runtimes.node.cached import cache_entry
from cloche.runtimes.node.check import plan_validate
from cloche.runtimes.node.detect import detect_node
from cloche.runtimes.node.diagnostics.choice import choose_parser
from cloche.runtimes.node.discovery import plan_discovery, read_configuration
from cloche.runtimes.node.lint import lint_additions, lint_lock
from cloche.runtimes.node.lock import Lock, read_lock
from cloche.runtimes.node.package import plan_package
from cloche.runtimes.node.preview import plan_preview
from cloche.runtimes.node.resolve import ADDITIONS_LINTER, LOCK_LINTER, SEPARATOR, plan_resolve
from cloche.runtimes.node.scaffold import TEMPLATES
from cloche.runtimes.node.source import LOCK, read_manifest_only, read_project
from cloche.runtimes.node.tools import NODE, NPM
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

_REMEMBERED = 16


class NodeProvider:
    """Plans the seven verbs for projects with a package.json, by npm 11 or later."""

    api = "1"
    runtime_id = "node"
    supported_platforms = frozenset({"linux"})
    toolchains = (
        NODE,
        NPM,
    )
    caches = ("npm",)
    trees = (ToolTree(name="node_modules"),)
    user_config = UserConfig(
        home_files=(".npmrc",),
        file_variable="NPM_CONFIG_USERCONFIG",
        variable_prefixes=("npm_config_",),
        certificate_variables=("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"),
        certificate_settings=("cafile",),
        proxy_settings=("https-proxy", "proxy"),
        mention=r"\$\{([A-Za-z_][A-Za-z0-9_]*)\??\}",
    )

    def __init__(self) -> None:
        # Locks by digest with their members: what a later lint of the same run compares with.
        self._planned: dict[str, tuple[Lock, tuple[str, ...]]] = {}

    def detect(self, view: ProjectView) -> Detection | None:
        """Say what kind of Node project this is; None when it is none."""
        return detect_node(view)

    def templates(self) -> tuple[Template, ...]:
        """Give the templates that lie in this package."""
        return TEMPLATES.all()

    def asks_registry(self, verb: str, view: ProjectView, facts: HostFacts) -> bool:
        """Say yes for `resolve`, whatever the project asks for: it is soon learned."""
        del view, facts
        return verb == "resolve"

    def discovery(self, facts: HostFacts) -> Plan | None:
        """Give the step that asks npm for the user's registries, which it answers at once."""
        return plan_discovery() if facts.registry is None else None

    def read_discovery(self, answer: Answer, facts: HostFacts) -> RegistryFacts:
        """Read what npm printed. Raises CannotPlan."""
        del facts
        return read_configuration(answer.output)

    def scaffold(self, template: str, name: str) -> Mapping[str, bytes]:
        """Give the files of a new project. Raises CannotPlan."""
        return TEMPLATES.fill(template, name)

    def resolve_dependencies(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan lock, fetch, layout and install scripts. Raises CannotPlan, LockTooOld, LintRefused."""
        project = read_project(view)
        plan = plan_resolve(project, facts)
        if project.lock is not None:
            self._planned[project.lock.digest()] = (project.lock, project.member_paths())
            while len(self._planned) > _REMEMBERED:
                del self._planned[next(iter(self._planned))]
        return plan

    def build(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the build script. Raises CannotPlan."""
        del facts
        return plan_build(read_manifest_only(view))

    def test(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the test script. Raises CannotPlan."""
        del facts
        return plan_test(read_manifest_only(view))

    def preview(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan the development server. Raises CannotPlan."""
        del facts
        return plan_preview(read_manifest_only(view), view)

    def package(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Say what goes into the package. Raises CannotPlan."""
        del facts
        return plan_package(view)

    def validate(self, view: ProjectView, facts: HostFacts) -> Plan:
        """Plan type checker and linter. Raises CannotPlan."""
        del facts
        return plan_validate(read_manifest_only(view), view)

    def destroy(self, view: ProjectView) -> tuple[str, ...]:
        """Name what npm makes and can make again."""
        del view
        return ("node_modules",)

    def lint(self, linter: str, content: bytes, facts: HostFacts) -> None:
        """Judge a lock that a step left. Raises LintRefused, LockTooOld, CannotPlan."""
        lock = read_lock(LOCK, content)
        kind, *members = linter.split(SEPARATOR)
        if kind == LOCK_LINTER:
            lint_lock(lock, members, facts.registry)
            return
        planned = self._planned.get(linter.removeprefix(ADDITIONS_LINTER))
        if not linter.startswith(ADDITIONS_LINTER) or planned is None:
            raise CannotPlan(linter, "there is no such linter")
        before, declared = planned
        lint_lock(lock, declared, facts.registry)
        lint_additions(before, lock)

    def parser(self, name: str) -> OutputParser:
        """Give a fresh parser. Raises CannotPlan for a name no step of this provider uses."""
        return choose_parser(name)

    def cached(self, cache: str, path: str, digests: Mapping[str, str]) -> CacheEntry | None:
        """Say what a new file of npm's cache must be."""
        del digests
        return cache_entry(path) if cache == "npm" else None
