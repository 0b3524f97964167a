"""`python -m tests.fuzz [SECONDS] [TARGET...]`: each target for so long, under libFuzzer by atheris.

A crash prints the bytes and is kept in build/fuzz/TARGET, from where a later
run starts again. Ends with 1 when a target raised what it may not.
"""

import subprocess
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cloche", "cloche_launch"]):
    from tests.fuzz.targets import TARGETS

HOME = Path("build/fuzz")


def main(arguments: list[str]) -> int:
    """Run one target in this process, or each in one of its own."""
    if arguments[:1] == ["--one"]:
        name, *options = arguments[1:]
        atheris.Setup([sys.argv[0], *options], TARGETS[name])
        atheris.Fuzz()  # never returns
    seconds = arguments[0] if arguments else "30"
    failed = []
    for name in arguments[1:] or sorted(TARGETS):
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
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
