"""A project of several packages: which of them is a site or starts, and what a server needs of each."""

from cloche.runtimes.node.frameworks import RESULTS, framework_of
from cloche.runtimes.node.lock import Lock
from cloche.runtimes.node.manifest import Manifest
from cloche.runtimes.project import ProjectView
from cloche.runtimes.provider import CannotPlan

_MOST_FILES = 100_000
# In production first: where both are, the other starts a tool for development.
_STARTS = ("start:prod", "start:production", "start")


def built_site(manifest: Manifest, members: tuple[Manifest, ...], view: ProjectView) -> str:
    """Give the directory of the built site; "" when there is none.

    The root's own comes first. Raises CannotPlan when several members have one.
    """
    if site := _site_of(manifest, view):
        return site
    sites = [site for member in members if (site := _site_of(member, view))]
    if len(sites) > 1:
        raise CannotPlan(
            manifest.path,
            f"more than one member has a built site: {', '.join(sites[:5])}",
            'say by a "start" script of the root what serves them',
        )
    return sites[0] if sites else ""


def start_script(manifest: Manifest) -> str:
    """Give the name of the script that starts what was built; "" when there is none."""
    return next((name for name in _STARTS if name in manifest.scripts), "")


def starting_member(manifest: Manifest, members: tuple[Manifest, ...]) -> Manifest:
    """Give the member that starts the project, or the root.

    Raises CannotPlan when nothing starts, or more than one member could.
    """
    if start_script(manifest):
        return manifest
    starting = [member for member in members if start_script(member)]
    if len(starting) == 1:
        return starting[0]
    if starting:
        names = ", ".join(member.directory for member in starting[:5])
        raise CannotPlan(
            manifest.path,
            f"more than one member has a start script: {names}",
            'say by a "start" script of the root which of them starts',
        )
    raise CannotPlan(
        manifest.path,
        "there is no built site and no start script",
        'build it into dist, build or out, or add a "start" script, such as "node build"',
    )


def member_files(
    members: tuple[Manifest, ...], lock: Lock | None, view: ProjectView
) -> tuple[str, ...]:
    """Give what belongs to the members and the links by which they find each other."""
    directories = [member.directory for member in members]
    own = {
        f"{directory}/{name.removeprefix(f'{directory}/').partition('/')[0]}"
        for directory in directories
        for name in view.names(f"{directory}/*", limit=_MOST_FILES)
    }
    links = [e.path for e in lock.entries if e.link and e.resolved in directories] if lock else []
    return (*sorted(own), *links)


def _site_of(manifest: Manifest, view: ProjectView) -> str:
    at = f"{manifest.directory}/" if manifest.directory else ""
    framework = framework_of(manifest)
    likely = (*(framework.results if framework is not None else ()), *RESULTS)
    for directory in likely:
        if view.read(f"{at}{directory}/index.html") is not None:
            return f"{at}{directory}"
    # Angular puts the site one or two levels further down.
    pages = view.names(f"{at}dist/*/index.html", limit=10)
    return min(pages, key=lambda page: page.count("/")).rpartition("/")[0] if pages else ""
