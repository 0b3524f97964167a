"""Attacks that differ in one word, and so share a function."""

from cloche_redteam.attack import attack

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Act, Bait


def member(layer: str, source: str, act: "Act", *, name: str, title: str) -> None:
    """Register `act`, made for one word, under a name and a title of its own."""

    def own(bait: "Bait") -> "str | None":
        return act(bait)

    own.__name__, own.__doc__ = name, title
    attack(layer, source)(own)
