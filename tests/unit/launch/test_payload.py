"""What the starter of a program reports, and what becomes of one that cannot."""

import os
import signal
import subprocess

from cloche_launch.payload import lines


def heard(script: str) -> tuple[list[str], int]:
    """Give the kinds that a starter told, and how it ended."""
    ours, theirs = os.pipe()
    argv = ["sh", "-c", script.format(theirs)]
    with subprocess.Popen(argv, pass_fds=(theirs,)) as starter:
        os.close(theirs)
        kinds = [line["kind"] for line in lines(ours, starter.pid)]
        os.close(ours)
        return kinds, starter.wait()


def test_what_is_told_in_pieces_is_heard_line_by_line() -> None:
    said = """printf '{{"kind": "conf' > /proc/self/fd/{0}; printf 'ined"}}\n{{"kind": "spawned"}}\n' > /proc/self/fd/{0}"""
    assert heard(said) == (["confined", "spawned"], 0)


def test_a_starter_that_its_program_stopped_is_ended_and_not_waited_for() -> None:
    said = """echo '{{"kind": "confined"}}' > /proc/self/fd/{0}; kill -STOP $$; echo '{{"kind": "spawned"}}' > /proc/self/fd/{0}"""
    assert heard(said) == (["confined"], -signal.SIGKILL)
