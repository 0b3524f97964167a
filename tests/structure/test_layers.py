"""The order of the folders is the path of a request; nothing looks upward."""

import ast
from pathlib import Path

import pytest
from tests.structure.source import FILES, imported, module, parsed

# What each package may import of ours. Absent means nothing.
MAY = {
    "cloche": {"assembly", "capability", "errors", "kernel", "model"},
    "cloche.__main__": {"cli"},
    "cloche.errors": set(),
    "cloche.model": {"errors"},
    "cloche.policy": {"errors", "model"},
    "cloche.capability": {"errors", "model"},
    "cloche.sandbox": {"errors", "model"},
    "cloche.workspace": {"errors", "model"},
    "cloche.egress": {"errors", "model"},
    "cloche.artifact": {"errors", "model"},
    "cloche.runtimes": {"errors", "model"},
    "cloche.platforms": {"egress", "errors", "model", "sandbox", "cloche_launch"},
    "cloche.kernel": {
        "artifact",
        "capability",
        "egress",
        "errors",
        "model",
        "policy",
        "runtimes",
        "sandbox",
        "workspace",
    },
    "cloche.assembly": {"errors", "kernel", "platforms", "policy", "runtimes"},
    "cloche.redteam": {"cloche_redteam", "errors", "kernel", "sandbox"},
    "cloche.cli": {
        "artifact",
        "assembly",
        "cloche_redteam",
        "errors",
        "kernel",
        "model",
        "policy",
        "redteam",
        "workspace",
    },
    "cloche.testing": {"model", "runtimes"},
}
PURE = ("cloche.model", "cloche.capability", "cloche.sandbox", "cloche.policy")
READS_THE_WORLD = ("policy/load.py", "sandbox/platform.py")  # the latter names types only
STARTS_PROGRAMS = (
    "cloche.platforms",
    "cloche_launch",
    "cloche.redteam",
)  # the last starts those that it attacks


def package(name: str) -> str:
    return ".".join(name.split(".")[:2])


@pytest.mark.parametrize("file", FILES, ids=module)
def test_imports_only_what_its_layer_may(file: Path) -> None:
    here = package(module(file))
    if here.startswith(("cloche_launch", "cloche_redteam")):
        assert not [name for name in imported(file) if package(name).startswith("cloche.")]
        return
    ours = {package(name) for name in imported(file) if name.split(".")[0].startswith("cloche")}
    reached = {name.removeprefix("cloche.") for name in ours} - {here.removeprefix("cloche.")}
    reached = {name.split(".")[0] for name in reached}
    assert reached <= MAY[here], f"{module(file)} may not import {reached - MAY[here]}"


@pytest.mark.parametrize("file", FILES, ids=module)
def test_the_launcher_stays_free_of_dependencies_and_slow_imports(file: Path) -> None:
    if module(file).startswith(("cloche_launch", "cloche_redteam")):
        slow = {"dataclasses", "pathlib", "asyncio", "subprocess"}
        assert not imported(file) & slow


@pytest.mark.parametrize("file", FILES, ids=module)
def test_pure_layers_read_neither_clock_nor_chance_nor_environment(file: Path) -> None:
    if module(file).startswith(PURE) and not str(file).endswith(READS_THE_WORLD):
        assert not imported(file) & {"time", "random", "secrets", "subprocess", "socket", "asyncio"}
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {("os", "environ"), ("os", "getcwd")}


@pytest.mark.parametrize("file", FILES, ids=module)
def test_only_platforms_start_programs_and_nobody_uses_a_shell(file: Path) -> None:
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.keyword) and node.arg == "shell":
            pytest.fail(f"{module(file)}:{node.value.lineno} names shell=")
    if not module(file).startswith(STARTS_PROGRAMS):
        assert "subprocess" not in imported(file)


@pytest.mark.parametrize("file", FILES, ids=module)
def test_only_the_gate_makes_a_grant(file: Path) -> None:
    calls = [
        node
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Grant"
    ]
    assert not calls or module(file) == "cloche.kernel.gate"
