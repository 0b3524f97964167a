"""What the user's own tool configuration says: hosts, proxies, authorities. Learned, never written here."""

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cloche.egress.upstream import UpstreamProxy, proxy_from_url
from cloche.errors import InvalidValue
from cloche.model.hosts import HostPattern, HostRule
from cloche.runtimes.provider import RegistryFacts
from cloche.runtimes.toolchain import UserConfig
from cloche.sandbox.mounts import BindReadOnly

_PORTS = {"https": 443, "http": 80}


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
    binds: list[BindReadOnly] = []
    named = environment.get(config.file_variable, "") if config.file_variable else ""
    home = Path(environment.get("HOME") or "/nonexistent")
    for number, name in enumerate(config.home_files):
        source = Path(named) if named and number == 0 else home / name
        if source.is_file():
            binds.append(
                BindReadOnly(source=str(source.resolve()), target=name, optional=True, of_user=True)
            )
    return (*binds, *certificate_binds(config, environment, {}))


def certificate_binds(
    config: UserConfig, environment: Mapping[str, str], settings: Mapping[str, str]
) -> tuple[BindReadOnly, ...]:
    """Give the binds of the certificate authorities that variables or settings name."""
    paths = [environment.get(name, "") for name in config.certificate_variables]
    paths += [settings.get(name, "") for name in config.certificate_settings]
    return tuple(
        BindReadOnly(source=os.path.realpath(path), target=path, optional=True, of_user=True)
        for path in dict.fromkeys(paths)
        if path.startswith("/") and not path.startswith("/usr/") and os.path.exists(path)
    )


def user_variables(config: UserConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """Give the variables of the user's environment that configure this tool, and no other."""
    prefixes = tuple(prefix.lower() for prefix in config.variable_prefixes)
    chosen = {
        key: value
        for key, value in environment.items()
        if prefixes and key.lower().startswith(prefixes) and key != config.file_variable
    }
    for name in config.certificate_variables:
        if environment.get(name, "").startswith("/"):
            chosen[name] = environment[name]
    return chosen


def learn(facts: RegistryFacts, environment: Mapping[str, str], *, name: str) -> Registry:
    """Turn what the tool said of its configuration into rules that egress can hold.

    Blocks on the resolver. A special-use address is trusted here only because
    the user's own configuration, outside any project, names the host; it is
    pinned, so that the name cannot be pointed elsewhere later.
    """
    rules: list[HostRule] = []
    for url in facts.urls:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
        if not parts.hostname or not port:
            continue
        try:
            pattern = HostPattern(parts.hostname)
        except InvalidValue:
            continue  # an address literal; the tool's own message will say it is refused
        rules.append(
            HostRule(
                pattern=pattern,
                ports=(port,),
                origin=f"registry:{name}",
                trusted_addresses=_special_addresses(parts.hostname, port),
            )
        )
    proxy = (
        facts.settings.get("https-proxy")
        or facts.settings.get("proxy")
        or environment.get("HTTPS_PROXY")
        or environment.get("https_proxy")
        or ""
    )
    bypass = facts.settings.get("noproxy") or environment.get("NO_PROXY", "")
    return Registry(
        facts=facts,
        hosts=tuple(dict.fromkeys(rules)),
        upstream=proxy_from_url(proxy, bypass) if proxy else None,
    )


def _special_addresses(host: str, port: int) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return ()  # egress will meet the same failure and say so
    addresses = {str(info[4][0]).split("%")[0] for info in found}
    return tuple(sorted(a for a in addresses if not ipaddress.ip_address(a).is_global))
