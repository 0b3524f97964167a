"""The façade that doors use: projects, templates, and what this machine can do."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cloche.kernel.budget import Budget, Ticket, budget_of
from cloche.kernel.caches import Cache
from cloche.kernel.context import ExecutionContext, ScaffoldResult
from cloche.kernel.ends import past_return
from cloche.kernel.errors import AlreadyThere, NoRuntime, NoToolchain
from cloche.kernel.execution import Terms
from cloche.kernel.own import find_own_places
from cloche.kernel.parts import Claim, Part, find_parts, find_whole
from cloche.kernel.project import Project
from cloche.kernel.queue import Queue
from cloche.kernel.registry import without_project
from cloche.kernel.session import Machine
from cloche.kernel.toolchains import find_toolchains
from cloche.model.paths import JailPath
from cloche.model.tier import Tier
from cloche.policy.schema import Policy
from cloche.runtimes.plain import PlainProvider
from cloche.runtimes.provider import RuntimeProvider, Template
from cloche.runtimes.toolchain import Toolchain
from cloche.sandbox.errors import CannotConfine
from cloche.sandbox.features import Features
from cloche.sandbox.planner import ALWAYS_REQUIRED
from cloche.sandbox.platform import Platform
from cloche.workspace.layout import find_state


class Kernel:
    """An open kernel. Close it: that ends the launcher and everything it started."""

    def __init__(
        self,
        *,
        platform: Platform,
        providers: tuple[RuntimeProvider, ...],
        policy: Policy,
        state_home: Path,
        cache_home: Path,
        queue_home: Path,
        budget_bytes: int | None,
        environment: Mapping[str, str],
        policy_file: Path | None = None,
    ) -> None:
        self._platform = platform
        self._providers = providers
        self._policy = policy
        self._state_home = state_home
        self._cache_home = cache_home
        self._environment = environment
        self._queue = Queue(
            queue_home, budget_of(policy.budget, platform.memory_bytes(), budget_bytes)
        )
        self._own_places = find_own_places(policy_file, cache_home, self._queue.place)

    async def close(self) -> None:
        """End the launcher; every sandbox dies with it."""
        await self._platform.close()

    async def doctor(self, tier: Tier = Tier.NAMESPACES) -> Features:
        """Probe by doing what this machine can enforce."""
        return await self._platform.probe(self._state_home, tier)

    @property
    def weakest_tier(self) -> Tier:
        """The weakest way of containing that the policy lets a run have."""
        return self._policy.weakest

    def find_refusal(self, features: Features) -> CannotConfine | None:
        """Give the error that every run ends with where `features` is all there is, None when runs start."""
        missing = features.find_missing(ALWAYS_REQUIRED[features.tier])
        if missing is None:
            return None
        return CannotConfine(missing.feature.value, missing.why, missing.mend)

    @property
    def budget(self) -> Budget:
        """What all sandboxes of this user may hold at once."""
        return self._queue.budget

    async def jobs(self) -> tuple[Ticket, ...]:
        """Give who holds a share of this machine and who waits for one, of all kernels of this user.

        In the order of arrival. Raises QueueUnavailable.
        """
        return await asyncio.to_thread(self._queue.look)

    def templates(self) -> tuple[Template, ...]:
        """Give every provider's templates."""
        return tuple(template for p in self._providers for template in p.templates())

    def toolchains(self) -> tuple[Toolchain, ...]:
        """Give the toolchains that are found; a missing one is simply not here."""
        return self.survey_toolchains()[0]

    def survey_toolchains(self) -> tuple[tuple[Toolchain, ...], tuple[NoToolchain, ...]]:
        """Give the toolchains that are found, and what is missing: one of each runtime that cannot be used."""
        tools, missing = self._find_tools(self._providers, None)
        return tuple(tools.values()), missing

    async def scaffold(self, template: str, directory: Path, name: str) -> ScaffoldResult:
        """Make a new project from a template: whole, or not at all. Raises AlreadyThere, CannotPlan."""
        provider = next(
            (p for p in self._providers if any(t.name == template for t in p.templates())),
            self._providers[0],
        )
        files = provider.scaffold(template, name)
        await past_return(_write_whole, directory, files)
        return ScaffoldResult(path=directory, files=len(files))

    async def project(
        self,
        path: Path | str,
        *,
        any_directory: bool = False,
        parts: tuple[str, ...] = (),
        context: ExecutionContext | None = None,
    ) -> Project:
        """Open a project by looking at its files; nothing of it runs.

        With `any_directory` a directory of no known runtime is accepted, for
        `run`. `parts` names the directories that the verbs are for, where not all
        are meant. `context` holds the terms its runs follow (their root is `path`
        all the same); without one the policy alone decides. Raises NoRuntime,
        TooManyParts, NoSuchPart, TreeTooLarge, NoToolchain, StateUnavailable, CacheUnusable.
        """
        root = Path(os.path.realpath(path))
        if not root.is_dir():
            raise NoRuntime(str(path))
        claims = await asyncio.to_thread(self._find_claims, root, parts, whole_only=any_directory)
        if not claims and not any_directory:
            raise NoRuntime(str(path))
        providers = tuple({id(c.provider): c.provider for c in claims}.values())
        state = await asyncio.to_thread(find_state, root, self._state_home)
        features = await self._find_features(state.parent)

        async def machine(needed: tuple[RuntimeProvider, ...], *, strict: bool) -> Machine:
            tools = await asyncio.to_thread(self._tools, *needed, strict=strict, project=root)
            return Machine(
                platform=self._platform,
                features=features,
                host=self._platform.host(),
                toolchains=tools,
                caches={name: Cache(self._cache_home, name) for p in needed for name in p.caches},
                environment=without_project(
                    self._environment, (p.user_config for p in needed), root
                ),
                key_home=self._state_home,
                own_places=self._own_places,
                now=time.time,
                queue=self._queue,
                trees=tuple(tree for p in self._providers for tree in p.trees),
            )

        # To look, undo or recover takes no tool, and what a commit brought must not stand in the way.
        strict = not any_directory
        machines = {id(p): await machine((p,), strict=strict) for p in providers}
        whole = claims[0].provider if [c.prefix for c in claims] == [""] else PlainProvider()
        terms = Terms(
            # A plain directory still gets the tools this user has, in PATH.
            machine=machines.get(id(whole)) or await machine(self._providers, strict=False),
            policy=self._policy,
            context=replace(context or ExecutionContext.full(root), project_root=root),
            provider=whole,
            parts=tuple(Part(claim=c, machine=machines[id(c.provider)]) for c in claims),
            state_home=self._state_home,
        )
        return Project(terms)

    async def _find_features(self, home: Path) -> Features:
        """Probe the strongest tier, and the weakest that the policy allows where nothing runs in that."""
        features = await self._platform.probe(home, Tier.NAMESPACES)
        if self.find_refusal(features) is not None and self._policy.weakest is Tier.LANDLOCK:
            return await self._platform.probe(home, Tier.LANDLOCK)
        return features

    def _find_claims(
        self, root: Path, parts: tuple[str, ...], *, whole_only: bool
    ) -> tuple[Claim, ...]:
        if not whole_only:
            return find_parts(root, self._providers, parts)
        whole = find_whole(root, self._providers)
        return (whole,) if whole else ()

    def _tools(
        self, *providers: RuntimeProvider, strict: bool = False, project: Path | None = None
    ) -> dict[str, Toolchain]:
        tools, missing = self._find_tools(providers, project)
        if strict and missing:
            raise missing[0]
        return tools

    def _find_tools(
        self, providers: tuple[RuntimeProvider, ...], project: Path | None
    ) -> tuple[dict[str, Toolchain], tuple[NoToolchain, ...]]:
        tools: dict[str, Toolchain] = {}
        missing: list[NoToolchain] = []
        for provider in providers:
            try:
                tools |= find_toolchains(
                    provider.toolchains,
                    self._environment,
                    self._cache_home / "digests.json",
                    project=project,
                    own=(self._state_home, self._cache_home),
                )
            except NoToolchain as error:
                missing.append(error)
        return tools, tuple(missing)


def _write_whole(directory: Path, files: Mapping[str, bytes]) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise AlreadyThere(str(directory))
    parent = directory.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=parent))
    try:
        for name, content in files.items():
            target = made.joinpath(*JailPath.parse(name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        made.chmod(0o755)
        # rename(2) over an empty directory: the project is there whole, or not.
        made.replace(directory)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
