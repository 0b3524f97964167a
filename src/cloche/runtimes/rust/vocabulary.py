"""The words cargo's steps are made of: programs, environments, mounts."""

from cloche.model.step import Access, Mount, Source
from cloche.runtimes.project import ToolTree
from cloche.runtimes.rust.projection import PROJECTION

CARGO = "@rust/bin/cargo"
CACHE = "cargo"
HOST = "127.0.0.1"
PORT = 8080
BUILT = "/build"
# The user's own. The tag (https://bford.info/cachedir/) is only in one that was not there before.
TARGET = ToolTree(
    name="target",
    signs=(
        ("CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55"),
        (".rustc_info.json", b'{"rustc_fingerprint":'),
    ),
)
_HOME = f"/cache/{CACHE}"
_USER = "/home/user"

_QUIET = {
    "CARGO_TERM_COLOR": "never",
    # The one place where cargo says how many units there are: "12/57".
    "CARGO_TERM_PROGRESS_WHEN": "always",
    "CARGO_TERM_PROGRESS_WIDTH": "100",
}
# Cargo asks rustc for its version in a fetch, through whatever wrapper a configuration names: the
# variable beats every configuration, and empty means none.
FETCHING = {
    **_QUIET,
    "CARGO_HOME": f"{_USER}/.cargo",
    "RUSTC": "@rust/bin/rustc",
    "RUSTC_WRAPPER": "",
    "RUSTC_WORKSPACE_WRAPPER": "",
    "CARGO_NET_GIT_FETCH_WITH_CLI": "false",
    "CARGO_NET_RETRY": "2",
    # The only way out; a proxy that the user's configuration names is egress's next hop.
    "CARGO_HTTP_PROXY": "http://127.0.0.1:3128",
}
BUILDING = {
    **_QUIET,
    "CARGO_HOME": _HOME,
    "CARGO_TARGET_DIR": BUILT,
    "CARGO_NET_OFFLINE": "true",
}

# Cargo looks for configuration from its working directory upward, not from the manifest: here it
# finds the user's own alone, and the project's nowhere.
NEUTRAL = _USER
FETCH_MOUNTS = (
    Mount(target="/p", source=Source.PROJECTION, ref=PROJECTION, access=Access.WRITE),
    # The tool's own place, so that it finds the user's configuration and credentials in it.
    Mount(target=f"{_USER}/.cargo", source=Source.CACHE, ref=CACHE, access=Access.PRIVATE),
    Mount(target=_USER, source=Source.USER_CONFIG, ref=CACHE),
)
FETCHED = f"{_USER}/.cargo"
PROJECT = Mount(target="/project", source=Source.PROJECT, access=Access.PRIVATE)


def build_mounts(key: str) -> tuple[Mount, ...]:
    """Give the mounts of a step that builds; `key` says what the kept artifacts are good for."""
    return (
        PROJECT,
        Mount(target=_HOME, source=Source.CACHE, ref=CACHE, access=Access.PRIVATE),
        Mount(target=BUILT, source=Source.BUILD, ref=f"rust-{key}", access=Access.WRITE),
    )
