"""`python -m tests.fuzz [SECONDS] [TARGET...]`: each target for so long, under libFuzzer by atheris.

A crash prints the bytes and is kept in build/fuzz/TARGET, from where a later
run starts again. The target `calls` is of another kind, and takes SECONDS for
each identity: see calls.py. Ends with 1 when a target raised what it may not.
"""

import subprocess
import sys
from pathlib import Path

HOME = Path("build/fuzz")


def main(arguments: list[str]) -> int:
    """Run one target in this process, or each in one of its own."""
    if arguments[:1] == ["--one"]:
        _one(arguments[1], arguments[2:])
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - not before they are instrumented

    seconds = arguments[0] if arguments else "30"
    wanted = arguments[1:] or [*sorted(TARGETS), "calls"]
    held = [_calls(seconds) if name == "calls" else _bytes(name, seconds) for name in wanted]
    return 0 if all(held) else 1


def _calls(seconds: str) -> bool:
    command = [sys.executable, "-m", "tests.fuzz.calls", seconds]
    return subprocess.run(command, check=False).returncode == 0


def _bytes(name: str, seconds: str) -> bool:
    corpus = HOME / name
    corpus.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-verbosity=0", "-timeout=10"]
    options += [f"-artifact_prefix={corpus}/", "-print_final_stats=1", str(corpus)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--one", name, *options],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    runs = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    said = runs[0].split()[-1] if runs else "?"
    print(f"{name:12} {'ok' if done.returncode == 0 else 'FAILED':8} {said} runs", flush=True)
    if done.returncode:
        print(done.stderr[-3000:])
    return done.returncode == 0


def _one(name: str, options: list[str]) -> None:
    """Fuzz one target; never returns."""
    import atheris  # noqa: PLC0415 - of the extra `fuzz`, which system calls do without

    with atheris.instrument_imports(include=["cloche", "cloche_launch"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
