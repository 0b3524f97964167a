"""Why, with the line of the rule and the smallest change."""

from tests.unit.policy.documents import policy

from cloche.model.action import Action, Connect, Execute, ReadFile
from cloche.model.paths import JailPath
from cloche.model.step import Trust
from cloche.policy.engine import evaluate
from cloche.policy.explain import explain


def said(action: Action) -> str:
    return explain(policy(), action, evaluate(policy(), action))


def test_a_denial_names_its_rule_its_line_and_the_way_out() -> None:
    text = said(ReadFile(path=JailPath.parse(".env")))
    assert text.startswith("refused: read .env")
    assert "policy.yaml:4: file_access.read.deny[0] (.env) refuses .env" in text
    assert "to allow it: remove file_access.read.deny[0]" in text


def test_silence_names_what_to_add() -> None:
    text = said(Connect(host="x.example.org", port=8080))
    assert "to allow it: add {host: x.example.org, ports: [8080]} to network.allow" in text


def test_a_permission_names_its_rule() -> None:
    text = said(Execute(argv=("ls",), trust=Trust.TOOL))
    assert text.startswith("allowed: run ls")
    assert "policy.yaml:2: shell_execution.allow[1] (*) allows ls" in text
    assert "to allow it" not in text
