"""Learning the user's registries from npm itself, over an empty directory and without network."""

import json

from cloche.model.ids import StepId
from cloche.model.step import Access, Mount, Net, Plan, Projection, Source, Step, Trust
from cloche.runtimes.node.vocabulary import NODE, NPM
from cloche.runtimes.provider import CannotPlan, RegistryFacts

_SETTINGS = ("cafile", "proxy", "https-proxy", "noproxy", "strict-ssl")


def plan_discovery() -> Plan:
    """Plan the step that prints npm's configuration as the user has it; npm hides credentials itself."""
    step = Step(
        id=StepId("discover-npm"),
        title="Ask npm which registries you use",
        argv=(NODE, NPM, "config", "ls", "-l", "--json", "--logs-max=0", "--no-update-notifier"),
        trust=Trust.TOOL,
        net=Net.NONE,
        cwd="/p",
        registry="npm",
        mounts=(
            Mount(target="/p", source=Source.PROJECTION, ref="empty", access=Access.WRITE),
            Mount(target="/home/user", source=Source.USER_CONFIG, ref="npm"),
        ),
        limits="tool",
    )
    return Plan(verb="discover", steps=(step,), projections=(Projection(ref="empty", files={}),))


def read_configuration(output: bytes) -> RegistryFacts:
    """Read what npm printed. Raises CannotPlan when it is not what npm prints."""
    try:
        values = json.loads(output)
    except (ValueError, RecursionError) as error:
        raise CannotPlan("npm config ls", "it printed no JSON") from error
    if not isinstance(values, dict) or not isinstance(values.get("registry"), str):
        raise CannotPlan(
            "npm config ls", "it names no registry, or one with a password in its address"
        )
    scoped = [
        value
        for key, value in sorted(values.items())
        if key.startswith("@") and key.endswith(":registry") and isinstance(value, str)
    ]
    settings = {key: text for key in _SETTINGS if (text := _text(values.get(key)))}
    return RegistryFacts(
        urls=tuple(dict.fromkeys((values["registry"], *scoped))), settings=settings
    )


def _text(value: object) -> str:
    # A setting that may be given more than once is printed as a list.
    if isinstance(value, list):
        return ",".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""
