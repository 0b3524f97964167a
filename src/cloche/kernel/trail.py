"""What a pipeline leaves behind step by step, and what a later one of the same finds there."""

import json
from dataclasses import dataclass

from cloche.artifact.receipt import StepReceipt, as_plain, read_as
from cloche.kernel.ends import in_thread
from cloche.kernel.keys import Keys
from cloche.kernel.session import Session
from cloche.model.event import Denied, Note, StepSkipped
from cloche.model.step import Plan, Step, Trust

_DONE = "an earlier run did it, and nothing that it depends on has changed since"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What a run says of steps that an earlier one did."""

    receipts: tuple[StepReceipt, ...]
    denials: tuple[Denied, ...]


class Trail:
    """The checkpoints of one run. For its own task, and one thread at a time."""

    def __init__(self, session: Session) -> None:
        self._session, self._keys = session, Keys(session)
        self._key: dict[str, str] = {}
        self._told = (0, 0)
        """How many receipts and denials there were before the step at hand."""

    async def find_done(self, leg: tuple[Step, ...], plan: Plan) -> tuple[Step, ...]:
        """Take up what an earlier run made of `leg`; give each step or its stand-in, whichever that was.

        Empty when it has to run. To be asked before each leg that is to be sealed.
        """
        session, checkpoints = self._session, self._session.transaction.checkpoints
        chains = await in_thread(
            lambda: [{self._keys.of(one, plan): one for one in _chain(step, plan)} for step in leg]
        )
        self._key = {one.id: key for chain in chains for key, one in chain.items()}
        # What came before, such as the discovery of registries, is done by every run itself.
        self._told = len(session.receipts), len(session.denials)
        had_more = checkpoints.has_more
        point = await in_thread(checkpoints.take_up, tuple(frozenset(chain) for chain in chains))
        if point is None:
            if had_more:
                title = leg[0].title
                session.emit(Note(text=f"not as an earlier run left it, so it runs: {title}"))
            return ()
        kept = read_as(_Kept, json.loads(point.kept))
        session.receipts += kept.receipts
        session.denials += kept.denials
        for receipt in kept.receipts:
            rows = tuple(
                (barrier.name, barrier.support, barrier.why) for barrier in receipt.barriers
            )
            session.containment[receipt.step] = rows
            session.trials[receipt.step] = receipt.trials
        done = tuple(chain[key] for chain, key in zip(chains, point.keys, strict=True))
        for step in done:
            session.emit(StepSkipped(step=step.id, title=step.title, why=_DONE))
        return done

    async def seal(self, done: list[Step]) -> None:
        """Make what the steps `done` did a checkpoint, those that others stood in for among them."""
        session = self._session
        receipts, denials = self._told
        kept = _Kept(
            receipts=tuple(session.receipts[receipts:]), denials=tuple(session.denials[denials:])
        )
        checkpoints = session.transaction.checkpoints
        keys = tuple(
            self._key[step.id]
            for step, after in zip(done, [*done[1:], None], strict=True)
            if after is None or after.id != step.fallback
        )
        await in_thread(checkpoints.seal, keys, json.dumps(as_plain(kept)))

    def stop(self) -> None:
        """Make nothing of this run a checkpoint from here on."""
        self._session.transaction.checkpoints.stop()


def legs(plan: Plan) -> list[tuple[Step, ...]]:
    """Give the steps that are done or not done together, without those that stand in for others. Pure.

    What one leg made is a lower layer for the next, and there a program can no more rename a
    directory of it, or write to it under all of its names (rename(2) answers EXDEV, a copy-up parts
    hard links). So packages and their own scripts are one leg, as they are in `resolve` alone.
    """
    stand_ins = {step.fallback for step in plan.steps if step.fallback}
    found: list[tuple[Step, ...]] = []
    for step in plan.steps:
        if step.id in stand_ins:
            continue
        if found and step.trust is Trust.PROJECT:
            found[-1] = (*found[-1], step)
        else:
            found.append((step,))
    return found


def _chain(step: Step, plan: Plan) -> list[Step]:
    """Give `step`, what stands for it when it fails, and so on."""
    found = [step]
    while found[-1].fallback:
        found.append(next(one for one in plan.steps if one.id == found[-1].fallback))
    return found
