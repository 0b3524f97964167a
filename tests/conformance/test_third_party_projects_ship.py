"""Projects in the shape of public starters, shipped from a lock with pinned versions to an answer.

They are what people bring: a Next application, an API as fastify-cli generates it, a native module
that must be compiled, and a project of several packages.
"""

import json
import shutil
from pathlib import Path

import pytest
from tests.conformance.command import Ended, cloche

PROJECTS = Path(__file__).parents[1] / "fixtures/projects"
COMPILER = ("g++", "make", "python3")
GOOGLE_FONT = """\
import { Inter } from "next/font/google";

const inter = Inter({ subsets: ["latin"] });

export default function RootLayout({ children }: { children: React.ReactNode }) {
  return <html lang="en" className={inter.className}><body>{children}</body></html>;
}
"""

pytestmark = [pytest.mark.registry, pytest.mark.slow]


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECTS / request.param, tmp_path / "project"))


def assert_shipped(project: Path, ended: Ended) -> None:
    assert ended.status == 0, ended.events[-1]
    assert ended.of("preview-ready"), "the package never answered"
    (made,) = ended.of("artifact-made")
    assert (project / made["path"]).stat().st_size == made["size"]


@pytest.mark.parametrize("project", ["next-app"], indirect=True)
def test_a_next_application_ships_and_a_font_of_the_network_is_a_finding(project: Path) -> None:
    assert_shipped(project, cloche(project, "ship"))
    layout = project / "app/layout.tsx"
    layout.write_text(GOOGLE_FONT)
    ended = cloche(project, "build")
    assert ended.events[-1]["code"] == "network-wanted"
    assert ended.codes() == {"NO_NETWORK"}
    assert any(denied["tried"].startswith("resolve fonts.") for denied in ended.of("denied"))
    assert layout.read_text() == GOOGLE_FONT


@pytest.mark.parametrize("project", ["fastify-api", "workspaces"], indirect=True)
def test_an_interface_in_typescript_ships(project: Path) -> None:
    assert_shipped(project, cloche(project, "ship"))


@pytest.mark.parametrize("project", ["sqlite-api"], indirect=True)
def test_a_native_module_is_compiled_without_network_or_the_compiler_is_asked_for(
    project: Path,
) -> None:
    ended = cloche(project, "ship")
    if all(map(shutil.which, COMPILER)):
        assert_shipped(project, ended)
        assert list((project / "node_modules/better-sqlite3/build").rglob("better_sqlite3.node"))
        return
    assert ended.status != 0
    assert ended.codes() == {"NO_COMPILER"}
    assert not (project / "node_modules").exists()


def test_a_lock_is_made_although_npm_mistakes_an_archive_that_bundles_others(
    tmp_path: Path,
) -> None:
    # npm/cli issue 9800: one of its optional packages bundles its dependencies.
    project = tmp_path / "project"
    project.mkdir()
    manifest = {"name": "app", "version": "1.0.0", "dependencies": {"@tailwindcss/oxide": "4.3.3"}}
    (project / "package.json").write_text(json.dumps(manifest))
    ended = cloche(project, "resolve")
    assert ended.status == 0, ended.events[-1]
    assert (project / "package-lock.json").is_file()
    assert (project / "node_modules/@tailwindcss/oxide/package.json").is_file()
