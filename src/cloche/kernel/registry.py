"""What the user's own tool configuration says: hosts, proxies, authorities. Learned, never written here."""

import ipaddress
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cloche.egress.upstream import UpstreamProxy, proxy_from_url
from cloche.errors import InvalidValue
from cloche.model.hosts import HostPattern, HostRule
from cloche.runtimes.provider import RegistryFacts
from cloche.runtimes.toolchain import UserConfig
from cloche.sandbox.environ import HOME as INSIDE_HOME
from cloche.sandbox.mounts import BindReadOnly

_PORTS = {"https": 443, "http": 80}
_LARGEST_FILE = 1 << 20
# Where a program is found and what it loads is ours to say, whatever a configuration mentions.
_NOT_HANDED_ON = re.compile(r"(LD_|NODE_|PATH\Z|HOME\Z|TMPDIR\Z|SHELL\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry as this user reaches it."""

    facts: RegistryFacts
    hosts: tuple[HostRule, ...]
    upstream: UpstreamProxy | None


def user_binds(config: UserConfig, environment: Mapping[str, str]) -> tuple[BindReadOnly, ...]:
    """Give the read-only binds that show the user's configuration files of one tool.

    Targets are relative to where the provider mounts its configuration; files
    named by variables keep their own absolute place, so that the variable holds.
    """
    binds = [
        BindReadOnly(source=str(source.resolve()), target=name, optional=True, of_user=True)
        for name, source in configuration_files(config, environment)
    ]
    return (*binds, *certificate_binds(config, environment, {}))


def configuration_files(
    config: UserConfig, environment: Mapping[str, str]
) -> tuple[tuple[str, Path], ...]:
    """Give (name below home, file) of each configuration file that is there."""
    named = environment.get(config.file_variable, "") if config.file_variable else ""
    directory = environment.get(config.directory_variable, "") if config.directory_variable else ""
    home = Path(environment.get("HOME") or "/nonexistent")
    found = []
    for number, name in enumerate(config.home_files):
        places = [Path(named) if named and number == 0 else home / name]
        if directory.startswith("/"):
            places.insert(0, Path(directory, name.partition("/")[2]))
        found += [(name, place) for place in places if place.is_file()][:1]
    return tuple(found)


def without_project(
    environment: Mapping[str, str], configs: Iterable[UserConfig], project: Path
) -> dict[str, str]:
    """Give `environment` without the homes that lie in `project`: what is in there is the project's to say."""
    homes = {"HOME", *(config.directory_variable for config in configs)}
    return {
        name: value
        for name, value in environment.items()
        if name not in homes or not Path(os.path.realpath(value)).is_relative_to(project)
    }


def certificate_binds(
    config: UserConfig, environment: Mapping[str, str], settings: Mapping[str, str]
) -> tuple[BindReadOnly, ...]:
    """Give the binds of the certificate authorities and local registries that variables or settings name."""
    variables = [environment.get(name, "") for name in config.certificate_variables]
    told = [settings.get(name, "") for name in config.certificate_settings]
    told += [line for name in config.place_settings for line in settings.get(name, "").split("\n")]
    pairs = [(path, path) for path in variables]
    pairs += [(path, _outside(path, environment)) for path in told]
    return tuple(
        BindReadOnly(source=os.path.realpath(source), target=path, optional=True, of_user=True)
        for path, source in dict.fromkeys(pairs)
        if path.startswith("/") and not path.startswith("/usr/") and os.path.exists(source)
    )


def _outside(path: str, environment: Mapping[str, str]) -> str:
    """Give the host's path of one that the tool gave, inside, where "~" is the sandbox's home."""
    below = path.removeprefix(f"{INSIDE_HOME}/")
    return path if below == path else os.path.join(environment.get("HOME") or "/", below)


def user_variables(config: UserConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """Give the variables of the user's environment that configure this tool, and no other."""
    prefixes = tuple(prefix.lower() for prefix in config.variable_prefixes)
    chosen = {
        key: value
        for key, value in environment.items()
        if prefixes and key.lower().startswith(prefixes) and key != config.file_variable
    }
    # A file that says "the token is in this variable" is useless without the variable.
    for name in _mentioned(config, environment):
        if name in environment and not _NOT_HANDED_ON.match(name):
            chosen[name] = environment[name]
    given = {
        name: path
        for name in config.certificate_variables
        if (path := environment.get(name, "")).startswith("/")
    }
    if given:
        # Not every build of a tool follows every one of them; the first always counts.
        given.setdefault(config.certificate_variables[0], next(iter(given.values())))
    return chosen | given


def _mentioned(config: UserConfig, environment: Mapping[str, str]) -> tuple[str, ...]:
    if not config.mention:
        return ()
    texts = [_text(source) for _, source in configuration_files(config, environment)]
    return tuple(dict.fromkeys(n for text in texts for n in re.findall(config.mention, text)))


def _text(file: Path) -> str:
    try:
        with file.open("rb") as source:
            return source.read(_LARGEST_FILE).decode("utf-8", "replace")
    except OSError:
        return ""


def learn(
    facts: RegistryFacts,
    config: UserConfig,
    environment: Mapping[str, str],
    *,
    name: str,
    asked: tuple[HostRule, ...] = (),
) -> Registry:
    """Turn what the tool said of its configuration into rules that egress can hold.

    Blocks on the resolver. A special-use address is trusted here only because
    the user's own configuration, outside any project, names the host; it is
    pinned, so that the name cannot be pointed elsewhere later.

    `asked` are the hosts that the tool could ask for what it said, none where it went by its
    configuration alone. A host that is new then is one that they named, not the user: it may have a
    special-use address only where all of them have. Else a registry of the internet could lead a
    fetch to what this machine alone can reach.
    """
    known = {(rule.pattern, rule.ports): rule for rule in asked}
    trusts = all(rule.trusted_addresses for rule in asked)
    rules: list[HostRule] = []
    for url in facts.urls:
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
            pattern = HostPattern(parts.hostname or "")
        except (ValueError, InvalidValue):
            continue  # it names no host; the tool's own message will say so
        if not port:
            continue
        rule = HostRule(
            pattern=pattern,
            ports=(port,),
            origin=f"registry:{name}",
            trusted_addresses=_special_addresses(pattern.text, port) if trusts else (),
        )
        rules.append(known.get((rule.pattern, rule.ports), rule))
    return Registry(
        facts=facts, hosts=tuple(dict.fromkeys(rules)), upstream=_proxy(facts, config, environment)
    )


def _proxy(
    facts: RegistryFacts, config: UserConfig, environment: Mapping[str, str]
) -> UpstreamProxy | None:
    """Give the user's proxy: the tool's own setting first, then what all programs go by."""
    common = {key.lower(): value for key, value in environment.items() if value}
    plain = all(url.startswith("http:") for url in facts.urls)
    told = [facts.settings.get(name) for name in config.proxy_settings]
    # Tools keep an address with a password in it to themselves, so it is looked for where they found it.
    told += [_setting(name, config, environment) for name in config.proxy_settings]
    told += [common.get("https_proxy"), common.get("http_proxy") if plain else None]
    chosen = next((address for address in told if address), "")
    bypass = facts.settings.get("noproxy") or common.get("no_proxy", "")
    return proxy_from_url(chosen, bypass) if chosen else None


def _setting(name: str, config: UserConfig, environment: Mapping[str, str]) -> str:
    """Give a setting from the variables or files of the user's configuration; "" when it has none."""
    for prefix in config.variable_prefixes:
        wanted = f"{prefix}{name}".lower().replace("-", "_")
        for key, value in environment.items():
            if key.lower().replace("-", "_") == wanted and value:
                return value
    found = ""
    for _, source in configuration_files(config, environment):
        for line in _text(source).splitlines():
            key, _, value = line.partition("=")
            if key.strip() == name:
                found = value.strip().strip("\"'")
    if not config.mention:
        return found
    return re.sub(config.mention, lambda match: environment.get(match[1], ""), found)


def _special_addresses(host: str, port: int) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return ()  # egress will meet the same failure and say so
    addresses = {str(info[4][0]).split("%")[0] for info in found}
    return tuple(sorted(a for a in addresses if not ipaddress.ip_address(a).is_global))
