from cloche.platforms.linux.standing import _unread
from cloche.sandbox.features import Support


def test_what_ended_before_it_was_read_had_passed_the_launcher() -> None:
    assert {finding.support for finding in _unread(has_ended=True)} == {Support.FULL}


def test_what_runs_and_cannot_be_read_is_not_taken_for_confined() -> None:
    findings = _unread(has_ended=False)
    assert {finding.support for finding in findings} == {Support.NONE}
    assert all("hidepid" in finding.mend for finding in findings)
