"""Reading typed values out of a document, collecting every mistake instead of stopping at one."""

import re
from collections.abc import Mapping
from dataclasses import fields, replace

from cloche.errors import InvalidValue
from cloche.model.hosts import HostPattern, HostRule, canonical_host
from cloche.model.limits import Limits
from cloche.model.tier import Tier
from cloche.policy.document import Node
from cloche.policy.globs import Glob

_SIZE = re.compile(r"([0-9]+)(K|M|G|T)?i?B?\Z")
_UNITS = {None: 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_FEATURES = frozenset(
    [
        "user-namespace",
        "mount-namespace",
        "pid-namespace",
        "network-namespace",
        "ipc-namespace",
        "uts-namespace",
        "cgroup-namespace",
        "no-new-privileges",
        "no-capabilities",
        "resource-limits",
        "landlock",
        "seccomp",
        "new-session",
        "closed-descriptors",
        "empty-environment",
        "not-the-hosts-root",
        "memory-limit",
        "cpu-limit",
        "process-limit",
        "disk-limit",
        "wall-clock",
        "output-limit",
        "tree-kill",
        "egress-filter",
        "transaction-overlay",
    ]
)


class Reader:
    """Takes nodes apart. After the first mistake it goes on, giving harmless values."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.mistakes: list[str] = []
        self.lines: dict[str, int] = {}

    def _mistake(self, node: Node | None, what: str) -> None:
        where = str(node.place) if node is not None else f"{self._file}:1:1"
        self.mistakes.append(f"{where}: {what}")

    def mapping(
        self,
        node: Node | None,
        name: str,
        *,
        required: tuple[str, ...] = (),
        optional: tuple[str, ...] = (),
    ) -> Mapping[str, Node]:
        """Give a mapping with just these keys; a missing one is a mistake, so is an unknown one."""
        if node is None:
            return {}
        if not isinstance(node.value, Mapping):
            self._mistake(node, f"{name} is a mapping")
            return {}
        for key, place in node.keys.items():
            if key not in required and key not in optional:
                known = ", ".join((*required, *optional))
                self.mistakes.append(f"{place}: {name} has no key {key!r}, it has: {known}")
        for key in required:
            if key not in node.value:
                self._mistake(node, f"{name} lacks the key {key!r}")
        return node.value

    def constant(self, node: Node | None, name: str, value: int) -> None:
        """Insist on one value."""
        if node is not None and node.value != value:
            self._mistake(node, f"{name} is {value}")

    def truth(self, node: Node | None, name: str) -> bool:
        """Give true or false; anything else is a mistake, and false."""
        if node is not None and not isinstance(node.value, bool):
            self._mistake(node, f"{name} is true or false")
        return node is not None and node.value is True

    def texts(self, node: Node | None, name: str) -> tuple[str, ...]:
        """Give a list of texts, each remembered as a rule with its line."""
        if node is None:
            return ()
        if not isinstance(node.value, tuple):
            self._mistake(node, f"{name} is a list; for nothing write []")
            return ()
        found = []
        for number, item in enumerate(node.value):
            self.lines[f"{name}[{number}]"] = item.place.line
            if isinstance(item.value, str) and item.value:
                found.append(item.value)
            else:
                self._mistake(item, f"{name}[{number}] is text")
        return tuple(found)

    def extensions(self, node: Node | None, name: str) -> tuple[str, ...]:
        """Give endings of file names, each with its dot; "none" stands for a name without one."""
        found = []
        for number, text in enumerate(self.texts(node, name)):
            if text != "none" and (not text.startswith(".") or "/" in text or len(text) < 2):
                self._mistake(
                    _item(node, number), f'{name}[{number}] begins with a dot, or is "none"'
                )
            found.append("" if text == "none" else text)
        return tuple(found)

    def globs(self, node: Node | None, name: str) -> tuple[Glob, ...]:
        """Give a list of globs."""
        found = []
        for number, text in enumerate(self.texts(node, name)):
            try:
                found.append(Glob(text))
            except InvalidValue as error:
                self._mistake(_item(node, number), f"{name}[{number}]: {error}")
        return tuple(found)

    def hosts(self, node: Node | None, name: str) -> tuple[HostRule, ...]:
        """Give the host rules of a list of mappings."""
        if node is None:
            return ()
        if not isinstance(node.value, tuple):
            self._mistake(node, f"{name} is a list; for nothing write []")
            return ()
        found = []
        for number, item in enumerate(node.value):
            rule = f"{name}[{number}]"
            self.lines[rule] = item.place.line
            keys = self.mapping(
                item, rule, required=("host",), optional=("ports", "trusted_addresses")
            )
            ports = self._ports(keys.get("ports"), rule)
            trusted = self.texts(keys.get("trusted_addresses"), f"{rule}.trusted_addresses")
            try:
                host = str(keys["host"].value) if "host" in keys else ""
                # Programs reach addresses past our resolver, so a rule for one would not be what it seems.
                canonical_host(host.removeprefix("*."))
                found.append(
                    HostRule(
                        pattern=HostPattern(host),
                        ports=ports,
                        origin=rule,
                        trusted_addresses=trusted,
                    )
                )
            except InvalidValue as error:
                self._mistake(item, f"{rule}: {error}")
        return tuple(found)

    def _ports(self, node: Node | None, name: str) -> tuple[int, ...]:
        if node is None:
            return (443,)
        items = node.value if isinstance(node.value, tuple) else (node,)
        ports = tuple(i.value for i in items if type(i.value) is int)
        if len(ports) != len(items) or not ports:
            self._mistake(node, f"{name}.ports is a list of numbers")
            return (443,)
        return ports

    def size(self, node: Node | None, name: str) -> int:
        """Give a number above 0; sizes may be written 512M or 2G (powers of 1024)."""
        if node is None:
            return 1
        if type(node.value) is int and node.value > 0:
            return node.value
        match = _SIZE.match(node.value) if isinstance(node.value, str) else None
        if match and int(match[1]) > 0:
            return int(match[1]) * _UNITS[match[2]]
        self._mistake(node, f"{name} is a number above 0, or a size such as 512M")
        return 1

    def limits(self, node: Node | None, name: str, built_in: Limits) -> Limits:
        """Give the built-in limits lowered by what is written; more than built in is a mistake."""
        known = {field.name for field in fields(Limits)}
        values = self.mapping(node, name, optional=tuple(sorted(known)))
        chosen: dict[str, int] = {}
        for key, value in values.items():
            if key not in known:
                continue
            number = self.size(value, f"{name}.{key}")
            if number > getattr(built_in, key):
                self._mistake(value, f"{name}.{key} is at most {getattr(built_in, key):.15g}")
                continue
            chosen[key] = number
            self.lines[f"{name}.{key}"] = value.place.line
        return replace(built_in, **chosen) if chosen else built_in

    def features(self, node: Node | None, rule: str) -> tuple[str, ...]:
        """Give the barriers that must stand."""
        names = self.texts(node, rule)
        for number, name in enumerate(names):
            if name not in _FEATURES:
                self._mistake(
                    _item(node, number), f"{rule}[{number}]: no barrier is called {name!r}"
                )
        return tuple(name for name in names if name in _FEATURES)

    def tier(self, node: Node | None, rule: str) -> Tier:
        """Give the weakest tier that is allowed; the strongest where nothing is said."""
        if node is None:
            return Tier.NAMESPACES
        known = {tier.value: tier for tier in Tier}
        if not isinstance(node.value, str) or node.value not in known:
            self._mistake(node, f"{rule}: one of {', '.join(known)}")
            return Tier.NAMESPACES
        return known[node.value]


def _item(node: Node | None, number: int) -> Node | None:
    if node is not None and isinstance(node.value, tuple) and number < len(node.value):
        return node.value[number]
    return node
