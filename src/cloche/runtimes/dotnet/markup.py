"""XML from strangers: bounded, without documents types or entities, and every failure typed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from cloche.runtimes.provider import CannotPlan

_DEEPEST = 32
_MOST = 20_000


@dataclass(slots=True, kw_only=True)
class Element:
    """One element while it is read, and after; names without their namespace."""

    name: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def find_all(self, name: str) -> Iterator["Element"]:
        """Give the children of a name; MSBuild compares names without case in attributes only."""
        return (child for child in self.children if child.name == name)

    def get(self, name: str) -> str:
        """Give metadata, which may be an attribute or a child; "" when it is neither."""
        if name in self.attributes:
            return self.attributes[name].strip()
        return next((child.text.strip() for child in self.find_all(name)), "")


def read_markup(name: str, content: bytes) -> Element:
    """Read one document. Raises CannotPlan naming `name`.

    A document type is refused before anything of it is read, so there is no
    entity to expand and no file to include.
    """
    reader = _Reader(name)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse_type
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.take_text
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        where = f"line {error.lineno}, column {error.offset}"
        raise CannotPlan(
            name, f"it is not XML: {expat.ErrorString(error.code)} at {where}"
        ) from error
    except (ValueError, LookupError) as error:
        raise CannotPlan(name, "it is in an encoding that is not read") from error
    assert reader.root is not None
    return reader.root


class _Reader:
    """Makes elements of expat's events."""

    def __init__(self, name: str) -> None:
        self.root: Element | None = None
        self._name = name
        self._open: list[Element] = []
        self._count = 0

    def refuse_type(self, *_: object) -> None:
        raise CannotPlan(self._name, "it declares a document type", "remove the DOCTYPE")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MOST or len(self._open) >= _DEEPEST:
            raise CannotPlan(
                self._name,
                f"it has more than {_MOST} elements, or nests them deeper than {_DEEPEST}",
            )
        element = Element(name=name.rpartition(" ")[2], attributes=dict(attributes))
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, name: str) -> None:
        del name
        self._open.pop()

    def take_text(self, text: str) -> None:
        if self._open:
            self._open[-1].text += text
