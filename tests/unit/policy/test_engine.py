"""Deny wins, silence denies, every reason is kept."""

from dataclasses import replace

import pytest
from tests.unit.policy.documents import policy

from cloche.model.action import Action, Connect, DeleteFile, Execute, ReadFile, WriteFile
from cloche.model.paths import JailPath
from cloche.model.step import Trust
from cloche.policy.decision import Effect
from cloche.policy.engine import evaluate

POLICY = policy()


def run(*argv: str, person: bool = False, trust: Trust = Trust.TOOL) -> Execute:
    return Execute(argv=argv, trust=trust, typed_by_person=person)


def at(kind: type, path: str) -> Action:
    made: Action = kind(path=JailPath.parse(path))
    return made


ALLOWED = [
    run("@node/bin/node"),
    run("ls", person=True),
    at(ReadFile, "src/a.ts"),
    at(WriteFile, "src/deep/a.ts"),
    at(WriteFile, "dist/a.js"),
    at(DeleteFile, "dist/a.js"),
    Connect(host="api.example.org", port=8443),
    Connect(host="a.cdn.example.org", port=443),
    Connect(host="*.cdn.example.org", port=443, origin="person"),
    Connect(host="*.a.cdn.example.org", port=443, origin="person"),
    Connect(host="mirror.example.net", port=4873, origin="registry:npm"),
]
REFUSED = [
    run("rm", "-rf", "/"),
    run("/bin/rm"),
    run("/usr/bin/curl"),
    at(ReadFile, ".env"),
    at(ReadFile, "keys/a.pem"),
    at(WriteFile, "package.json"),
    at(WriteFile, "src/.git/hooks/x"),
    at(DeleteFile, "src/a.ts"),
    Connect(host="api.example.org", port=80),
    Connect(host="evil.example.org", port=443),
    Connect(host="cdn.example.org", port=443),
    Connect(host="evilcdn.example.org", port=443),
    Connect(host="*.example.org", port=443, origin="person"),
    Connect(host="*.api.example.org", port=443, origin="person"),
    Connect(host="mirror.example.net", port=4873, origin="person"),
]


@pytest.mark.parametrize("action", ALLOWED, ids=repr)
def test_what_a_rule_names_is_allowed_with_the_rule(action: Action) -> None:
    decision = evaluate(POLICY, action)
    assert decision.effect is Effect.ALLOW
    assert decision.reasons


@pytest.mark.parametrize("action", REFUSED, ids=repr)
def test_all_else_is_refused_with_a_reason(action: Action) -> None:
    decision = evaluate(POLICY, action)
    assert decision.effect is Effect.DENY
    assert decision.reasons


def test_every_rule_that_refuses_is_named() -> None:
    strict = policy(POLICY_TEXT_TWO)
    decision = evaluate(strict, run("/usr/bin/curl", person=True, trust=Trust.PROJECT))
    assert decision.reasons == (
        "shell_execution.deny[0] (curl) refuses /usr/bin/curl",
        "shell_execution.deny[2] (*url) refuses /usr/bin/curl",
        "shell_execution.typed_commands: false refuses commands typed by a person",
        "shell_execution.project_code: false refuses code of the project",
    )


POLICY_TEXT_TWO = """\
version: 1
shell_execution: {allow: ["*"], deny: [curl, wget, "*url"], project_code: false, typed_commands: false}
file_access:
  read: {allow: [], deny: []}
  write: {allow: [], deny: []}
  delete: {allow: [], deny: []}
network: {registries: false, typed_hosts: false, allow: []}
limits: {}
commit: {max_bytes: 1, max_file_bytes: 1, max_entries: 1}
sandbox: {require: []}
"""


@pytest.mark.parametrize("action", ALLOWED, ids=repr)
def test_an_empty_policy_allows_nothing(action: Action) -> None:
    silent = policy(POLICY_TEXT_TWO.replace('allow: ["*"]', "allow: []"))
    assert evaluate(silent, action).effect is Effect.DENY


def test_a_registry_is_refused_where_the_policy_says_so_even_if_a_rule_names_its_host() -> None:
    closed = replace(POLICY, allows_registries=False)
    action = Connect(host="api.example.org", port=443, origin="registry:npm")
    assert evaluate(closed, action).effect is Effect.DENY
    assert evaluate(closed, replace(action, origin="person")).effect is Effect.ALLOW


def test_hosts_that_a_person_named_are_a_right_of_their_own() -> None:
    generous = replace(POLICY, allows_typed_hosts=True)
    named = Connect(host="elsewhere.example.net", port=443, origin="person")
    assert evaluate(generous, named).effect is Effect.ALLOW
    assert evaluate(generous, replace(named, origin="")).effect is Effect.DENY
    assert evaluate(POLICY, named).effect is Effect.DENY
