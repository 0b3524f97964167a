import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.runtimes.node.names import (
    directory_of,
    is_inside,
    is_name,
    is_range,
    objection_to_spec,
    sha512_of,
)


@pytest.mark.parametrize(
    "name", ["ms", "@scope/pkg", "JSONStream", "lodash.get", "_private", "a-b~c"]
)
def test_a_package_name_is_accepted(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a/b",
        "@a/b/c",
        ".bin",
        "-flag",
        "node_modules",
        "a b",
        "a\n",
        "@/x",
        "x" * 300,
        "a\0",
    ],
)
def test_what_could_be_a_path_or_an_option_is_no_name(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    "spec", ["1.2.3", "^1.2", ">=1 <2", "1.x || 2", "latest", "", "*", "~1.0.0-rc.1"]
)
def test_a_range_or_tag_is_accepted(spec: str) -> None:
    assert objection_to_spec(spec) == ""


@pytest.mark.parametrize(
    "spec",
    [
        "user/repository",
        "github:user/repository",
        "git+ssh://git@attacker.example.org/x.git",
        "git://attacker.example.org/x",
        "https://attacker.example.org/x.tgz",
        "http://attacker.example.org/x.tgz",
        "x.tgz",
        "./x",
        "../x",
        "~/x",
        "/etc",
        ".",
        "file:../outside",
        "file:/etc",
        "file:x.tgz",
        "workspace:*",
        "catalog:",
        "link:../x",
        "npm:../x@1",
        "npm:x@github:a/b",
        "1.0.0\nx",
        "C:\\x",
    ],
)
def test_what_no_registry_answers_is_refused(spec: str) -> None:
    assert objection_to_spec(spec) != ""


def test_an_alias_of_the_registry_is_accepted() -> None:
    assert objection_to_spec("npm:@scope/pkg@^1.0.0") == ""
    assert objection_to_spec("npm:pkg") == ""


def test_a_directory_is_found_relative_to_who_asks() -> None:
    assert directory_of("file:../lib", base="packages/a") == "packages/lib"
    assert directory_of("file:./lib") == "lib"
    assert directory_of("file:../../lib", base="packages") == ""
    assert directory_of("file:.") == ""


def test_only_sha512_counts_as_integrity() -> None:
    strong = "sha512-" + "A" * 86 + "=="
    assert sha512_of(f"sha1-W4o6d6Xf4AEmHd6RVYnngvjJTR4= {strong}") == strong
    assert sha512_of("sha1-W4o6d6Xf4AEmHd6RVYnngvjJTR4=") == ""
    assert sha512_of("sha512-short") == ""


@given(st.text())
def test_no_text_makes_the_grammar_fail(text: str) -> None:
    assert isinstance(objection_to_spec(text), str)
    assert isinstance(is_name(text), bool)
    assert isinstance(is_inside(text), bool)


@given(st.text(alphabet="abc./@:~^-_ git+htps\\", max_size=30))
def test_a_range_never_holds_a_colon_or_a_slash(text: str) -> None:
    if is_range(text):
        assert not set(text) & {":", "/", "\\"}
