"""Public crates as the user's own cargo fetches them, and a user with a toolchain in a private home."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from cloche.kernel.errors import NoToolchain
from cloche.kernel.toolchains import find_toolchains
from cloche.runtimes.rust.provider import RustProvider
from cloche.runtimes.toolchain import Toolchain

OWNER = 65534
AS_OWNER = ("setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups")
# What no build reads, and half of the files.
_NOT_NEEDED = shutil.ignore_patterns("share", "etc")


def find_rust(memory: Path) -> Toolchain:
    """Find the toolchain that Cloche would take; skip the test when there is none."""
    try:
        return find_toolchains(RustProvider.toolchains, os.environ, memory)["rust"]
    except NoToolchain as missing:
        pytest.skip(f"no-toolchain: {missing}")


def bare_environment(rust: Toolchain) -> dict[str, str]:
    """Give the variables of a person who types cargo: the toolchain itself, never a proxy."""
    return {**os.environ, "PATH": f"{rust.host_root}/bin:{os.environ['PATH']}"}


def fetch_crate(name: str, version: str, rust: Toolchain, place: Path) -> Path:
    """Give the published sources of a crate below `place`, brought by cargo as a dependency of nothing."""
    asking = place / f"ask-{name}"
    (asking / "src").mkdir(parents=True)
    (asking / "src/lib.rs").touch()
    (asking / "Cargo.toml").write_text(
        '[package]\nname = "ask"\nversion = "0.0.0"\nedition = "2021"\n'
        f'[dependencies]\n{name} = "={version}"\n'
    )
    private = place / "cargo-home"
    private.mkdir(exist_ok=True)
    users = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    for file in ("config.toml", "credentials.toml"):
        if (users / file).is_file() and not (private / file).exists():
            (private / file).symlink_to(users / file)
    subprocess.run(
        [f"{rust.host_root}/bin/cargo", "fetch", "--quiet"],
        cwd=asking,
        env=bare_environment(rust) | {"CARGO_HOME": str(private)},
        check=True,
        timeout=300,
    )
    (unpacked,) = private.glob(f"registry/src/*/{name}-{version}")
    return Path(shutil.copytree(unpacked, place / name, ignore=shutil.ignore_patterns(".cargo-ok")))


def make_private_home(rust: Toolchain, home: Path) -> Mapping[str, str]:
    """Make a home of mode 0700 with rustup's layout in it and give its owner's variables.

    The programs are links to those of the machine: what matters is that nobody else may come near.
    What stands in ~/.cargo/bin in rustup's place ends every run that it is part of.
    """
    place = home / ".rustup/toolchains/own-x86_64-unknown-linux-gnu"
    place.parent.mkdir(parents=True)
    shutil.copytree(rust.host_root, place, copy_function=_link, symlinks=True, ignore=_NOT_NEEDED)
    proxy = home / ".cargo/bin/cargo"
    proxy.parent.mkdir(parents=True)
    proxy.write_text("#!/bin/sh\ntouch ~/proxy-ran\nexit 1\n")
    proxy.chmod(0o755)
    (home / ".rustup/settings.toml").write_text(
        f'version = "12"\ndefault_toolchain = "{place.name}"\n'
    )
    if os.geteuid() == 0:
        for path in (home, *(p for p in home.rglob("*") if place not in p.parents)):
            os.chown(path, OWNER, OWNER)
    home.chmod(0o700)
    return {
        "HOME": str(home),
        "PATH": f"{proxy.parent}:/usr/bin:/bin",
        **{name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ},
    }


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or not the user's to link (fs.protected_hardlinks)
        shutil.copy2(source, target)
    return target
