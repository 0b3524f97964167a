"""What the user's own configuration comes to: rules, files, variables, a proxy; and nothing else of theirs."""

import socket
from pathlib import Path
from typing import Any

import pytest

from cloche.errors import InvalidValue
from cloche.kernel.registry import (
    certificate_binds,
    configuration_files,
    learn,
    user_binds,
    user_variables,
    without_project,
)
from cloche.runtimes.node.provider import NodeProvider
from cloche.runtimes.provider import RegistryFacts
from cloche.runtimes.toolchain import UserConfig
from cloche.sandbox.environ import HOME as INSIDE

CONFIG = NodeProvider.user_config
MIRROR = RegistryFacts(urls=("https://localhost:4873/npm/", "http://localhost:80/"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".npmrc").write_text(
        "https-proxy=http://u:swordfish@proxy.example.org:3128\n"
        "//localhost:4873/:_authToken=${TOKEN}\nkey=${HOME} ${PATH} ${NODE_OPTIONS} ${LD_PRELOAD}\n"
    )
    return tmp_path


def test_a_registry_becomes_a_rule_with_its_own_port_and_its_address_pinned() -> None:
    learned = learn(MIRROR, CONFIG, {}, name="npm")
    assert [(r.pattern.text, r.ports, r.origin) for r in learned.hosts] == [
        ("localhost", (4873,), "registry:npm"),
        ("localhost", (80,), "registry:npm"),
    ]
    assert set(learned.hosts[0].trusted_addresses) <= {"127.0.0.1", "::1"}
    assert learned.hosts[0].trusted_addresses
    assert learned.upstream is None


@pytest.mark.parametrize(
    "url", ["ftp://a.example.org/", "https://a.example.org:port/", "file:///x",
            "https://[::1", "https:///x", ""]
)  # fmt: skip
def test_what_names_no_host_becomes_no_rule(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    assert learn(RegistryFacts(urls=(url,)), CONFIG, {}, name="npm").hosts == ()


def test_an_inner_address_is_pinned_and_a_public_one_needs_no_pin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(0, 0, 0, "", (address, 443)) for address in ("10.1.2.3", "8.8.8.8", "fe80::1%eth0")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    facts = RegistryFacts(urls=("https://mirror.example.org/",))
    (rule,) = learn(facts, CONFIG, {}, name="npm").hosts
    assert rule.trusted_addresses == ("10.1.2.3", "fe80::1")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_mirror_without_a_name_is_allowed_by_its_address(address: str) -> None:
    place = f"[{address}]" if ":" in address else address
    facts = RegistryFacts(urls=(f"https://{place}:4873/",))
    (rule,) = learn(facts, CONFIG, {}, name="npm").hosts
    assert (rule.pattern.text, rule.ports) == (address, (4873,))
    assert rule.trusted_addresses == (address,)


ADDRESSES = {
    "index.example.org": "8.8.8.8",
    "index.corp.example.org": "10.1.2.3",
    "metadata.example.org": "169.254.169.254",
}


def test_an_answer_of_the_internet_leads_to_no_inner_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An index says where packages are; "here, on your router" is for an index of the user's own network."""

    def resolve(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(0, 0, 0, "", (ADDRESSES.get(host, host), port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    outer, inner = "https://index.example.org/", "https://index.corp.example.org/"
    led = ("https://metadata.example.org/", "http://127.0.0.1:8080/", "http://192.168.0.1/")
    for users, trusted in (((outer,), False), ((inner, outer), False), ((inner,), True)):
        asked = learn(RegistryFacts(urls=users), CONFIG, {}, name="cargo").hosts
        facts = RegistryFacts(urls=(*users, *led))
        found = learn(facts, CONFIG, {}, name="cargo", asked=asked).hosts
        assert found[: len(users)] == asked
        assert [bool(rule.trusted_addresses) for rule in found[len(users) :]] == [trusted] * 3
        # What was learned so stays what it is when more is asked.
        assert learn(facts, CONFIG, {}, name="cargo", asked=found).hosts == found


PROXY = "http://proxy.example.org:1"
OTHER = "http://other.example.org:2"
WAYS: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "the tool's own": ({"https-proxy": PROXY, "proxy": OTHER}, {"HTTPS_PROXY": OTHER}, "proxy.example.org"),
    "the tool's other": ({"proxy": PROXY}, {}, "proxy.example.org"),
    "everybody's": ({}, {"HTTPS_PROXY": PROXY}, "proxy.example.org"),
    "in small letters": ({}, {"https_proxy": PROXY, "HTTPS_PROXY": ""}, "proxy.example.org"),
    "a variable of the tool": ({}, {"NPM_CONFIG_HTTPS_PROXY": PROXY}, "proxy.example.org"),
    "for plain addresses only": ({}, {"HTTP_PROXY": PROXY}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "environment", "host"), WAYS.values(), ids=WAYS)
def test_a_proxy_is_found_where_people_name_one(
    settings: dict[str, str], environment: dict[str, str], host: str
) -> None:
    facts = RegistryFacts(urls=MIRROR.urls, settings=settings)
    upstream = learn(facts, CONFIG, environment, name="npm").upstream
    assert (upstream.host if upstream else "") == host


def test_plain_registries_go_by_the_proxy_for_plain_addresses() -> None:
    facts = RegistryFacts(urls=("http://localhost:80/",))
    upstream = learn(facts, CONFIG, {"http_proxy": PROXY}, name="npm").upstream
    assert upstream is not None


def test_a_proxy_with_a_password_is_found_in_the_file_since_the_tool_keeps_it_to_itself(
    home: Path,
) -> None:
    upstream = learn(MIRROR, CONFIG, {"HOME": str(home), "NO_PROXY": "a.b"}, name="npm").upstream
    assert upstream is not None
    assert (upstream.host, upstream.port, upstream.bypass) == ("proxy.example.org", 3128, ("a.b",))
    assert upstream.credentials.startswith("Basic ")


def test_a_proxy_that_is_no_address_is_said_without_its_password() -> None:
    with pytest.raises(InvalidValue) as refusal:
        learn(MIRROR, CONFIG, {"HTTPS_PROXY": "http://u:swordfish@h:port"}, name="npm")
    assert "swordfish" not in str(refusal.value)


def test_only_variables_that_configure_the_tool_are_handed_on(home: Path) -> None:
    environment = {
        "HOME": str(home),
        "PATH": "/evil",
        "TOKEN": "t",
        "OTHER_TOKEN": "o",
        "NODE_OPTIONS": "--require=/evil",
        "LD_PRELOAD": "/evil.so",
        "NPM_CONFIG_REGISTRY": "https://localhost:4873/",
        "npm_config_userconfig": "/x",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    chosen = user_variables(CONFIG, environment)
    assert set(chosen) == {"TOKEN", "NPM_CONFIG_REGISTRY", "npm_config_userconfig"}


@pytest.mark.parametrize("name", ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"])
def test_an_authority_named_by_any_variable_is_named_by_the_one_every_build_follows(
    name: str,
) -> None:
    chosen = user_variables(CONFIG, {name: "/c/ca.pem"})
    assert chosen["NODE_EXTRA_CA_CERTS"] == "/c/ca.pem"
    assert chosen[name] == "/c/ca.pem"
    assert user_variables(CONFIG, {name: "relative.pem"}) == {}


def test_files_of_the_user_are_shown_and_an_authority_below_home_is_found(home: Path) -> None:
    (home / "ca.pem").write_text("x")
    environment: dict[str, Any] = {"HOME": str(home)}
    assert [(b.source, b.target) for b in user_binds(CONFIG, environment)] == [
        (str(home / ".npmrc"), ".npmrc")
    ]
    told = {"cafile": f"{INSIDE}/ca.pem"}
    assert [(b.source, b.target) for b in certificate_binds(CONFIG, environment, told)] == [
        (str(home / "ca.pem"), f"{INSIDE}/ca.pem")
    ]
    assert certificate_binds(CONFIG, environment, {"cafile": "/nonexistent/ca.pem"}) == ()


def test_another_file_in_place_of_the_usual_one_stands_at_the_usual_place(
    home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other-rc"
    other.write_text("x=1")
    environment = {"HOME": str(home), "NPM_CONFIG_USERCONFIG": str(other)}
    assert [(b.source, b.target) for b in user_binds(CONFIG, environment)] == [
        (str(other), ".npmrc")
    ]


def test_a_directory_of_configuration_may_be_named_by_a_variable(tmp_path: Path) -> None:
    config = UserConfig(
        home_files=(".cargo/config.toml", ".cargo/credentials.toml"),
        directory_variable="CARGO_HOME",
    )
    for directory in ("home/.cargo", "other"):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "config.toml").touch()
    (tmp_path / "home/.cargo/credentials.toml").touch()
    environment = {"HOME": f"{tmp_path}/home", "CARGO_HOME": f"{tmp_path}/other"}
    assert configuration_files(config, environment) == (
        (".cargo/config.toml", tmp_path / "other/config.toml"),
        (".cargo/credentials.toml", tmp_path / "home/.cargo/credentials.toml"),
    )
    (found, _) = configuration_files(config, {**environment, "CARGO_HOME": "other"})
    assert found[1] == tmp_path / "home/.cargo/config.toml"


def test_a_home_in_the_project_is_not_the_users(tmp_path: Path) -> None:
    config = UserConfig(home_files=(), directory_variable="CARGO_HOME")
    project = tmp_path / "project"
    (project / "home").mkdir(parents=True)
    (tmp_path / "link").symlink_to(project / "home")
    for home in (project, project / "home", tmp_path / "link", tmp_path / "project/../project"):
        environment = {"HOME": "/home/user", "CARGO_HOME": str(home), "OTHER": str(home)}
        left = without_project(environment, (config,), project)
        assert left == {"HOME": "/home/user", "OTHER": str(home)}
    assert without_project({"HOME": str(project)}, (config,), project) == {}
    assert without_project({"HOME": f"{project}-2"}, (config,), project) == {"HOME": f"{project}-2"}
