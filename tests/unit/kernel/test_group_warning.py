from cloche.kernel.execution import group_warning


def test_an_ordinary_user_is_warned_of_a_project_of_another_group() -> None:
    assert "group 50" in group_warning(user=1000, group=1000, of_project=50)


def test_nobody_is_warned_for_nothing() -> None:
    assert not group_warning(user=1000, group=1000, of_project=1000)
    assert not group_warning(user=0, group=0, of_project=50)
