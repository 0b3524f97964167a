"""Starting who deletes what was thrown away, and letting go of it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

# The first process ends before it has imported anything, so whoever waits for it waits for no more
# than a bare Python; the second is init's to reap, and no child of a program that has us as a library.
_PROGRAM = """
import os, sys
os.fork() and os._exit(0)
sys.path.append(sys.argv[1])
from cloche.workspace.collector import main
main(int(sys.argv[2]))
"""
_PATIENCE = 10.0


def start_collector(state: int) -> None:
    """Delete what lies discarded in the open state directory, in a process of its own. Raises OSError.

    It has the lowest priority, outlives this program, and hears nothing of a terminal's signals.
    """
    spec = find_spec("cloche")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package cloche lies in no directory")
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-I", "-S", "-c", _PROGRAM),
                *(str(Path(spec.origin).parents[1]), str(state)),
            ],
            pass_fds=(state,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            # So that no directory but the state's is in use on its account.
            cwd="/",
            start_new_session=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.SubprocessError as error:
        raise OSError(str(error)) from error
    if done.returncode:
        raise OSError(f"the collector ended with {done.returncode}")
