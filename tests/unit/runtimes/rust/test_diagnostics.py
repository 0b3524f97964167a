"""What cargo and rustc print, as diagnostics and progress."""

from cloche.model.diagnostic import Diagnostic
from cloche.runtimes.rust.diagnostics.choice import choose_parser


def read(parser: str, *lines: str, stream: str = "stderr") -> tuple[list[Diagnostic], int, int]:
    reader, found, done, total = choose_parser(parser), [], 0, 0
    for line in lines:
        reading = reader.line("stdout" if line.startswith("{") else stream, line)
        found += reading.diagnostics
        done, total = done + reading.done, reading.total or total
    return [*found, *reader.end(101).diagnostics], done, total


def test_an_error_of_the_compiler_has_its_code_and_place() -> None:
    found, done, total = read(
        "cargo",
        '{"reason":"compiler-artifact","package_id":"path+file:///project#app@1.0.0"}',
        "    Building [====>     ] 15/16: app(bin)   ",
        "error[E0382]: borrow of moved value: `x`",
        " --> src/main.rs:1:61",
        "  |",
        "",
        'error: could not compile `app` (bin "app") due to 1 previous error',
    )
    (one,) = found
    assert (one.code, one.file, one.line, one.column) == ("E0382", "src/main.rs", 1, 61)
    assert (done, total) == (1, 16)


def test_a_missing_linker_is_named_with_a_hint() -> None:
    found, _, _ = read("cargo", "error: linker `cc` not found", "  |", "")
    assert [one.code for one in found] == ["NO_LINKER"]
    assert "C compiler" in found[0].hint


def test_a_missing_library_is_named() -> None:
    found, _, _ = read(
        "cargo",
        "error: linking with `cc` failed: exit status: 1",
        "  = note: /usr/bin/ld: cannot find -lssl: No such file or directory",
    )
    assert [one.code for one in found] == ["NO_LIBRARY"]


def test_a_stale_lock_is_told_from_other_errors() -> None:
    found, _, _ = read(
        "cargo-fetch",
        "error: cannot update the lock file /p/Cargo.lock because --locked was passed",
    )
    assert [one.code for one in found] == ["LOCK_STALE"]


def test_a_failed_test_has_the_place_of_its_panic() -> None:
    found, done, total = read(
        "cargo-test",
        "running 2 tests",
        "test a ... ok",
        "test b ... FAILED",
        "thread 'b' panicked at src/lib.rs:7:9:",
        "assertion failed",
        stream="stdout",
    )
    assert [(one.code, one.file, one.line) for one in found] == [("TEST_FAILED", "src/lib.rs", 7)]
    assert (done, total) == (2, 2)
