"""Projects that are made to keep the planner busy, to mislead it, or to bring it down."""

import json

import pytest

from cloche.errors import ClocheError
from cloche.kernel.lines import LineReader
from cloche.model.event import Event, Found, Progress
from cloche.runtimes.provider import CannotPlan, HostFacts
from cloche.runtimes.rust.document import read_table
from cloche.runtimes.rust.members import Excluded, Members
from cloche.runtimes.rust.provider import RustProvider
from cloche.runtimes.toolchain import Toolchain
from cloche.testing.view import MemoryView

HEAD = '[package]\nname = "app"\nversion = "1.0.0"\n'
FACTS = HostFacts(
    toolchains={
        "rust": Toolchain(name="rust", host_root="/t", inside="/t", version="1.95.0", digest="0")
    }
)
# Each would take gigabytes or minutes, or end in a RecursionError.
LARGE = {
    "brackets": "a=" + "[" * 500_000,
    "braces": "a=" + "{a=" * 200_000,
    "a key of parts": ".".join(["a"] * 300_000) + "=1",
    "a table of parts": "[" + ".".join(["a"] * 300_000) + "]",
    "many keys of parts": "\n".join(f"{'a.' * 900}k{n}=1" for n in range(500)),
    "a number": "a=" + "9" * 900_000,
}
NAMES = ("a b", "a\\nb", "../a", "a/b", "-p", "a\\u0000", "\u202ea", "\u212a", "a" * 200, "")


@pytest.mark.parametrize("name", sorted(LARGE))
def test_a_document_that_would_fill_the_memory_is_refused(name: str) -> None:
    with pytest.raises(CannotPlan):
        read_table("Cargo.toml", LARGE[name].encode())


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    for manifest in (
        HEAD.replace("app", name),
        f'{HEAD}[[bin]]\nname = "{name or "/"}"\npath = "src/main.rs"\n',
    ):
        with pytest.raises(ClocheError):
            RustProvider().build(
                MemoryView({"Cargo.toml": manifest, "src/main.rs": "", "Cargo.lock": ""}), FACTS
            )


@pytest.mark.parametrize("name", NAMES)
def test_a_dependency_whose_name_is_none_is_refused(name: str) -> None:
    for line in (f'"{name}" = "1"', f'x = {{ version = "1", package = "{name or "/"}" }}'):
        manifest = f"{HEAD}[dependencies]\n{line}\n"
        with pytest.raises(ClocheError):
            RustProvider().resolve_dependencies(
                MemoryView({"Cargo.toml": manifest, "src/main.rs": ""}), FACTS
            )


def test_a_lock_that_is_too_large_is_not_taken_for_none() -> None:
    view = MemoryView({"Cargo.toml": HEAD, "src/main.rs": "", "Cargo.lock": "#" * (9 << 20)})
    with pytest.raises(CannotPlan):
        RustProvider().resolve_dependencies(view, FACTS)


def test_members_are_what_cargo_takes_for_them() -> None:
    members = Members("Cargo.toml", ("crates/*", "./tools/one/", "b[ab]/?", "."))
    for directory in ("crates/a", "tools/one", "ba/x", ""):
        assert members.has(directory)
    for directory in ("crates", "crates/a/b", "tools/two", "bc/x"):
        assert not members.has(directory)
    excluded = Excluded("Cargo.toml", ("crates/a", "../out"))
    assert excluded.has("crates/a/b")
    assert not excluded.has("crates/ab")
    with pytest.raises(CannotPlan):
        Members("Cargo.toml", tuple(f"{n}/*" for n in range(51)))
    assert Members("Cargo.toml", tuple(f"crates/{n}" for n in range(1000))).has("crates/7")
    with pytest.raises(CannotPlan):
        Excluded("Cargo.toml", tuple(map(str, range(1001))))


def read(parser: str, stream: str, data: bytes) -> list[Event]:
    events: list[Event] = []
    reader = LineReader("s", RustProvider().parser(parser), 0, events.append)
    for start in range(0, len(data), 65_536):
        reader.feed(stream, data[start : start + 65_536])
    reader.end(101)
    return events


@pytest.mark.parametrize(
    "message",
    [b"[]", b"{}", b'"x"', b"[" * 5000, b'{"package_id":{}}', b'{"package_id":"\xff"}'],
)
def test_messages_that_are_none_say_nothing_or_little(message: bytes) -> None:
    line = b'{"reason":"compiler-artifact","target":' + message + b"}\n"
    assert all(isinstance(event, Progress) for event in read("cargo", "stdout", line))


def test_a_package_of_a_message_cannot_write_to_the_terminal() -> None:
    identity = "registry+x/\x1b]0;title\x07\nerror: all is lost\r#1.0.0"
    line = json.dumps({"reason": "compiler-artifact", "package_id": identity}).encode()
    (event,) = read("cargo", "stdout", line + b"\n")
    assert isinstance(event, Progress)
    assert event.label == "error: all is lost#1.0.0"


@pytest.mark.parametrize("parser", ["cargo", "cargo-test", "cargo-fetch"])
@pytest.mark.parametrize(
    "line",
    [
        b"error: " + b"x" * 9000 + b"\n",
        b"error[E1]: x\n --> a:1:1\n\n",
        b"test a ... FAILED\n",
        b"    Building [=> ] 999999/999999: x\r",
        b"running 999999 tests\n",
        b"\r\n\r",
    ],
)
def test_megabytes_of_findings_end_in_a_bounded_number(parser: str, line: bytes) -> None:
    data = line * (500_000 // len(line))
    for stream in ("stdout", "stderr"):
        events = read(parser, stream, data)
        assert sum(isinstance(event, Found) for event in events) <= 1000
        assert all(event.total <= 1_000_000 for event in events if isinstance(event, Progress))
