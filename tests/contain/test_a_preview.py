"""`cloche preview` while its owner goes on working: what is saved reaches the server, secrets do not."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cloche import Kernel, KernelSettings
from cloche.kernel.errors import NoToolchain
from cloche.model.event import PreviewReady

SERVER = """
import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
// As dotenv does. What was looked for and not there, an overlay does not show later: it must be carried.
for (const name of [".env", "source.txt"]) existsSync(name);
createServer((request, response) => {
  try { response.end(readFileSync("." + request.url, "utf8")); }
  catch { response.statusCode = 404; response.end(); }
}).listen(process.env.PORT ?? 3000, "127.0.0.1");
"""


def served(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError:
        return ""


async def saved_and_seen(project: Path, url: str) -> str:
    """Save a secret, then a source; when the source has arrived, say what came of the secret."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        # Again and again: the watcher begins some time after the first answer.
        (project / ".env").write_text("KEY=secret")
        (project / "source.txt").write_text("edited")
        if await asyncio.to_thread(served, f"{url}source.txt") == "edited":
            return await asyncio.to_thread(served, f"{url}.env")
    pytest.fail("the edit never arrived")


async def scene(tmp_path: Path, project: Path) -> str:
    async with Kernel.open(KernelSettings(state_home=tmp_path / "state")) as kernel:
        run = (await kernel.project(project)).preview()
        secret = "never ready"
        async for event in run:
            if isinstance(event, PreviewReady):
                secret = await saved_and_seen(project, event.url)
                run.cancel()
        return secret


def test_a_secret_saved_while_it_serves_is_not_carried_in(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "server.mjs").write_text(SERVER)
    manifest = {"name": "p", "version": "1.0.0", "scripts": {"dev": "node server.mjs"}}
    (project / "package.json").write_text(json.dumps(manifest))
    try:
        assert asyncio.run(scene(tmp_path, project)) == ""
    except NoToolchain as missing:
        pytest.skip(f"needs a node to serve with: {missing}")
