"""Runs one command in a real sandbox and prints what happened as JSON: the tests' way in.

    python tests/contain/jail.py '{"argv": ["true"], ...}'

A program of its own, so that the same attack can be started by root and by an
ordinary user.
"""

import asyncio
import json
import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloche.egress.egress import Egress
from cloche.model.event import Event
from cloche.model.hosts import HostPattern, HostRule
from cloche.model.limits import LIMIT_CLASSES
from cloche.platforms.linux.host import read_host_system
from cloche.platforms.linux.spawn import LinuxPlatform
from cloche.sandbox.features import Feature, Need
from cloche.sandbox.layout import system_mounts
from cloche.sandbox.mounts import Overlay, ordered
from cloche.sandbox.plan import NetworkPlan, SandboxPlan


def plan(stage: Path, request: dict[str, Any]) -> SandboxPlan:
    for name in ("base", "tx/up"):
        (stage / name).mkdir(parents=True, exist_ok=True)
    # A stage may be used again, a work directory of a volatile overlay may not.
    work = Path(tempfile.mkdtemp(prefix="work-", dir=stage / "tx"))
    for name, content in request.get("files", {}).items():
        (stage / "base" / name).write_text(content)
    canary = stage / "canary"
    if not canary.exists():  # a stage may be used again, and is watched meanwhile
        canary.write_text("out of reach")
    limits = replace(LIMIT_CLASSES["tool"], **request.get("limits", {}))
    overlay = Overlay(
        lowers=(str(stage / "base"),),
        upper=str(stage / "tx/up"),
        work=str(work),
        target="/project",
    )
    system = system_mounts(read_host_system(), memory_bytes=limits.memory_bytes, trust_roots=False)
    return SandboxPlan(
        step="test",
        argv=tuple(request["argv"]),
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/home/user", "LANG": "C.UTF-8"},
        cwd="/project",
        mounts=ordered((*system, overlay)),
        writable=tuple(request.get("writable", ("/project", "/tmp", "/home/user"))),
        limits=limits,
        canary=str(canary),
        needs={Feature(name): Need.REQUIRED for name in request.get("required", ())},
        network=NetworkPlan(observed=request.get("observed", True)),
        stdin=request.get("stdin", "") is not None,
    )


def egress(request: dict[str, Any], sockets: dict[str, Any], seen: list[Event]) -> Egress:
    """Serve the sandbox's way out by the rules of the request, with its names in place of a resolver."""
    asked = request.get("egress", {})
    names: dict[str, list[str]] = asked.get("names", {})

    async def lookup(host: str, _port: int) -> list[tuple[int, str]]:
        found = names.get(host, [])
        if not found:
            raise OSError(f"no address for {host}")
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, a) for a in found]

    return Egress(
        step="test",
        sockets=sockets,
        rules=tuple(
            HostRule(
                pattern=HostPattern(rule["host"]),
                ports=tuple(rule["ports"]),
                origin=f"network.allow[{number}]",
                trusted_addresses=tuple(rule.get("trusted", ())),
            )
            for number, rule in enumerate(asked.get("rules", ()))
        ),
        max_bytes=asked.get("max_bytes", 1 << 20),
        emit=seen.append,
        lookup=lookup,
    )


async def run(request: dict[str, Any], stage: Path) -> dict[str, Any]:
    platform = LinuxPlatform()
    seen: list[Event] = []
    output = {"stdout": b"", "stderr": b""}
    try:
        process = await platform.spawn(plan(stage, request))
        served = egress(request, process.sockets, seen)
        try:
            await served.start()
            if request.get("stdin", "") is not None:
                await process.write_input(request.get("stdin", "").encode())
                await process.write_input(b"")
            while (chunk := await process.read_output()) is not None:
                output[chunk[0]] += chunk[1]
            ended = await process.wait_exited()
            usage = process.usage()
            rows = process.report.rows()
            trials = process.report.trials
        finally:
            await served.close()
            await process.close()
    finally:
        await platform.close()
    left = sorted(str(p.relative_to(stage / "tx/up")) for p in (stage / "tx/up").rglob("*"))
    return {
        "status": ended.status,
        "limit": ended.limit,
        "stdout": output["stdout"].decode("utf-8", "replace"),
        "stderr": output["stderr"].decode("utf-8", "replace"),
        "bytes": len(output["stdout"]) + len(output["stderr"]),
        "report": {feature: support for feature, support, _ in rows},
        "trials": {trial.name: [trial.verdict.value, trial.detail] for trial in trials},
        "peak": usage.memory_peak_bytes,
        "left": left,
        "events": [event.to_json() for event in seen],
    }


def main(request: dict[str, Any]) -> None:
    """Run in the stage that the request names, where its base lies already, or in one of its own."""
    if "stage" in request:
        print(json.dumps(asyncio.run(run(request, Path(request["stage"])))))
        return
    with tempfile.TemporaryDirectory(prefix="cloche-contain-", ignore_cleanup_errors=True) as root:
        print(json.dumps(asyncio.run(run(request, Path(root)))))
        # overlayfs leaves directories of mode 0, which their owner could not list and so not remove.
        for work in Path(root).glob("tx/work-*"):
            for left in ("work", "work/incompat", "work/incompat/volatile"):
                (work / left).chmod(0o700)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
