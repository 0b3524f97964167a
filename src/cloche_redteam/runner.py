"""Runs attacks one after the other, each in a process of its own, and prints a verdict a line."""

import errno
import json
import os
import select
import signal
import time

from cloche_redteam.attack import REGISTER, Attack, Unable

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

ESCAPED, HELD, UNABLE = "escaped", "held", "unable"
PATIENCE = 6.0  # seconds for one attack
_LONGEST = 400


def run(names: "list[str]", bait: "Bait") -> None:
    """Run the attacks called `names`, and print {"attack", "verdict", "detail"} of each."""
    for name in names:
        verdict, detail = attempt(REGISTER[name], bait)
        print(json.dumps({"attack": name, "verdict": verdict, "detail": detail}), flush=True)


def attempt(attack: Attack, bait: "Bait") -> "tuple[str, str]":
    """Run one attack in a child, since it may be killed for it; give (verdict, detail)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, json.dumps(_try(attack, bait)).encode()[:60_000])
        os._exit(0)
    os.close(writer)
    text = _read(reader, child)
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return HELD, f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    try:
        verdict, detail = json.loads(text)
    except ValueError:
        return HELD, "ended without a word"
    return str(verdict), str(detail)[:_LONGEST]


def _try(attack: Attack, bait: "Bait") -> "tuple[str, str]":
    try:
        evidence = attack.act(bait)
    except Unable as reason:
        return UNABLE, str(reason)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        return HELD, f"{name}: {error.strerror or error}"
    except MemoryError:
        return HELD, "no memory"
    except Exception as error:  # noqa: BLE001 - an attack that breaks has not got out
        return HELD, f"{type(error).__name__}: {error}"
    return (ESCAPED, evidence) if evidence else (HELD, "no effect")


def _read(reader: int, child: int) -> bytes:
    text, until = b"", time.monotonic() + PATIENCE
    while True:
        left = until - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            os.kill(child, signal.SIGKILL)
            return text
        block = os.read(reader, 65_536)
        if not block:
            return text
        text += block
