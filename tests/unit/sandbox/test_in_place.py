"""A plan in the host's own paths."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from cloche.model.limits import LIMIT_CLASSES
from cloche.model.tier import Tier
from cloche.sandbox.in_place import in_place, private_places
from cloche.sandbox.mounts import BindReadOnly, BindWritable, Masked, SymbolicLink, Tmpfs
from cloche.sandbox.plan import SandboxPlan

PLAN = SandboxPlan(
    step="build",
    argv=("@node", "--prefix=/project/x", "/projects", "a/project", "/tmp:/home/user", "//project"),
    env={"PATH": "/toolchain/bin:/toolchain/node/bin:/usr/bin", "PROXY": "http://127.0.0.1:3128"},
    cwd="/project",
    mounts=(
        BindReadOnly(source="/usr", target="/usr"),
        BindReadOnly(source="/opt/node-24", target="/toolchain/node", of_user=True),
        BindReadOnly(source="/home/me/.npmrc", target="/home/user/.npmrc", of_user=True),
        SymbolicLink(target="/toolchain/bin/npm", to="/toolchain/node/lib/npm.js"),
        SymbolicLink(target="/bin", to="usr/bin"),
        BindWritable(source="/state/copy", target="/project"),
        Tmpfs(target="/tmp", size_bytes=1),
        Tmpfs(target="/home/user", size_bytes=1),
        Masked(target="/usr/etc"),
        Masked(target="/project/.env"),
    ),
    writable=("/project",),
    limits=LIMIT_CLASSES["build"],
    network=SimpleNamespace(),  # type: ignore[arg-type] - not looked at
    tier=Tier.LANDLOCK,
)
MADE = {"/tmp": "/run/1/t", "/home/user": "/run/1/h", "/toolchain/bin": "/run/1/b"}


def test_what_is_made_for_it() -> None:
    assert private_places(PLAN) == ("/tmp", "/home/user", "/toolchain/bin")
    assert private_places(replace(PLAN, mounts=PLAN.mounts[:3])) == ()


def test_paths_are_replaced_where_a_path_can_begin_and_nowhere_else() -> None:
    plan = in_place(PLAN, MADE, 4128)
    assert plan.argv[1:] == (
        "--prefix=/state/copy/x",
        "/projects",
        "a/project",
        "/run/1/t:/run/1/h",
        "//project",
    )
    assert plan.cwd == "/state/copy"
    assert plan.env["PATH"] == "/run/1/b:/opt/node-24/bin:/usr/bin"
    assert plan.env["PROXY"] == "http://127.0.0.1:4128"


def test_rules_are_those_of_the_mounts() -> None:
    plan = in_place(PLAN, MADE, 0)
    assert plan.readable[:3] == ("/usr", "/opt/node-24", "/home/me/.npmrc")
    assert plan.masked == ("/usr/etc",)
    assert set(plan.writable) == {*MADE.values(), "/state/copy"}
    assert plan.proxy_port == 0


def test_links_lie_in_our_own_directories_alone() -> None:
    inside = BindReadOnly(source="/x", target="/project/deep/x")
    plan = in_place(replace(PLAN, mounts=(*PLAN.mounts, inside)), MADE, 0)
    assert set(plan.links) == {
        ("/run/1/b/npm", "/opt/node-24/lib/npm.js"),
        ("/run/1/h/.npmrc", "/home/me/.npmrc"),
    }


@pytest.mark.parametrize("word", ["", "/", "/p", "x=/toolchain/nodes", "/toolchain/node-gyp"])
def test_other_words_stay(word: str) -> None:
    assert in_place(replace(PLAN, argv=("x", word)), MADE, 0).argv[1] == word
