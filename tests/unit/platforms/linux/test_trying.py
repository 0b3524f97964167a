"""What the launcher tells of its trials is believed as far as it goes; what it leaves out was not held."""

import socket
import struct

import pytest

from cloche.model.limits import LIMIT_CLASSES
from cloche.model.trial import Verdict
from cloche.platforms.linux.trying import insist_on_trials, insisted, read_trials
from cloche.sandbox.errors import CannotConfine
from cloche.sandbox.features import Feature, Need
from cloche.sandbox.plan import NetworkPlan, SandboxPlan
from cloche_launch.trials import ADDRESS, BARRIERS, HELD, REFUSED_HERE

PLAN = SandboxPlan(
    step="step",
    argv=("true",),
    env={},
    cwd="/project",
    mounts=(),
    writable=(),
    limits=LIMIT_CLASSES["tool"],
    network=NetworkPlan(),
    needs={Feature.SECCOMP: Need.REQUIRED, Feature.LANDLOCK: Need.WANTED},
)
ALL = [[name, HELD, ""] for name in BARRIERS]


def logged(protocol: int, address: str, port: int) -> bytes:
    """Give a message of nfnetlink_log about one packet."""
    packet = bytes([0x45]) + bytes(8) + bytes([protocol]) + bytes(6) + socket.inet_aton(address)
    packet += struct.pack(">HH", 40_000, port)
    attribute = struct.pack("=HH", 4 + len(packet), 9) + packet
    return struct.pack("=IHHII", 20 + len(attribute), 0, 0, 0, 0) + bytes(4) + attribute


def verdicts(
    trials: list[list[str]], log: socket.socket | None = None
) -> dict[str, tuple[Verdict, str]]:
    sockets = {} if log is None else {"nflog": log}
    return {t.name: (t.verdict, t.detail) for t in read_trials({"trials": trials}, sockets)}


def test_a_trial_that_was_not_reported_was_not_held() -> None:
    assert verdicts(ALL)["mount"][0] is Verdict.HELD
    assert verdicts([row for row in ALL if row[0] != "mount"])["mount"][0] is Verdict.NOT_HELD


def test_only_trials_of_required_barriers_are_insisted_on() -> None:
    names = set(insisted(PLAN))
    assert "make-ring" in names
    assert "signal-init" not in names


@pytest.mark.parametrize(("name", "refused"), [("make-ring", True), ("signal-init", False)])
def test_a_required_barrier_that_does_not_hold_is_an_error_with_its_name(
    name: str, refused: bool
) -> None:
    told = [[each, "not held" if each == name else HELD, "it was allowed"] for each in BARRIERS]
    trials = read_trials({"trials": told}, {})
    if not refused:
        insist_on_trials(trials, PLAN)
        return
    with pytest.raises(CannotConfine, match=r"seccomp is required .* make-ring, tried inside"):
        insist_on_trials(trials, PLAN)


def test_the_trials_own_refusals_are_taken_and_no_other() -> None:
    told = [[name, HELD, REFUSED_HERE if name == "connect-out" else ""] for name in BARRIERS]
    kernel, log = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with kernel, log:
        kernel.send(logged(6, ADDRESS, 9))
        kernel.send(logged(17, ADDRESS, 9))
        assert verdicts(told, log)["hear-refusals"][0] is Verdict.HELD
        assert log.recv(4096) == logged(17, ADDRESS, 9)


@pytest.mark.parametrize("heard", [b"", b"\0" * 30, logged(6, ADDRESS, 80)])
def test_a_refusal_that_is_not_heard_is_told(heard: bytes) -> None:
    told = [[name, HELD, REFUSED_HERE if name == "connect-out" else ""] for name in BARRIERS]
    kernel, log = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with kernel, log:
        if heard:
            kernel.send(heard)
        assert verdicts(told, log)["hear-refusals"][0] is Verdict.NOT_HELD
        if heard:
            assert log.recv(4096) == heard
