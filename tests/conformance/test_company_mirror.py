"""`cloche resolve` behind a company's mirror, authority and proxy, as only the user's own configuration names them.

Everything is on loopback: what the user names may be there, and what the
project names may not, however it names it.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.company_double import Authority, Mirror, TunnelProxy
from tests.conformance.employee import Employee
from tests.conformance.npm_double import Double, integrity, tarball

from cloche.kernel.errors import NoToolchain
from cloche.kernel.toolchains import find_toolchains
from cloche.runtimes.node.provider import NodeProvider

TOKEN = "open-sesame-5f2c"
PASSWORD = "swordfish-77aa"
HIDDEN = "registry.example.org"
DEFAULT = Path(__file__).resolve().parents[2] / "src/cloche/policy/default.yaml"
PACKAGES = ("plain", "@scope/plain")
SPY = """
const net = require('net'), fs = require('fs')
const read = (path) => { try { return fs.readFileSync(path, 'utf8') } catch (error) { return String(error) } }
const attempt = (host, port, words) => new Promise((done) => {
  const socket = net.connect({ host, port })
  socket.on('connect', () => words && socket.write(words))
  socket.on('data', (data) => { done(`heard ${data}`); socket.destroy() })
  socket.on('error', (error) => done(`error ${error.code}`))
  socket.on('close', () => done('closed'))
  socket.setTimeout(3000, () => { done('silence'); socket.destroy() })
})
const name = process.env.npm_package_config_mirror, port = Number(process.env.npm_package_config_port)
const main = async () => {
  console.log(JSON.stringify(process.env), read(process.env.HOME + '/.npmrc'), read('/proc/self/environ'))
  for (const host of [name, '127.0.0.1', '::1']) console.log(host, await attempt(host, port, ''))
  const target = `${name}:${port}`
  console.log('proxy', await attempt('127.0.0.1', 3128, `CONNECT ${target} HTTP/1.1\\r\\nHost: ${target}\\r\\n\\r\\n`))
}
main()
"""


@pytest.fixture(scope="module", autouse=True)
def _needs_tools(tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        memory = tmp_path_factory.mktemp("tools") / "digests.json"
        find_toolchains(NodeProvider.toolchains, os.environ, memory)
    except NoToolchain as missing:
        pytest.skip(f"no npm to fetch with: {missing}")


@pytest.fixture
def mirror(authority: Authority) -> Iterator[Mirror]:
    with Mirror(authority.context_for("localhost"), TOKEN, "localhost") as made:
        yield made


class Company(Employee):
    """One whose packages are those of a mirror."""

    def __init__(self, place: Path, mirror: Mirror) -> None:
        super().__init__(place / "home", place / "project")
        for directory in (self.home, self.project):
            directory.mkdir()
        self.mirror = mirror
        # An authority file in the administrator's configuration would count for more than variables do.
        self.environment = {"npm_config_globalconfig": "/nonexistent/npmrc"}
        self.settings = [
            f"registry={mirror.url}",
            f"@scope:registry={mirror.url}",
            f"//{mirror.url.removeprefix('https://')}:_authToken={TOKEN}",
            "fetch-retries=0",
        ]
        self.describe({})

    def describe(self, more: dict[str, Any]) -> None:
        manifest = {
            "name": "app",
            "version": "1.0.0",
            "config": {"mirror": "localhost", "port": self.mirror.port},
            "dependencies": dict.fromkeys(PACKAGES, "1.0.0"),
            **more,
        }
        (self.project / "package.json").write_text(json.dumps(manifest))

    def trust(self, way: str, authority: Authority) -> None:
        """Name the authority's certificate in one of the ways people do."""
        if way == "cafile":
            self.settings.append(f"cafile={authority.certificate}")
        elif way == "cafile in home":
            (self.home / "authority.pem").write_bytes(authority.certificate.read_bytes())
            self.settings.append("cafile=${HOME}/authority.pem")
        else:
            self.environment[way] = str(authority.certificate)

    def lock(self, base: str | None) -> None:
        """Write a lock whose addresses are at `base`, or one without addresses."""
        packages: dict[str, Any] = {
            "": {
                "name": "app",
                "version": "1.0.0",
                "dependencies": dict.fromkeys(PACKAGES, "1.0.0"),
            }
        }
        for name in PACKAGES:
            entry = {"version": "1.0.0", "integrity": integrity(name)}
            if base is not None:
                entry["resolved"] = tarball(name, base)
            packages[f"node_modules/{name}"] = entry
        lock = {"name": "app", "version": "1.0.0", "lockfileVersion": 3, "packages": packages}
        (self.project / "package-lock.json").write_text(json.dumps(lock))

    def cloche(self, verb: str) -> list[dict[str, Any]]:
        """Run a verb under the settings so far; give its events."""
        (self.home / ".npmrc").write_text("\n".join(self.settings) + "\n")
        return super().cloche(verb)

    def installed(self) -> set[str]:
        tree = self.project / "node_modules"
        return {name for name in PACKAGES if (tree / name / "package.json").is_file()}


@pytest.fixture
def company(tmp_path: Path, mirror: Mirror) -> Company:
    return Company(tmp_path, mirror)


def printed(events: list[dict[str, Any]]) -> str:
    return "".join(event["data"] for event in events if event["type"] == "output")


WAYS = ["cafile", "cafile in home", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"]


@pytest.mark.parametrize("way", WAYS)
def test_packages_come_from_the_users_mirror(
    company: Company, authority: Authority, way: str
) -> None:
    company.trust(way, authority)
    events = company.cloche("resolve")
    assert events[-1]["outcome"] == "ok", company.said
    assert company.installed() == set(PACKAGES)
    assert "/@scope/plain" in company.mirror.paths()
    assert company.places_of(TOKEN) == []


def test_an_authority_nobody_named_is_refused_and_the_reason_shown(company: Company) -> None:
    events = company.cloche("resolve")
    assert events[-1]["code"] == "step-failed"
    assert "unable to verify" in printed(events)
    assert company.mirror.asked == []
    assert company.installed() == set()


# Over TLS a mirror needs a name: npm, going through a proxy, holds the certificate of a bare address
# against "localhost" (npm 11.19).
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_mirror_in_plain_http_is_reached_where_the_user_says_so(
    company: Company, name: str
) -> None:
    with Double(name) as plain:
        company.settings[:3] = [f"registry={plain.base}/"]
        company.describe({"dependencies": {"plain": "1.0.0"}})
        events = company.cloche("resolve")
        assert events[-1]["outcome"] == "ok", company.said
        assert company.installed() == {"plain"}
        assert len(plain.asked) == 2


def test_more_bytes_than_the_limit_end_the_step_and_name_it(
    company: Company, authority: Authority
) -> None:
    company.trust("cafile", authority)
    policy = company.home / ".config/cloche/policy.yaml"
    policy.parent.mkdir(parents=True)
    limits = "limits: {lock: {network_bytes: 1000}, fetch: {network_bytes: 1000}}"
    text = DEFAULT.read_text()
    assert "limits: {}" in text
    policy.write_text(text.replace("limits: {}", limits))
    events = company.cloche("resolve")
    assert events[-1]["code"] == "limit-breached", company.said
    assert "network_bytes = 1000" in events[-1]["message"]
    assert company.installed() == set()


@pytest.mark.parametrize("addresses", ["mirror", "elsewhere", "none"])
def test_a_lock_is_fetched_from_the_mirror_whatever_it_says(
    company: Company, authority: Authority, addresses: str
) -> None:
    company.trust("cafile", authority)
    bases = {"mirror": company.mirror.url.rstrip("/"), "elsewhere": f"https://{HIDDEN}"}
    company.lock(bases.get(addresses))
    events = company.cloche("resolve")
    assert events[-1]["outcome"] == "ok", company.said
    assert company.installed() == set(PACKAGES)
    assert {event["what"] for event in events if event["type"] == "allowed"} == {
        f"connect localhost:{company.mirror.port}"
    }
    assert not [event for event in events if event["type"] == "denied"]


def test_a_token_that_the_file_takes_from_a_variable_is_found(
    company: Company, authority: Authority
) -> None:
    company.trust("cafile", authority)
    company.settings[2] = company.settings[2].replace(TOKEN, "${COMPANY_TOKEN}")
    company.environment |= {"COMPANY_TOKEN": TOKEN, "OTHER_TOKEN": "not-mentioned-31"}
    company.describe({"scripts": {"install": "node spy.js"}})
    (company.project / "spy.js").write_text(SPY)
    events = company.cloche("resolve")
    assert events[-1]["outcome"] == "ok", company.said
    assert company.places_of(TOKEN) == []
    assert company.places_of("not-mentioned-31") == []


@pytest.mark.parametrize("verb", ["resolve", "build", "test"])
def test_project_code_reaches_neither_mirror_nor_token(
    company: Company, authority: Authority, verb: str
) -> None:
    company.trust("cafile", authority)
    company.describe({"scripts": dict.fromkeys(("install", "build", "test"), "node spy.js")})
    (company.project / "spy.js").write_text(SPY)
    company.lock(None)
    if verb != "resolve":
        company.cloche("resolve")
    company.mirror.asked.clear()
    events = company.cloche(verb)
    assert events[-1]["outcome"] == "ok", company.said
    output = printed(events)
    assert "127.0.0.1 error ECONNREFUSED" in output  # the spy ran, and ours is another loopback
    assert "proxy heard HTTP/1.1 403" in output
    # Two descriptions and two archives for npm itself, and not one request more.
    assert len(company.mirror.asked) == (4 if verb == "resolve" else 0)
    assert f"connect localhost:{company.mirror.port}" in {
        event["tried"] for event in events if event["type"] == "denied"
    }
    assert company.places_of(TOKEN) == []


def test_the_projects_own_npmrc_redirects_nothing(company: Company, authority: Authority) -> None:
    company.trust("cafile", authority)
    company.environment["SECRET"] = "env-secret-99"
    with Double() as trap:
        (company.project / ".npmrc").write_text(
            f"registry={trap.address}/${{SECRET}}\n@scope:registry={trap.address}/\n"
            f"proxy={trap.address}\nhttps-proxy={trap.address}\nnoproxy=localhost\n"
            f"cafile=/dev/null\nstrict-ssl=false\n//{trap.address[7:]}/:_authToken=${{SECRET}}\n"
            f"userconfig=/project/evil\nglobalconfig=/project/evil\nreplace-registry-host=never\n"
        )
        events = company.cloche("resolve")
        assert events[-1]["outcome"] == "ok", company.said
        assert company.installed() == set(PACKAGES)
        assert trap.asked == []
    assert any(
        "do not follow" in event["text"] and "registry" in event["text"]
        for event in events
        if event["type"] == "note"
    )


def test_a_project_without_a_user_who_names_a_mirror_cannot_name_one(
    company: Company, authority: Authority
) -> None:
    """The control of all above: the same mirror, named by the project alone, is never asked."""
    company.trust("cafile", authority)
    (company.project / ".npmrc").write_text("\n".join(company.settings))
    company.settings = [f"registry=https://{HIDDEN}/", "fetch-retries=0"]
    company.lock(company.mirror.url.rstrip("/"))
    events = company.cloche("resolve")
    assert events[-1]["code"] == "step-failed", company.said
    assert company.mirror.asked == []


@pytest.mark.parametrize("way", ["npmrc", "npmrc with a variable", "HTTPS_PROXY", "https_proxy"])
def test_the_users_proxy_is_the_next_hop(company: Company, authority: Authority, way: str) -> None:
    company.trust("cafile", authority)
    with (
        Mirror(authority.context_for(HIDDEN), TOKEN, HIDDEN, 443) as hidden,
        TunnelProxy(hidden.port, "user", PASSWORD) as proxy,
    ):
        company.settings[:3] = [
            f"registry={hidden.url}",
            f"@scope:registry={hidden.url}",
            f"//{HIDDEN}:443/:_authToken={TOKEN}",
            f"//{HIDDEN}/:_authToken={TOKEN}",
        ]
        if way == "npmrc":
            company.settings.append(f"https-proxy={proxy.url}")
        elif way == "npmrc with a variable":
            company.environment["COMPANY_PROXY"] = proxy.url
            company.settings.append("proxy=${COMPANY_PROXY}")
        else:
            company.environment[way] = proxy.url
        company.describe({"scripts": {"install": "node spy.js"}})
        (company.project / "spy.js").write_text(SPY)
        events = company.cloche("resolve")
        assert events[-1]["outcome"] == "ok", company.said
        assert company.installed() == set(PACKAGES)
        assert set(proxy.asked) == {f"{HIDDEN}:443"}
        assert proxy.refused == []
    assert company.places_of(PASSWORD) == []
    assert company.places_of(TOKEN) == []


@pytest.mark.parametrize("way", ["npmrc", "NO_PROXY", "no_proxy"])
def test_what_the_user_reaches_without_the_proxy_is_reached_without_it(
    company: Company, authority: Authority, way: str
) -> None:
    company.trust("cafile", authority)
    with TunnelProxy(company.mirror.port, "user", PASSWORD) as proxy:
        company.settings.append(f"https-proxy={proxy.url}")
        if way == "npmrc":
            company.settings.append("noproxy=intern.example.org,localhost")
        else:
            company.environment[way] = "intern.example.org,localhost"
        events = company.cloche("resolve")
        assert events[-1]["outcome"] == "ok", company.said
        assert proxy.asked == []
