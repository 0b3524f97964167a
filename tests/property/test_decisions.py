"""Decisions are functions; denial wins; narrowing never widens; names go there and back."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from cloche.capability.attenuate import narrow
from cloche.capability.capability import Capability, Resource
from cloche.capability.check import check
from cloche.capability.constraint import Constraints
from cloche.model.action import Action, Connect, DeleteFile, Execute, ReadFile, WriteFile
from cloche.model.hosts import HostPattern, HostRule
from cloche.model.limits import LEAST_LIMITS, LIMIT_CLASSES, Limits
from cloche.model.paths import JailPath, PathOutsideJail
from cloche.model.step import Trust
from cloche.policy.decision import Effect
from cloche.policy.engine import evaluate
from cloche.policy.globs import Glob
from cloche.policy.load import load_default
from cloche.policy.schema import ExecuteRules, FileRules, Policy

PARTS = st.sampled_from(["a", "b", "src", ".git", ".env", "x.pem"])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: JailPath(tuple(parts)))
GLOBS = st.lists(PARTS | st.sampled_from(["*", "**", "*.pem", "?"]), min_size=1, max_size=4).map(
    lambda parts: Glob("/".join(parts))
)
FILES = st.builds(
    FileRules,
    allow=st.lists(GLOBS, max_size=4).map(tuple),
    deny=st.lists(GLOBS, max_size=4).map(tuple),
)
PROGRAMS = st.sampled_from(["ls", "rm", "/bin/rm", "@node/bin/node"])
PATTERNS = st.lists(st.sampled_from(["*", "rm", "@node/*", "l?"]), max_size=3).map(tuple)
HOSTS = st.sampled_from(["a.example.org", "b.example.org", "example.org", "a.b.example.org"])
WILD = HOSTS | HOSTS.map(lambda host: f"*.{host}")
PORTS = st.sampled_from([80, 443, 8443])
RULES = st.lists(
    st.builds(
        HostRule,
        pattern=WILD.map(HostPattern),
        ports=st.lists(PORTS, min_size=1, max_size=2).map(tuple),
        origin=st.just("network.allow[0]"),
    ),
    max_size=3,
).map(tuple)
POLICIES = st.builds(
    lambda execute, read, write, delete, hosts, *, registries: replace(
        load_default(),
        execute=execute, read=read, write=write, delete=delete, hosts=hosts, allows_registries=registries,
    ),
    execute=st.builds(
        ExecuteRules, allow=PATTERNS, deny=PATTERNS, project_code=st.booleans(), typed_commands=st.booleans()
    ),
    read=FILES, write=FILES, delete=FILES, hosts=RULES, registries=st.booleans(),
)  # fmt: skip
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(ReadFile, path=PATHS),
    st.builds(WriteFile, path=PATHS),
    st.builds(DeleteFile, path=PATHS),
    st.builds(
        Execute,
        argv=st.tuples(PROGRAMS),
        trust=st.sampled_from(Trust),
        typed_by_person=st.booleans(),
    ),
    st.builds(
        Connect, host=WILD, port=PORTS, origin=st.sampled_from(["", "person", "registry:npm"])
    ),
)


@given(POLICIES, ACTIONS)
def test_the_same_question_has_the_same_answer_and_a_reason(policy: Policy, action: Action) -> None:
    decision = evaluate(policy, action)
    assert decision == evaluate(policy, action)
    assert decision.reasons


@given(POLICIES, ACTIONS)
def test_more_denials_never_allow_and_more_permissions_never_undo_one(
    policy: Policy, action: Action
) -> None:
    before = evaluate(policy, action).effect
    all_paths = (Glob("**"),)

    def with_more(kind: str) -> Policy:
        changed = {
            name: replace(getattr(policy, name), **{kind: getattr(getattr(policy, name), kind) + all_paths})
            for name in ("read", "write", "delete")
        }  # fmt: skip
        changed["execute"] = replace(
            policy.execute, **{kind: (*getattr(policy.execute, kind), "*")}
        )
        return replace(policy, **changed)

    if not isinstance(action, Connect):
        assert evaluate(with_more("deny"), action).effect is Effect.DENY
    if any("refuses" in reason for reason in evaluate(policy, action).reasons):
        assert evaluate(with_more("allow"), action).effect is Effect.DENY
    if before is Effect.ALLOW:
        assert evaluate(with_more("allow"), action).effect is Effect.ALLOW


@given(POLICIES, WILD, PORTS, HOSTS)
def test_a_pattern_is_allowed_only_where_every_name_of_it_is(
    policy: Policy, pattern: str, port: int, host: str
) -> None:
    asked = Connect(host=pattern, port=port, origin="person")
    if evaluate(policy, asked).effect is Effect.ALLOW and HostPattern(pattern).matches(host):
        one = Connect(host=host, port=port, origin="person")
        assert evaluate(policy, one).effect is Effect.ALLOW


CONSTRAINTS = st.builds(
    Constraints,
    expires_at=st.none() | st.floats(min_value=1, max_value=100),
    extensions=st.none() | st.frozensets(st.sampled_from(["", ".pem", ".env"])),
    ports=st.none() | st.frozensets(PORTS),
)
CAPABILITIES = st.builds(
    Capability,
    resource=st.sampled_from(Resource),
    pattern=st.just("**")
    | PATHS.map(str)
    | PATHS.map(lambda path: f"{path}/**")
    | PROGRAMS
    | HOSTS,
    constraints=CONSTRAINTS,
)
MOMENTS = st.floats(min_value=0, max_value=120)


@given(CAPABILITIES, CAPABILITIES, ACTIONS, MOMENTS)
def test_a_narrowed_right_allows_what_parent_and_child_both_allow_and_no_more(
    parent: Capability, child: Capability, action: Action, now: float
) -> None:
    given_on = narrow(parent, child)
    if given_on is None:
        return
    allowed = check((given_on,), action, now).allowed
    both = check((parent,), action, now).allowed and check((child,), action, now).allowed
    assert allowed == both


@given(CAPABILITIES, CAPABILITIES, CAPABILITIES, ACTIONS, MOMENTS)
def test_narrowing_twice_allows_no_more_than_once(
    one: Capability, two: Capability, three: Capability, action: Action, now: float
) -> None:
    first = narrow(one, two)
    second = narrow(first, three) if first is not None else None
    if second is not None and check((second,), action, now).allowed:
        assert check((one,), action, now).allowed


LIMITS = st.builds(
    lambda values: replace(LEAST_LIMITS, **values),
    st.fixed_dictionaries({field.name: st.integers(1, 1 << 40) for field in fields(Limits)}),
)


@given(LIMITS, LIMITS, LIMITS)
def test_the_stricter_of_two_limits_holds_whatever_the_order(
    one: Limits, two: Limits, three: Limits
) -> None:
    both = one.capped_by(two)
    assert both == two.capped_by(one) == both.capped_by(one)
    assert both.capped_by(three) == one.capped_by(two.capped_by(three))
    assert all(getattr(both, f.name) <= getattr(one, f.name) for f in fields(Limits))


def test_no_class_has_a_limit_that_a_person_could_raise() -> None:
    assert all(limits.capped_by(limits) == limits for limits in LIMIT_CLASSES.values())


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6))
def test_a_path_goes_there_and_back(parts: list[str]) -> None:
    try:
        path = JailPath(tuple(parts))
        again = JailPath.parse(str(path))
    except PathOutsideJail:
        return
    assert again == path


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["..", ".", "", "a", "/", "\0"]), max_size=6).map("/".join)
)
def test_a_text_is_a_path_inside_or_refused(text: str) -> None:
    try:
        path = JailPath.parse(text)
    except PathOutsideJail:
        return
    assert not set(path.parts) & {"", ".", ".."}
    assert not str(path).startswith("/")
