"""One busy process beside sixteen: each sandbox gets as much of a processor as the other. Barrier (18)."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from tests.contain.jail import plan

from cloche.platforms.linux.cgroup import open_cgroups
from cloche.platforms.linux.process import LinuxProcess
from cloche.platforms.linux.spawn import LinuxPlatform
from cloche.sandbox.features import Feature, Support

# All on one processor, each busy from the same moment to the same moment; prints the seconds it got.
BUSY = """
import os, sys, time
many, begin, end, processor = int(sys.argv[1]), *map(float, sys.argv[2:])
os.sched_setaffinity(0, {int(processor)})
for _ in range(many - 1):
    if os.fork() == 0: break
while time.time() < begin: time.sleep(0.01)
had = time.process_time()
while time.time() < end: pass
os.write(1, b"%f\\n" % (time.process_time() - had))
while True:
    try: os.wait()
    except ChildProcessError: break
"""


def test_one_process_gets_as_much_as_sixteen(tmp_path: Path) -> None:
    processor = min(os.sched_getaffinity(0))

    async def race() -> list[float]:
        platform = LinuxPlatform()
        begin = time.time() + 2
        words = [str(begin), str(begin + 3), str(processor)]
        try:
            runners: list[LinuxProcess] = []
            for many in ("1", "16"):
                argv = ["/usr/bin/python3", "-I", "-S", "-c", BUSY, many, *words]
                request = {"argv": argv, "limits": {"wall_seconds": 60}}
                runners.append(await platform.spawn(plan(tmp_path / many, request)))
                assert runners[-1].report.support(Feature.CPU_LIMIT) is Support.FULL
            return list(await asyncio.gather(*map(seconds, runners)))
        finally:
            await platform.close()

    one, sixteen = asyncio.run(race())
    assert 0.6 < one / sixteen < 1.67, (one, sixteen)


async def seconds(process: LinuxProcess) -> float:
    """Give the seconds of the processor that all of a sandbox's processes printed."""
    printed = b""
    while (chunk := await process.read_output()) is not None:
        printed += chunk[1]
    await process.wait_exited()
    for each in process.sockets.values():
        each.close()
    await process.close()
    return sum(map(float, printed.split()))


@pytest.fixture(autouse=True)
def _needs_groups() -> None:
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("needs /usr/bin/python3, which the sandbox shows")
    home = open_cgroups()
    support = {finding.feature: finding.support for finding in home.findings()}
    home.close()
    if support[Feature.CPU_LIMIT] is not Support.FULL:
        pytest.skip("cpu-limit: this user can make no control group for the processor here")
