"""What is known of the tools that build and serve: their packages, programs, options and results."""

import json
from dataclasses import dataclass

from cloche.runtimes.node.manifest import Manifest
from cloche.runtimes.node.names import is_inside
from cloche.runtimes.project import ProjectView

PORT = "{port}"
HOST = "{host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """One tool with a development server."""

    stack: str
    package: str
    command: str
    """Name of its program among the package's commands."""
    serve: tuple[str, ...]
    """Arguments of the development server; `{host}` and `{port}` stand for both."""
    port: int
    options: frozenset[str]
    """Options of those arguments, dropped from the project's own."""
    results: tuple[str, ...] = ("dist",)
    """Directories that a build leaves, the likeliest first."""


_VITE_OPTIONS = frozenset({"--host", "--port", "--strictPort", "--open", "--no-open"})
_VITE_SERVE = ("--host", HOST, "--port", PORT, "--strictPort")
_PLAIN_SERVE = ("dev", "--host", HOST, "--port", PORT)

FRAMEWORKS = (
    Framework(
        stack="next",
        package="next",
        command="next",
        serve=("dev", "-H", HOST, "-p", PORT),
        port=3000,
        options=frozenset({"-H", "-p", "--hostname", "--port"}),
        results=("out",),
    ),
    Framework(
        stack="nuxt",
        package="nuxt",
        command="nuxt",
        serve=_PLAIN_SERVE,
        port=3000,
        options=_VITE_OPTIONS,
        results=(".output/public",),
    ),
    Framework(
        stack="astro",
        package="astro",
        command="astro",
        serve=_PLAIN_SERVE,
        port=4321,
        options=_VITE_OPTIONS,
    ),
    Framework(
        stack="angular",
        package="@angular/cli",
        command="ng",
        serve=("serve", "--host", HOST, "--port", PORT, "--no-open"),
        port=4200,
        options=_VITE_OPTIONS,
    ),
    Framework(
        stack="vite",
        package="vite",
        command="vite",
        serve=_VITE_SERVE,
        port=5173,
        options=_VITE_OPTIONS,
        results=("dist", "build"),
    ),
)
SERVERS = (
    "express", "fastify", "koa", "hono", "@hono/node-server", "@nestjs/core", "@hapi/hapi", "restify",
    "h3", "polka", "elysia",
)  # fmt: skip
RESULTS = ("dist", "build", "out", ".output/public", "_site", "public")


def framework_of(manifest: Manifest) -> Framework | None:
    """Give the tool that serves this project; the more particular come first."""
    return next((f for f in FRAMEWORKS if manifest.depends_on(f.package)), None)


def is_server(manifest: Manifest) -> bool:
    """Tell whether the project is a server of its own, by what it depends on."""
    return any(name in manifest.dependencies["dependencies"] for name in SERVERS)


def program_of(view: ProjectView, package: str, command: str) -> str:
    """Give the project-relative file that `command` of an installed package runs; "" when unknown.

    Running that file with node is what npm's own link would do, without a
    shell between, so that the one process can be ended and seen.
    """
    content = view.read(f"node_modules/{package}/package.json")
    if content is None:
        return ""
    try:
        commands = json.loads(content).get("bin", "")
    except (ValueError, RecursionError, AttributeError):
        return ""
    target = commands.get(command, "") if isinstance(commands, dict) else commands
    if not isinstance(target, str):
        return ""
    path = f"node_modules/{package}/{target.removeprefix('./')}"
    return path if is_inside(path) else ""
