"""Reading policies: strict, whole, every mistake told with its place."""

import re

import pytest
from tests.unit.policy.documents import TEXT, policy

from cloche.policy.errors import PolicyInvalid
from cloche.policy.load import load_default
from cloche.policy.schema import BudgetRules


def test_the_built_in_policy_is_one() -> None:
    default = load_default()
    assert default.digest
    assert default.hosts == ()
    assert default.hidden((".env", "a.pem", "src/a.ts")) == (".env", "a.pem")


def test_what_is_written_is_what_holds() -> None:
    read = policy()
    assert read.limits_for("build").memory_bytes == 1 << 30
    assert [(rule.pattern.text, rule.ports) for rule in read.hosts] == [
        ("api.example.org", (443, 8443)),
        ("*.cdn.example.org", (443,)),
    ]
    assert read.lines["network.allow[1]"] == 12
    assert read.lines["file_access.read.deny[1]"] == 4


def test_a_budget_is_as_large_as_is_written_and_need_not_be_written() -> None:
    assert policy().budget == BudgetRules()
    written = policy(f"{TEXT}budget: {{memory: 12G, sandboxes: 5}}\n").budget
    assert written == BudgetRules(memory_bytes=12 << 30, sandboxes=5)


def test_what_a_commit_may_bring_in_is_as_written() -> None:
    commit = (
        "max_entries: 5000, extensions: {allow: [.ts, none], deny: [.d.ts]}, unportable: [x/**]}"
    )
    read = policy(TEXT.replace("max_entries: 5000}", commit)).commit
    assert (read.allow_extensions, read.deny_extensions) == ((".ts", ""), (".d.ts",))
    assert [glob.text for glob in read.unportable] == ["x/**"]
    assert policy().commit.allow_extensions is None


MISTAKES = {
    "an ending without a dot": (
        "max_entries: 5000}",
        "max_entries: 5000, extensions: {deny: [exe]}}",
        "begins with a dot",
    ),
    "an unknown key": ("version: 1", "version: 1\nverison: 2", "no key 'verison'"),
    "a missing key": ("limits: {build: {memory_bytes: 1G}}\n", "", "lacks the key 'limits'"),
    "another version": ("version: 1", "version: 2", "version is 1"),
    "a word for a truth value": ("registries: true", "registries: 'true'", "true or false"),
    "text for a list": ('allow: ["src/**", "dist/**"]', "allow: src/**", "is a list"),
    "a number in a list of texts": ('["src/**", "dist/**"]', "[7]", "[0] is text"),
    "a bad glob": ("src/**", "../src", "glob"),
    "a bad host": ("api.example.org", "127.0.0.1", "numeric address"),
    "a folded host": ("api.example.org", "\u212aapi.example.org", "host"),
    "a bad port": ("[443, 8443]", "[0]", "ports"),
    "a port in words": ("[443, 8443]", "[https]", "ports"),
    "more than built in": ("1G}}", "900G}}", "at most"),
    "a limit of nothing": ("1G}}", "0}}", "above 0"),
    "an unknown limit": ("memory_bytes: 1G", "memory: 1G", "no key 'memory'"),
    "an unknown class": ("{build: {", "{bild: {", "no key 'bild'"),
    "a budget of nothing": ("version: 1", "version: 1\nbudget: {memory: 0}", "above 0"),
    "no sandboxes at all": ("version: 1", "version: 1\nbudget: {sandboxes: 0}", "above 0"),
    "an unknown budget": ("version: 1", "version: 1\nbudget: {cpu: 5}", "no key 'cpu'"),
    "an unknown barrier": ("wall-clock", "wall-clocks", "no barrier is called"),
    "a key twice": ("version: 1", "version: 1\nversion: 1", "twice"),
    "an alias": ("version: 1", "version: &a 1\nx: *a", "aliases"),
    "a tag": ("version: 1", "version: !!python/object:os.system 1", "not accepted"),
    "a date": ("version: 1", "version: 2020-01-01", "not accepted"),
    "a list as key": ("version: 1", "version: 1\n[a]: 1", "a key is text"),
    "no YAML": ("version: 1", "version: [", "policy.yaml:"),
    "two documents": ("version: 1", "version: 1\n---\nversion: 1", "policy.yaml:"),
}


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(PolicyInvalid) as refusal:
        policy(TEXT.replace(old, new))
    assert said in str(refusal.value)
    assert re.search(r"policy\.yaml:\d+:\d+", str(refusal.value))


def test_every_mistake_is_told_at_once() -> None:
    text = TEXT
    for name in ("an unknown barrier", "a bad port", "an unknown key"):
        text = text.replace(*MISTAKES[name][:2])
    with pytest.raises(PolicyInvalid) as refusal:
        policy(text)
    assert len(refusal.value.reasons) == 3


@pytest.mark.parametrize(
    "content", ["", "# nothing", "7", "[]", "x" * (256 * 1024 + 1), "[" * 100_000]
)
def test_what_is_no_policy_is_refused(content: str) -> None:
    with pytest.raises(PolicyInvalid):
        policy(content)


def test_the_same_rules_have_the_same_digest_however_they_are_laid_out() -> None:
    spaced = "# a comment\n" + TEXT.replace("true", " true ")
    assert policy(spaced).digest == policy().digest
    assert policy(TEXT.replace("8443", "8444")).digest != policy().digest
