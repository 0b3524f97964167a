"""A refusal on the network: which rule, what was tried, what would allow it."""


class Refused(Exception):
    """Internal to egress: it ends a connection and becomes a Denied event."""

    def __init__(self, rule: str, tried: str, remedy: str = "") -> None:
        super().__init__(f"{rule}: {tried}")
        self.rule, self.tried, self.remedy = rule, tried, remedy
