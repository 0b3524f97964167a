"""What can go wrong between a grant and a running program."""

from cloche.errors import ClocheError


class CannotConfine(ClocheError):
    """A barrier that the plan requires is not to be had here: nothing was started."""

    code = "cannot-confine"
    exit_status = 80
    remedy = "Run `cloche doctor`: it names the layer that refuses and how to mend it."

    def __init__(self, feature: str, why: str, mend: str = "") -> None:
        super().__init__(
            f"{feature} is required and not available: {why}{f'; {mend}' if mend else ''}"
        )
        self.feature, self.why, self.mend = feature, why, mend


class SpawnFailed(ClocheError):
    """The sandbox could not be put up, or the program in it not be started."""

    code = "spawn-failed"
    exit_status = 81
    remedy = "Run `cloche doctor`; if all is well there, the program or its directory does not exist inside."

    def __init__(self, call: str, detail: str) -> None:
        super().__init__(f"{call}: {detail}")
        self.call, self.detail = call, detail
