"""One act on a project, done in a child that may die in the middle, and what may be found after it."""

import enum
import errno
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.proof.overlay import inside
from tests.crash.proof.scenario import EVERYTHING, Scenario
from tests.crash.proof.snapshot import Snapshot, look, take

from cloche.errors import ClocheError
from cloche.workspace.effects import Before, Effects
from cloche.workspace.screen import ScreenRules, allow_all
from cloche.workspace.transaction import Transaction
from cloche.workspace.workspace import Workspace

RULES = ScreenRules(
    max_bytes=1 << 30,
    max_file_bytes=1 << 30,
    max_entries=10_000,
    may_write=allow_all,
    may_delete=allow_all,
)
DONE, FAILED, UNTYPED = 0, 3, 4
_LEFT_OVER = ("tx-", "dead-", "journal")


class Act(enum.Enum):
    """What is interrupted."""

    COMMIT = "commit"
    UNDO = "undo"
    ROLLBACK = "rollback"


@dataclass(slots=True)
class Armed:
    """The hook of Effects, quiet until the act begins."""

    then: Before | None = None
    calls: int = 0

    def __call__(self, call: str, detail: str) -> None:
        if self.then is not None:
            self.calls += 1
            self.then(call, detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One way to come to harm: what is done, where, and by which effects."""

    root: Path
    act: Act = Act.COMMIT
    scenario: Scenario = EVERYTHING
    effects: type[Effects] = Effects
    settle: Callable[[], object] = field(default=lambda: None)
    """Called when the project stands and no transaction is begun."""

    @property
    def project(self) -> Path:
        """Where the project is; its name tries what paths may hold."""
        return self.root / "pro,ject:a\\b"

    def open(self, effects: Effects | None = None) -> Workspace:
        """Open the project as anybody would."""
        return Workspace.open(self.project, self.root / "state", effects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the child ended, and the two trees that may be there now."""

    status: int
    before: Snapshot
    after: Snapshot
    error: str = ""

    @property
    def died(self) -> bool:
        """Tell whether a signal ended it."""
        return self.status < 0


def run(trial: Trial, hook: Callable[[Armed], Before | None]) -> Ending:
    """Arrange and act in a child; `hook` makes what is called before each change of the act."""

    def act(armed: Armed, do: Callable[[], object]) -> None:
        armed.then = hook(armed)
        do()

    return run_by(trial, act)


def run_by(trial: Trial, perform: Callable[[Armed, Callable[[], object]], None]) -> Ending:
    """The same, with `perform` calling the act."""
    reading, writing = os.pipe()
    errors, telling = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = UNTYPED
        try:
            os.close(reading)
            os.close(errors)
            status = _live(trial, perform, writing, telling)
        except BaseException:  # noqa: BLE001 - a bug of the harness; said and counted
            os.write(telling, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(status)
    os.close(writing)
    os.close(telling)
    with os.fdopen(reading, "rb") as file:
        raw = file.read()
    with os.fdopen(errors, "rb") as file:
        said = file.read().decode(errors="replace")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not raw:
        raise RuntimeError(said or f"the child ended with {status} before the act")
    before, after = pickle.loads(raw)
    return Ending(status=status, before=before, after=after, error=said)


def _live(trial: Trial, perform: Any, writing: int, telling: int) -> int:  # Any: see run_by
    armed = Armed()
    before, after, do = _arrange(trial, trial.effects(armed))
    with os.fdopen(writing, "wb") as file:
        pickle.dump((before, after), file)
    try:
        perform(armed, do)
    except ClocheError as error:
        os.write(telling, repr(error).encode()[:4000])
        return FAILED
    except BaseException:  # noqa: BLE001 - the finding of the trial
        os.write(telling, traceback.format_exc().encode()[-4000:])
        return UNTYPED
    return DONE


def _arrange(trial: Trial, effects: Effects) -> tuple[Snapshot, Snapshot, Callable[[], object]]:
    trial.project.mkdir(parents=True)
    (trial.root / "view").mkdir()
    trial.scenario.make(trial.project)
    trial.settle()
    first = take(trial.project)
    workspace = trial.open(effects)
    transaction = workspace.begin()
    second = _change(trial, transaction)
    if trial.act is Act.ROLLBACK:
        return first, first, lambda: (transaction.rollback(), workspace.close())
    if trial.act is Act.COMMIT:
        return first, second, lambda: (transaction.commit(RULES), workspace.close())
    transaction.commit(RULES)
    return second, first, lambda: (workspace.undo(), workspace.close())


def _change(trial: Trial, transaction: Transaction) -> Snapshot:
    def change(view: Path) -> Snapshot:
        trial.scenario.change(view)
        return look(view)

    work = transaction.new_work()
    seen: Snapshot = inside(trial.project, transaction.upper, work, trial.root / "view", change)
    return seen


def die_before(number: int) -> Callable[[Armed], Before]:
    """Give a hook that kills the process before its change `number`, counted from 1."""

    def make(armed: Armed) -> Before:
        def before(_call: str, _detail: str) -> None:
            if armed.calls == number:
                os.kill(os.getpid(), signal.SIGKILL)

        return before

    return make


def fail_at(number: int, code: int, *, always: bool) -> Callable[[Armed], Before]:
    """Give a hook that refuses change `number`, and with `always` every later one."""

    def make(armed: Armed) -> Before:
        def before(_call: str, detail: str) -> None:
            if armed.calls == number or (always and armed.calls > number):
                raise OSError(code, os.strerror(code), detail)

        return before

    return make


def recover_in_child(trial: Trial, number: int) -> bool:
    """Recover in a child that dies before its change `number`; tell whether it got to the end."""
    pid = os.fork()
    if pid == 0:
        try:
            armed = Armed()
            armed.then = die_before(number)(armed)
            workspace = trial.open(trial.effects(armed))
            workspace.recover()
            workspace.close()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - judged by what recovery in the parent finds
            traceback.print_exc(file=sys.stderr)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) >= 0


def recover(trial: Trial) -> None:
    """Recover as the next start of Cloche would, by the same effects."""
    workspace = trial.open(trial.effects())
    try:
        workspace.recover()
    finally:
        workspace.close()


def left_over(trial: Trial) -> list[str]:
    """Give what no recovery may leave in the state directory."""
    homes = (trial.root / "state" / "projects").iterdir()
    return [p.name for home in homes for p in home.iterdir() if p.name.startswith(_LEFT_OVER)]


CODES = (errno.EIO, errno.ENOSPC, errno.EACCES)
