"""What a person typed, as a plan: `cloche run -- ARGV` is one step over the project."""

from cloche.errors import ClocheError, InvalidValue
from cloche.kernel.context import RunOptions
from cloche.model.action import TYPED
from cloche.model.hosts import HostPattern, HostRule, is_address
from cloche.model.ids import StepId
from cloche.model.step import Access, Mount, Net, Plan, Source, Step, Trust

REGISTRIES = "registries"


class NoCommand(ClocheError):
    """`run` was called without a command."""

    code = "no-command"
    exit_status = 110
    remedy = "Give the command after two hyphens: cloche run -- node server.js"

    def __init__(self) -> None:
        super().__init__("there is no command to run")


def command_plan(argv: tuple[str, ...], options: RunOptions) -> Plan:
    """Give the plan of one command typed by a person. Raises NoCommand."""
    if not argv:
        raise NoCommand
    step = Step(
        id=StepId("run"),
        title=argv[0],
        argv=argv,
        trust=Trust.PROJECT,
        net=Net.HOSTS if options.network else Net.NONE,
        mounts=(Mount(target="/project", source=Source.PROJECT, access=Access.PRIVATE),),
        limits="run",
    )
    return Plan(verb="run", steps=(step,))


def host_rules(network: tuple[str, ...]) -> tuple[HostRule, ...]:
    """Read HOST or HOST:PORT as rules of a person; "registries" is resolved elsewhere."""
    rules = []
    for text in network:
        if text == REGISTRIES:
            continue
        host, colon, port = text.partition(":")
        if colon and not (port.isascii() and port.isdecimal() and len(port) <= 5):
            raise InvalidValue("network", text[:80], "HOST or HOST:PORT")
        ports = (int(port),) if port else (80, 443)
        if is_address(host):
            raise InvalidValue(
                "network", text[:80], "a name; addresses are not reached by programs"
            )
        rules.append(HostRule(pattern=HostPattern(host), ports=ports, origin=TYPED))
    return tuple(rules)
