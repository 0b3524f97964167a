"""One project: the verbs a caller has on it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from cloche.kernel import verbs
from cloche.kernel.conclusion import Body, Work, remedy_of
from cloche.kernel.context import RunOptions, RunResult
from cloche.kernel.discovery import allow_registries
from cloche.kernel.ends import past_return
from cloche.kernel.execution import Terms, execute
from cloche.kernel.pipeline import run_plan
from cloche.kernel.preview import preview
from cloche.kernel.run import Run
from cloche.kernel.screening import Judges, screen_rules
from cloche.kernel.sessions import Sessions
from cloche.kernel.stream import EventStream
from cloche.kernel.typed import REGISTRIES, command_plan
from cloche.model.conflicts import Conflicts
from cloche.model.event import ArtifactMade
from cloche.policy.globs import Glob
from cloche.runtimes.provider import Detection
from cloche.workspace.choice import Choice, Matcher
from cloche.workspace.compare import Comparison
from cloche.workspace.errors import ChangesRefused, EditedMeanwhile
from cloche.workspace.held import Held
from cloche.workspace.layout import find_state
from cloche.workspace.readers import opened_state, read_generation, reading
from cloche.workspace.screen import ScreenRules
from cloche.workspace.workspace import Committed, RecoveryReport, Workspace

_DEFAULTS = RunOptions()
Result = TypeVar("Result")


def _matcher(pattern: str) -> Matcher:
    """Give what a pattern means: a glob, or just the path that it spells."""
    text = pattern.rstrip("/")
    glob = Glob(text)
    return lambda path: str(path) == text or glob.matches(path)


class Project:
    """A project as the kernel holds it. Making one ran nothing of it."""

    def __init__(self, terms: Terms) -> None:
        self.root = terms.context.project_root
        self.parts: Mapping[str, Detection] = {
            part.name: part.claim.detection for part in terms.parts
        }
        """What the verbs are for, by directory; "." alone where the project is one."""
        self._terms = terms

    @property
    def detection(self) -> Detection | None:
        """What the project is as a whole; None when it is that of its parts, or of no runtime."""
        return self.parts.get(".")

    def resolve(self, options: RunOptions = _DEFAULTS) -> Run:
        """Lock, fetch and materialise the dependencies."""
        return self._run("resolve", verbs.of_each(verbs.resolve), options)

    def build(self, options: RunOptions = _DEFAULTS) -> Run:
        """Build, without network."""
        return self._run("build", verbs.of_each(verbs.build), options)

    def test(self, options: RunOptions = _DEFAULTS) -> Run:
        """Run the project's own tests, without network."""
        return self._run("test", verbs.of_each(verbs.test), options)

    def package(self, options: RunOptions = _DEFAULTS) -> Run:
        """Package what is built."""
        return self._run("package", verbs.of_each(verbs.package), options)

    def validate(self, options: RunOptions = _DEFAULTS) -> Run:
        """Check sources and package, and see the package answer."""
        return self._run("validate", verbs.validate, options)

    def ship(self, options: RunOptions = _DEFAULTS) -> Run:
        """Resolve, build, package, validate: one transaction; what one that failed did is not done again."""
        return self._run("ship", verbs.ship, options, resumes=True)

    def preview(self, options: RunOptions = _DEFAULTS) -> Run:
        """Serve the development server until cancelled; nothing is committed."""
        return self._run("preview", preview, options, commits=False)

    def run(self, argv: tuple[str, ...], options: RunOptions = _DEFAULTS) -> Run:
        """Run any command under the jar; its effects are committed when it exits 0."""

        async def body(sessions: Sessions) -> tuple[ArtifactMade, ...]:
            session = sessions.whole
            if REGISTRIES in options.network:
                await allow_registries(session)
            await run_plan(command_plan(argv, options), session, by_person=True)
            return ()

        return self._run("run", body, options)

    async def held(self) -> Held | None:
        """Give what is known of the run that is held, None when there is none."""
        return await self._with_workspace(lambda workspace: workspace.held())

    async def diff(self, *, text: bool = False) -> Comparison:
        """Show the held run, or else the last commit: both sides of each change, with `text` their lines."""
        return await self._with_workspace(lambda workspace: workspace.compare(text=text))

    async def commit(
        self,
        *,
        only: tuple[str, ...] = (),
        conflicts: Conflicts = Conflicts.ABORT,
        check_reads: bool = False,
    ) -> Committed:
        """Commit the held run, or what the globs in `only` mean of it; the rest is thrown away.

        It passes the same judges as any commit. Raises NothingHeld, SelectionRefused,
        EditedMeanwhile, ChangesRefused: it is then still held.
        """
        matchers = {pattern: _matcher(pattern) for pattern in only}
        choice = Choice(only=matchers, conflicts=conflicts, check_reads=check_reads)

        def rules(held: Held) -> ScreenRules:
            terms = self._terms
            return screen_rules(
                Judges(
                    machine=terms.machine,
                    policy=terms.policy,
                    context=terms.context,
                    was_hidden=frozenset(held.hidden),
                )
            )

        try:
            return await self._with_workspace(
                lambda workspace: workspace.commit_held(rules, choice)
            )
        except (ChangesRefused, EditedMeanwhile) as refusal:
            refusal.remedy = remedy_of(refusal)
            raise

    async def discard(self) -> Held | None:
        """Throw the held run away and give what was known of it. Raises NothingHeld."""
        return await self._with_workspace(lambda workspace: workspace.discard_held())

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
            collect = self._terms.machine.platform.collect
            with closing(
                Workspace.open(self.root, self._terms.state_home, collect=collect)
            ) as workspace:
                return act(workspace)

        return await past_return(whole)

    def _run(
        self,
        verb: str,
        body: Body,
        options: RunOptions,
        *,
        commits: bool = True,
        resumes: bool = False,
    ) -> Run:
        async def begin(stream: EventStream) -> RunResult:
            work = Work(verb=verb, body=body, options=options, commits=commits, resumes=resumes)
            return await execute(work, self._terms, stream)

        return Run(begin, self._terms.context.observe)
