"""What can be wrong with a policy."""

from cloche.errors import ClocheError


class PolicyInvalid(ClocheError):
    """A policy document is not one; every mistake is named with its line."""

    code = "policy-invalid"
    exit_status = 71
    remedy = "Correct the named lines; `cloche policy check FILE` says when all is well."

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("the policy is not valid", mistakes)
