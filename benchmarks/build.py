"""A Vite build in the jar, in a transaction that is committed, against the same build bare."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import Row, compare, missing
from cloche import ClocheError, Kernel, KernelSettings

_NAME = "`cloche build` of the react-ts template"


async def rows(turns: int = 7) -> list[Row]:
    """Measure what a user waits for: the verb from its call to its committed end."""
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as stage:
        settings = KernelSettings(state_home=Path(stage, "state"), environment=dict(os.environ))
        async with Kernel.open(settings) as kernel:
            inside, bare = Path(stage, "inside"), Path(stage, "bare")
            await kernel.scaffold("react-ts", inside, "bench")
            try:
                project = await kernel.project(inside)
                await project.resolve()
            except ClocheError as error:
                return [missing(_NAME, "bare", str(error))]
            shutil.copytree(inside, bare, symlinks=True)
            tools = {tool.name: tool.host_root for tool in kernel.toolchains()}
            # As little as inside: certificates, colours and questions about newer versions cost time.
            path = f"{tools['node']}/bin:{os.environ['PATH']}"
            environment = {"PATH": path, "HOME": stage, "CI": "1"}
            argv = (f"{tools['node']}/bin/node", f"{tools['npm']}/bin/npm-cli.js", "run", "build")

            async def ours() -> None:
                await project.build()

            async def peer() -> None:
                process = await asyncio.create_subprocess_exec(
                    *argv, cwd=bare, env=environment, stdin=-3, stdout=-3
                )
                if await process.wait() != 0:
                    raise RuntimeError("the bare build failed")

            return await compare(_NAME, ours, {"bare": peer}, turns=turns, targets={"bare": 1.10})
