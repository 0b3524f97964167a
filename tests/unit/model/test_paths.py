"""Names that cannot climb out."""

import pytest

from cloche.model.paths import JailPath, PathOutsideJail


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("a",)),
        ("a/b", ("a", "b")),
        ("./a//b/.", ("a", "b")),
        ("...", ("...",)),
        ("a\\..\\b", ("a\\..\\b",)),
        ("a\udcff", ("a\udcff",)),
    ],
)
def test_a_path_is_read(text: str, parts: tuple[str, ...]) -> None:
    assert JailPath.parse(text).parts == parts


@pytest.mark.parametrize(
    "text",
    ["", ".", "/", "/a", "..", "a/..", "a/../b", "../a", "a\0b", "./..", "a" * 4097, "a\ud800"],
    ids=ascii,
)
def test_a_path_that_leaves_or_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(PathOutsideJail) as refusal:
        JailPath.parse(text)
    str(refusal.value).encode()


@pytest.mark.parametrize("parts", [(), ("",), (".",), ("..",), ("a/b",), ("a\0",), ("a", "")])
def test_parts_that_are_none_are_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(PathOutsideJail):
        JailPath(parts)


def test_within_is_by_part_and_not_by_letter() -> None:
    assert JailPath.parse("a/b").is_within(JailPath.parse("a"))
    assert JailPath.parse("a").is_within(JailPath.parse("a"))
    assert not JailPath.parse("ab").is_within(JailPath.parse("a"))
    assert not JailPath.parse("a").is_within(JailPath.parse("a/b"))
