"""What an attack is, and the register of all of them."""

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Bait = Mapping[str, str]
    Act = Callable[[Bait], "str | None"]

LAYERS = (
    "files",
    "descriptors",
    "environment",
    "processes",
    "devices",
    "network",
    "ipc",
    "privileges",
    "system-calls",
    "kernel-settings",
    "terminal",
    "resources",
)
"""What is attacked; a sandbox is as strong as its weakest."""


class Unable(Exception):
    """This machine cannot show the attack, whatever sandbox is around it; says why."""


class Attack:
    """One attempt: `act` gives evidence when the door is open, None or an OSError when it is shut."""

    __slots__ = ("act", "alone", "layer", "name", "source", "title")

    def __init__(self, act: "Act", layer: str, source: str, *, alone: bool) -> None:
        if layer not in LAYERS:
            raise ValueError(f"no layer {layer!r}")
        self.act = act
        self.layer = layer
        self.source = source
        """The advisory, paper or idea it comes from."""
        self.alone = alone
        """Whether it may end the sandbox it runs in, and so gets one of its own."""
        self.name = act.__name__.replace("_", "-")
        self.title = (act.__doc__ or "").strip()


REGISTER: "dict[str, Attack]" = {}


def attack(layer: str, source: str, *, alone: bool = False) -> "Callable[[Act], Act]":
    """Register the function below as an attack of `layer`; its docstring is the title."""

    def register(act: "Act") -> "Act":
        made = Attack(act, layer, source, alone=alone)
        if made.name in REGISTER or not made.title:
            raise ValueError(f"{made.name}: a name of its own and a title, please")
        REGISTER[made.name] = made
        return act

    return register
