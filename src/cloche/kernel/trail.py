"""What a pipeline leaves behind step by step, and what a later one of the same finds there."""

import json
from dataclasses import dataclass

from cloche.artifact.receipt import StepReceipt, as_plain, read_as
from cloche.kernel.ends import in_thread
from cloche.kernel.keys import Keys
from cloche.kernel.session import Session
from cloche.model.event import Denied, Note, StepSkipped
from cloche.model.step import Plan, Step

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

    async def find_done(self, step: Step, plan: Plan) -> Step | None:
        """Take up what an earlier run made of `step`; give it or its stand-in, whichever that was.

        None when it has to run. To be asked before each step that is to be sealed.
        """
        session, checkpoints = self._session, self._session.transaction.checkpoints
        chain = await in_thread(
            lambda: {self._keys.of(one, plan): one for one in _chain(step, plan)}
        )
        self._key = {one.id: key for key, one in chain.items()}
        # What came before, such as the discovery of registries, is done by every run itself.
        self._told = len(session.receipts), len(session.denials)
        had_more = checkpoints.has_more
        point = await in_thread(checkpoints.take_up, tuple(chain))
        if point is None:
            if had_more:
                session.emit(Note(text=f"not as an earlier run left it, so it runs: {step.title}"))
            return None
        kept = read_as(_Kept, json.loads(point.kept))
        session.receipts += kept.receipts
        session.denials += kept.denials
        for receipt in kept.receipts:
            rows = tuple(
                (barrier.name, barrier.support, barrier.why) for barrier in receipt.barriers
            )
            session.containment[receipt.step] = rows
            session.trials[receipt.step] = receipt.trials
        done = chain[point.key]
        session.emit(StepSkipped(step=done.id, title=done.title, why=_DONE))
        return done

    async def seal(self, step: Step) -> None:
        """Make what `step` did a checkpoint."""
        session = self._session
        receipts, denials = self._told
        kept = _Kept(
            receipts=tuple(session.receipts[receipts:]), denials=tuple(session.denials[denials:])
        )
        checkpoints = session.transaction.checkpoints
        await in_thread(checkpoints.seal, self._key[step.id], json.dumps(as_plain(kept)))

    def stop(self) -> None:
        """Make nothing of this run a checkpoint from here on."""
        self._session.transaction.checkpoints.stop()


def _chain(step: Step, plan: Plan) -> list[Step]:
    """Give `step`, what stands for it when it fails, and so on."""
    found = [step]
    while found[-1].fallback:
        found.append(next(one for one in plan.steps if one.id == found[-1].fallback))
    return found
