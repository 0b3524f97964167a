"""What the kernel adds around a granted step before it is planned: tools, hosts, configuration."""

from collections.abc import Iterable

from cloche.kernel.places import Places
from cloche.kernel.registry import certificate_binds, user_binds, user_variables
from cloche.kernel.session import Session
from cloche.model.hosts import HostRule
from cloche.model.step import Net, Source, Step
from cloche.runtimes.toolchain import Toolchain
from cloche.sandbox.mounts import BindReadOnly, MountOp, SymbolicLink
from cloche.sandbox.planner import Surroundings, Tool


def hosts_of(step: Step, session: Session) -> tuple[HostRule, ...]:
    """Give the hosts `step` asks for: its registry's, or those a person named."""
    if step.net is Net.REGISTRY and session.registry is not None:
        return session.registry.hosts
    if step.net is Net.HOSTS:
        return session.context.hosts
    return ()


def user_files(step: Step, session: Session) -> tuple[BindReadOnly, ...]:
    """Give the binds of the user's own configuration, for a step that may see it."""
    if not sees_configuration(step):
        return ()
    config, environment = session.provider.user_config, session.machine.environment
    facts = session.registry_facts()
    settings = facts.settings if facts is not None else {}
    return (*user_binds(config, environment), *certificate_binds(config, environment, settings))


def survey(step: Step, places: Places, session: Session) -> Surroundings:
    """Gather everything the pure planner needs to know."""
    machine = session.machine
    config = session.provider.user_config
    variables = user_variables(config, machine.environment) if sees_configuration(step) else {}
    tools = tuple(
        Tool(name=tool.name, host_root=tool.host_root, inside=tool.inside)
        for tool in machine.toolchains.values()
    )
    return Surroundings(
        places=places.operations,
        tools=tools,
        host=machine.host,
        features=machine.features,
        epoch=session.epoch,
        environment=variables,
        stdin=session.options.stdin is not None,
        canary=str(session.get_canary()),
        commands=_commands(machine.toolchains.values()),
    )


def sees_configuration(step: Step) -> bool:
    """Tell whether the user's own configuration is shown to `step`."""
    return any(mount.source is Source.USER_CONFIG for mount in step.mounts)


def _commands(tools: Iterable[Toolchain]) -> tuple[MountOp, ...]:
    """Give names in PATH to tools that are a directory of scripts rather than a bin."""
    return tuple(
        SymbolicLink(target=f"/toolchain/bin/{name}", to=f"{tool.inside}/{file}")
        for tool in tools
        for name, file in tool.commands
    )
