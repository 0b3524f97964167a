"""One project: the verbs a caller has on it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from cloche.kernel import verbs
from cloche.kernel.context import RunOptions, RunResult
from cloche.kernel.discovery import allow_registries
from cloche.kernel.execution import Body, Terms, Work, execute
from cloche.kernel.pipeline import run_plan
from cloche.kernel.preview import preview
from cloche.kernel.run import Run
from cloche.kernel.session import Session
from cloche.kernel.stream import EventStream
from cloche.kernel.typed import REGISTRIES, command_plan
from cloche.runtimes.provider import Detection
from cloche.workspace.diff import Changes
from cloche.workspace.layout import find_state
from cloche.workspace.readers import opened_state, read_generation, reading
from cloche.workspace.workspace import Committed, RecoveryReport, Workspace

_DEFAULTS = RunOptions()
Result = TypeVar("Result")


class Project:
    """A project as the kernel holds it. Making one ran nothing of it."""

    def __init__(self, detection: Detection | None, terms: Terms) -> None:
        self.root = terms.context.project_root
        self.detection = detection
        self._terms = terms

    def resolve(self, options: RunOptions = _DEFAULTS) -> Run:
        """Lock, fetch and materialise the dependencies."""
        return self._run("resolve", verbs.resolve, options)

    def build(self, options: RunOptions = _DEFAULTS) -> Run:
        """Build, without network."""
        return self._run("build", verbs.build, options)

    def test(self, options: RunOptions = _DEFAULTS) -> Run:
        """Run the project's own tests, without network."""
        return self._run("test", verbs.test, options)

    def package(self, options: RunOptions = _DEFAULTS) -> Run:
        """Package what is built."""
        return self._run("package", verbs.package, options)

    def validate(self, options: RunOptions = _DEFAULTS) -> Run:
        """Check sources and package, and see the package answer."""
        return self._run("validate", verbs.validate, options)

    def ship(self, options: RunOptions = _DEFAULTS) -> Run:
        """Resolve, build, package, validate: one transaction."""
        return self._run("ship", verbs.ship, options)

    def preview(self, options: RunOptions = _DEFAULTS) -> Run:
        """Serve the development server until cancelled; nothing is committed."""
        return self._run("preview", preview, options, commits=False)

    def run(self, argv: tuple[str, ...], options: RunOptions = _DEFAULTS) -> Run:
        """Run any command under the jar; its effects are committed when it exits 0."""

        async def body(session: Session) -> None:
            if REGISTRIES in options.network:
                await allow_registries(session)
            await run_plan(command_plan(argv, options), session, by_person=True)

        return self._run("run", body, options)

    async def diff(self) -> Changes:
        """Give the changes of a kept transaction, or else of the last commit."""
        return await self._with_workspace(lambda workspace: workspace.changes())

    async def undo(self, count: int = 1) -> Committed:
        """Take the last commits back."""
        return await self._with_workspace(lambda workspace: workspace.undo(count))

    async def recover(self) -> RecoveryReport:
        """Finish or discard what a crash left, in the project and on the machine."""
        return await self._with_workspace(lambda workspace: workspace.recover())

    @property
    def state(self) -> Path:
        """Where the transactions of this project are kept. Raises StateUnavailable."""
        return find_state(self.root, self._terms.state_home)

    def generation(self) -> int:
        """Give a number that each commit changes: odd while one is, or was left, half applied."""
        with opened_state(self.state) as state:
            return read_generation(state)

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Keep commits from being applied until the block ends; yields the generation.

        An odd one says that a commit was interrupted and `recover` is due. A commit that has waited
        for ten seconds goes ahead all the same: compare `generation()` after a long block. Blocks.
        """
        with opened_state(self.state) as state, reading(state):
            yield read_generation(state)

    async def _with_workspace(self, act: Callable[[Workspace], Result]) -> Result:
        def whole() -> Result:
            with closing(Workspace.open(self.root, self._terms.state_home)) as workspace:
                return act(workspace)

        return await asyncio.to_thread(whole)

    def _run(self, verb: str, body: Body, options: RunOptions, *, commits: bool = True) -> Run:
        async def begin(stream: EventStream) -> RunResult:
            work = Work(verb=verb, body=body, options=options, commits=commits)
            return await execute(work, self._terms, stream)

        return Run(begin, self._terms.context.observe)
