"""The lines are as the tools printed them, after the kernel has taken the colours away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.model.diagnostic import Diagnostic, Severity
from cloche.runtimes.node.diagnostics.choice import choose_parser
from cloche.runtimes.provider import CannotPlan

PARSERS = ("npm-http", "tsc", "eslint", "build")


def read(parser: str, text: str, *, stream: str = "stderr", status: int = 1) -> list[Diagnostic]:
    reader = choose_parser(parser)
    found = [d for line in text.splitlines() for d in reader.line(stream, line).diagnostics]
    return [*found, *reader.end(status).diagnostics]


def test_the_compiler_names_file_line_and_code() -> None:
    text = (
        "src/App.tsx(4,46): error TS2345: Argument of type 'number' is not assignable to "
        "parameter of type 'string'."
    )
    (found,) = read("tsc", text, stream="stdout")
    assert (found.file, found.line, found.column, found.code) == ("src/App.tsx", 4, 46, "TS2345")
    assert found.severity is Severity.ERROR


def test_an_error_of_the_configuration_has_no_file() -> None:
    (found,) = read("tsc", "error TS18003: No inputs were found in config file 'tsconfig.json'.")
    assert (found.file, found.code) == ("", "TS18003")


def test_a_file_outside_of_the_project_is_not_named() -> None:
    (found,) = read("tsc", "../../etc/passwd(1,1): error TS1005: ';' expected.")
    assert found.file == ""


def test_the_project_is_taken_off_a_path() -> None:
    (found,) = read("tsc", "/project/src/a.ts(1,1): error TS1005: ';' expected.")
    assert found.file == "src/a.ts"


ROLLDOWN = """\
✗ Build failed in 98ms
error during build:
Build failed with 1 error:

[UNRESOLVED_IMPORT] Could not resolve './missing' in src/App.tsx
   ╭─[ src/App.tsx:1:15 ]
   │
 1 │ import x from "./missing";

    at aggregateBindingErrorsIntoJsError (file:///project/node_modules/rolldown/dist/error.mjs:50:18)
"""


def test_a_bundlers_complaint_is_joined_with_its_place() -> None:
    (found,) = read("build", ROLLDOWN)
    assert (found.file, found.line, found.column) == ("src/App.tsx", 1, 15)
    assert found.code == "UNRESOLVED_IMPORT"
    assert found.message.startswith("Could not resolve")


def test_a_plugins_complaint_without_a_place_comes_at_the_end() -> None:
    text = (
        "✗ Build failed in 123ms\nerror during build:\nBuild failed with 1 error:\n\n"
        "[plugin vite:css-post]\nSyntaxError: [lightningcss minify] Unexpected end of input\n"
    )
    (found,) = read("build", text)
    assert found.code == "vite:css-post"
    assert "Unexpected end of input" in found.message
    assert read("build", text, status=0) == []


def test_a_missing_package_is_said_with_the_file_that_imports_it() -> None:
    line = (
        'Error: [vite]: Rolldown failed to resolve import "left-pad" from "/project/src/App.tsx".'
    )
    (found,) = read("build", line)
    assert (found.file, found.code) == ("src/App.tsx", "UNRESOLVED_IMPORT")
    assert "'left-pad'" in found.message
    assert "dependencies" in found.hint


@pytest.mark.parametrize("quote", ["`", ""])
def test_a_font_from_the_network_is_said_once_with_its_remedy(quote: str) -> None:
    line = f"Failed to fetch {quote}Geist Mono{quote} from Google Fonts."
    (found,) = read("build", f"{line}\n{line}")
    assert (found.code, found.hint.split()[-1]) == ("NO_NETWORK", "next/font/local")
    assert "Geist Mono" in found.message


def test_a_tool_that_went_on_without_the_network_has_no_complaint() -> None:
    line = "prebuild-install warn install getaddrinfo ENOTFOUND downloads.example.org"
    assert read("build", line, status=0) == []
    (found,) = read("build", line)
    assert "downloads.example.org" in found.message


@pytest.mark.parametrize(
    ("line", "tool"),
    [
        ("gyp ERR! stack Error: not found: make", "make"),
        ("gyp ERR! find Python Could not find any Python installation to use", "python3"),
        ("make: cc: No such file or directory", "cc"),
        ("make[1]: g++: No such file or directory", "g++"),
        ("/bin/sh: 1: g++: not found", "g++"),
    ],
)
def test_a_machine_without_a_compiler_is_said_to_be_one(line: str, tool: str) -> None:
    before = "prebuild-install warn install getaddrinfo ENOTFOUND downloads.example.org"
    (found,) = [d for d in read("build", f"{before}\n{line}") if d.tool == "node-gyp"]
    assert (found.code, found.message.split()[-1]) == ("NO_COMPILER", tool)
    assert "apt-get install" in found.hint


def test_a_command_that_is_not_installed_is_named() -> None:
    (found,) = read("build", "sh: 1: webpack: not found", status=127)
    assert found.code == "COMMAND_NOT_FOUND"
    assert "webpack" in found.message


def test_esbuilds_form_is_read() -> None:
    (found,) = read("build", "src/a.ts:3:10: ERROR: Expected identifier but found end of file")
    assert (found.file, found.line, found.column) == ("src/a.ts", 3, 10)


def test_a_build_that_wants_fonts_from_the_network_is_told_what_to_do() -> None:
    line = "Failed to fetch `Inter` from Google Fonts."
    (found,) = read("build", f"{line}\n{line}")
    assert "Inter" in found.message
    assert "next/font/local" in found.hint


def test_a_build_that_wants_a_host_is_told_which() -> None:
    (found,) = read("build", "Error: getaddrinfo ENOTFOUND fonts.example.org")
    assert "fonts.example.org" in found.message


def test_eslint_is_read_from_our_own_lines() -> None:
    text = (
        '{"file":"/project/src/a.js","line":1,"column":7,"severity":2,'
        '"rule":"no-unused-vars","message":"x is not used"}'
    )
    (found,) = read("eslint", text, stream="stdout")
    assert (found.file, found.line, found.code) == ("src/a.js", 1, "no-unused-vars")
    assert read("eslint", '{"message": 1}\n{"x"\n[]\n', stream="stdout") == []


MISSING = """\
npm http fetch GET 404 https://registry.example.org/no-such-package 107ms (cache skip)
npm error code E404
npm error 404 Not Found - GET https://registry.example.org/no-such-package
npm error 404
npm error Log files were not written due to the config logs-max=0
"""


def test_npms_error_is_one_diagnostic_with_a_hint() -> None:
    (found,) = read("npm-http", MISSING)
    assert found.code == "E404"
    assert "Not Found" in found.message
    assert "registry you use" in found.hint
    assert read("npm-http", MISSING, status=0) == []


def test_each_package_fetched_counts_once() -> None:
    address = "https://registry.example.org/ms/-/ms-2.1.3.tgz"
    reader = choose_parser("npm-http")
    readings = [
        reader.line("stderr", line)
        for line in (
            "npm http fetch GET 200 https://registry.example.org/ms 97ms (cache miss)",
            f"npm http cache ms@{address} 0ms (cache hit)",
            f"npm http fetch GET 200 {address} 35ms (cache miss)",
        )
    ]
    assert [reading.done for reading in readings] == [0, 1, 0]
    assert readings[1].label == "ms-2.1.3"


@given(st.text(), st.sampled_from(PARSERS), st.sampled_from(["stdout", "stderr"]))
def test_no_line_makes_a_parser_fail(text: str, name: str, stream: str) -> None:
    reader = choose_parser(name)
    reader.line(stream, text)
    reader.end(1)


@pytest.mark.parametrize("name", PARSERS)
def test_a_long_line_is_read_at_once(name: str) -> None:
    for text in ("a" * 8192, "a:" * 4096, "a(" * 4096, "[a] " * 2048, " " * 8192):
        choose_parser(name).line("stderr", text)


def test_an_unknown_parser_is_refused() -> None:
    with pytest.raises(CannotPlan):
        choose_parser("other")
