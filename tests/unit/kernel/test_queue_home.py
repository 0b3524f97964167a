"""Where the kernels of a user meet: in one place, whatever state each of them keeps apart."""

from pathlib import Path

from cloche.assembly import _queue_home
from cloche.kernel.context import KernelSettings

APART = Path("/apart")


def test_it_is_the_users_own_place_also_for_an_application_with_a_state_of_its_own(
    tmp_path: Path,
) -> None:
    users = tmp_path / "home/.local/state/cloche"
    assert _queue_home(KernelSettings(), users) == users
    assert _queue_home(KernelSettings(state_home=APART), users) == users
    assert _queue_home(KernelSettings(queue_home=APART), users) == APART


def test_it_is_the_state_of_an_application_whose_user_has_no_home() -> None:
    nowhere = Path("/dev/null/.local/state/cloche")  # as services have it
    assert _queue_home(KernelSettings(state_home=APART), nowhere) == APART
    assert _queue_home(KernelSettings(), nowhere) == nowhere
