"""`python -m benchmarks.crates`: public programs shipped from their published sources, beside bare cargo.

Each crate is shipped by whoever starts this and, from root, by an ordinary user whose toolchain
lies in a private home; then `cargo build --release` does the same to another copy in the same run,
with packages in its cache. The state of Cloche is new each time, its cache of packages too.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.crates import (
    AS_OWNER,
    OWNER,
    bare_environment,
    fetch_crate,
    make_private_home,
)

from benchmarks.measure import machine
from cloche import ClocheError
from cloche.kernel.toolchains import find_toolchains
from cloche.runtimes.rust.provider import RustProvider

_CRATES = {"ripgrep": "15.2.0", "bat": "0.26.1"}
_STEPS = ("fetch", "build", "clippy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What one `cloche ship` said of itself."""

    seconds: float
    steps: Mapping[str, float]
    peak: int
    """Bytes of the step that held most."""
    units: tuple[int, int]
    """Of the build: how many were done, and how many cargo said there are."""
    refusal: str

    def __str__(self) -> str:
        if self.refusal:
            return self.refusal
        steps = "  ".join(f"{name} {self.steps.get(name, 0):6.1f} s" for name in _STEPS)
        done, total = self.units
        return (
            f"{self.seconds:6.1f} s: {steps}  peak {self.peak >> 20:5} MiB  {done} of {total} units"
        )


def main(wanted: list[str]) -> None:
    """Print a line for each crate and each kind of user."""
    print(f"{machine()}\n")
    identities = ("root", "ordinary") if os.geteuid() == 0 else ("ordinary",)
    for name in wanted or _CRATES:
        for identity in identities:
            with tempfile.TemporaryDirectory(
                prefix="cloche-crates-", ignore_cleanup_errors=True
            ) as stage:
                Path(stage).chmod(0o755)
                print(f"{name:10} {identity:9} {_measure(name, identity, Path(stage))}", flush=True)


def _measure(name: str, identity: str, stage: Path) -> str:
    rust = find_toolchains(RustProvider.toolchains, os.environ, stage / "digests.json")["rust"]
    project = fetch_crate(name, _CRATES[name], rust, stage / "own")
    environment = {
        **os.environ,
        "XDG_STATE_HOME": f"{stage}/state",
        "XDG_CACHE_HOME": f"{stage}/cache",
    }
    prefix: tuple[str, ...] = ()
    if identity == "ordinary":
        home = stage / "own/home"
        home.mkdir()
        environment = dict(make_private_home(rust, home))
        if os.geteuid() == 0:
            prefix = AS_OWNER
            for path in (stage / "own", project, *project.rglob("*")):
                os.chown(path, OWNER, OWNER, follow_symlinks=False)
    shipped = _ship(project, prefix, environment)
    bare = fetch_crate(name, _CRATES[name], rust, stage / "bare")
    seconds = _build(bare, bare_environment(rust) | {"CARGO_HOME": str(stage / "bare/cargo-home")})
    built = shipped.steps.get("build", 0)
    return f"{shipped}\n{'':20} bare cargo build --release {seconds:6.1f} s, the step over it {built / seconds:5.2f}"


def _ship(project: Path, prefix: tuple[str, ...], environment: Mapping[str, str]) -> Shipped:
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "cloche", "ship", "--json", str(project)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, cwd="/", env=dict(environment),
    )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    usages = [event for event in events if event["type"] == "usage-measured"]
    counts = [e for e in events if e["type"] == "progress" and e["step"] == "build"]
    last = counts[-1] if counts else {"done": 0, "total": 0}
    return Shipped(
        seconds=next(e["seconds"] for e in events if e["type"] == "run-finished"),
        steps={event["step"]: event["wall_seconds"] for event in usages},
        peak=max((event["memory_peak_bytes"] or 0 for event in usages), default=0),
        units=(last["done"], last["total"]),
        refusal="" if done.returncode == 0 else f"{events[-1]['code']}: {events[-1]['message']}",
    )


def _build(project: Path, environment: Mapping[str, str]) -> float:
    argv = ["cargo", "build", "--release", "--locked", "--quiet"]
    fetched = subprocess.run(
        ["cargo", "fetch", "--locked", "--quiet"], cwd=project, env=environment, check=False
    )
    began = time.monotonic()
    done = subprocess.run(
        argv, cwd=project, env=environment, stderr=subprocess.DEVNULL, check=fetched.returncode == 0
    )
    return time.monotonic() - began if done.returncode == 0 else float("nan")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ClocheError as error:
        sys.exit(error.explain())
