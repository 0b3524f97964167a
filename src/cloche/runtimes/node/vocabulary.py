"""The words npm's steps are made of: programs, guards, environments, mounts."""

from cloche.model.step import HEAP, Access, Mount, Source
from cloche.runtimes.node.projection import PROJECTION

NODE = "@node/bin/node"
NPM = "@npm/bin/npm-cli.js"
CACHE = "npm"
HOST = "127.0.0.1"

# Each was seen to beat the same key of a project's .npmrc, in npm 11 and 12.
GUARDS = (
    "--ignore-scripts",
    "--allow-git=none",
    "--allow-remote=none",
    "--allow-file=none",
    # npm runs the program that `git` names for any git dependency, whatever --ignore-scripts says.
    "--git=/bin/false",
    "--replace-registry-host=always",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--logs-max=0",
    f"--cache=/cache/{CACHE}",
)
# The only way out of a fetch step; a proxy that the user's configuration names is egress's next hop.
ONLY_WAY_OUT = (
    "--proxy=http://127.0.0.1:3128",
    "--https-proxy=http://127.0.0.1:3128",
    "--noproxy=",
    # npm waits 10 and 60 seconds between attempts: the step's own time would be over before it says why.
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=8000",
)

FETCH_MOUNTS = (
    Mount(target="/p", source=Source.PROJECTION, ref=PROJECTION, access=Access.WRITE),
    Mount(target=f"/cache/{CACHE}", source=Source.CACHE, ref=CACHE, access=Access.PRIVATE),
    Mount(target="/home/user", source=Source.USER_CONFIG, ref="npm"),
)
PROJECT = Mount(target="/project", source=Source.PROJECT, access=Access.PRIVATE)
PROJECT_TO_LOOK_AT = Mount(target="/project", source=Source.PROJECT, access=Access.READ)

# Tools of the ecosystem that would ask, report home or fetch a browser if they were not told.
_QUIET = {
    "npm_config_update_notifier": "false",
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_offline": "true",
    "npm_config_logs_max": "0",
    "npm_config_cache": "/tmp/npm",  # noqa: S108 - the sandbox's own tmpfs
    "COREPACK_ENABLE_STRICT": "0",
    "COREPACK_ENABLE_DOWNLOAD_PROMPT": "0",
    "COREPACK_ENABLE_NETWORK": "0",
    "NEXT_TELEMETRY_DISABLED": "1",
    "ASTRO_TELEMETRY_DISABLED": "1",
    "NUXT_TELEMETRY_DISABLED": "1",
    "GATSBY_TELEMETRY_DISABLED": "1",
    "STORYBOOK_DISABLE_TELEMETRY": "1",
    "NG_CLI_ANALYTICS": "false",
    "DO_NOT_TRACK": "1",
    "BROWSER": "none",
}
_DOWNLOADS = {
    "PUPPETEER_SKIP_DOWNLOAD": "1",
    "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1",
    "ELECTRON_SKIP_BINARY_DOWNLOAD": "1",
    "CYPRESS_INSTALL_BINARY": "0",
    "SENTRYCLI_SKIP_DOWNLOAD": "1",
    "HUSKY": "0",
}


def environment(**more: str) -> dict[str, str]:
    """Give the variables of a step that runs project code."""
    # A heap that knows its ceiling collects instead of being killed at it.
    return {**_QUIET, "NODE_OPTIONS": f"--max-old-space-size={HEAP}", **more}


def install_environment() -> dict[str, str]:
    """Give the variables of a step that runs install scripts."""
    # nodedir: headers of this very node, else node-gyp would download them.
    return environment(npm_config_nodedir="@node", **_DOWNLOADS)
