"""The power fails: each moment's bytes of the device are mounted again, recovered and judged.

Before each change the file under the loop device is copied: it holds what the
file system had written, and nothing of what was in memory. Order within one
drive's own cache is not modelled.
"""

import contextlib
import os
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.crash.proof import verdict
from tests.crash.proof.medium import SIZES, Lacking, mounted, run, unmount
from tests.crash.proof.verdict import Tally
from tests.crash.proof.victim import Act, Armed, Ending, Trial, run_by

_SECTORS = 6  # "sectors written" in /sys/block/*/stat, Documentation/block/stat.rst


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the kernel wrote back of its own accord before the power failed."""

    name: str
    write_back: Callable[[random.Random, Path], None]


def _nothing(_chance: random.Random, _root: Path) -> None:
    pass


def _everything(_chance: random.Random, _root: Path) -> None:
    os.sync()


def _some(chance: random.Random, root: Path) -> None:
    if chance.random() < 0.5:
        return
    files = [os.path.join(place, name) for place, _, names in os.walk(root) for name in names]
    for path in chance.sample(files, min(3, len(files))):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            (os.fsync if chance.random() < 0.5 else os.fdatasync)(descriptor)
            os.close(descriptor)


NOTHING = Policy(name="nothing", write_back=_nothing)
SOME = Policy(name="random", write_back=_some)
EVERYTHING = Policy(name="everything", write_back=_everything)
POLICIES = (NOTHING, SOME, EVERYTHING)


def lost(
    kind: str,
    policy: Policy,
    seeds: int,
    make: Callable[[Path], Trial],
    *,
    until_torn: bool = False,
) -> Tally:
    """Lose power before each change of the act, for each seed. Raises Lacking."""
    tally: Tally | None = None
    for seed in range(seeds):
        with mounted(kind, mebibytes=SIZES[kind]) as medium:
            assert medium.image is not None
            trial = make(medium.root)
            tally = tally or Tally(
                kind, f"{trial.act.value}, power lost, {policy.name} written back", seeds=seeds
            )
            copies = medium.image.parent / "copies"
            copies.mkdir()
            ending = _act(trial, medium.root, medium.image, policy, seed)
            if ending.status != 0:
                raise RuntimeError(ending.error)
            unmount(medium.root)
            _judge_all(tally, trial, ending, copies, seed, until_torn=until_torn)
        if until_torn and tally.torn:
            break
    assert tally is not None
    return tally


def _act(trial: Trial, root: Path, image: Path, policy: Policy, seed: int) -> Ending:
    device = _device(root)
    chance = random.Random(seed)

    def perform(armed: Armed, do: Callable[[], object]) -> None:
        made: list[tuple[int, str]] = []
        copies: dict[int, str] = {}

        def before(_call: str, _detail: str) -> None:
            policy.write_back(chance, root)
            written = int(Path(f"/sys/block/{device}/stat").read_text().split()[_SECTORS])
            if (
                written not in copies
            ):  # nothing was written since: the same bytes would be judged again
                copies[written] = f"{armed.calls}"
                run(
                    "cp",
                    "--sparse=always",
                    str(image),
                    str(image.parent / "copies" / copies[written]),
                )
            made.append((armed.calls, copies[written]))

        armed.then = before
        do()
        armed.then = None
        (image.parent / "copies" / "index").write_bytes(pickle.dumps(made))

    return run_by(trial, perform)


def _judge_all(
    tally: Tally, trial: Trial, ending: Ending, copies: Path, seed: int, *, until_torn: bool
) -> None:
    said: dict[str, str] = {}
    for number, name in pickle.loads((copies / "index").read_bytes()):
        if name not in said:
            said[name] = _judge_one(tally.medium, trial, ending, copies / name)
        tally.count((seed, number), said[name])
        if until_torn and tally.torn:
            return


def _judge_one(kind: str, trial: Trial, ending: Ending, image: Path) -> str:
    # Another's new mount namespace may hold the last copy a moment longer: xfs minds its UUID.
    options = "loop,nouuid" if kind == "xfs" else "loop"
    try:
        run("mount", "-o", options, str(image), str(trial.root.parent))
    except Lacking as error:
        return f"the copy cannot be mounted: {error}"
    try:
        return verdict.judge(trial, ending)
    finally:
        unmount(trial.root.parent)
        image.unlink()


def _device(root: Path) -> str:
    number = os.stat(root).st_dev
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[4] == str(root):
            return Path(fields[fields.index("-") + 2]).name
    raise RuntimeError(f"no mount of device {number}")


def trial_of(act: Act) -> Callable[[Path], Trial]:
    """Give how a trial is made whose project is on the disk before the transaction begins."""
    return lambda root: Trial(root=root / "x", act=act, settle=os.sync)
