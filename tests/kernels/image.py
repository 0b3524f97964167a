"""Builds a machine's parts below build/kernels: `python -m tests.kernels.image PACKAGE...`.

A kernel and busybox come as Debian packages through apt and are unpacked, not
installed; the rest of the system is copied from the packages of this host.
Nothing here needs root.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.archive import write_archive

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "build/kernels"
_PACKAGES = ("python3", "util-linux", "mount", "coreutils", "dash", "bash", "grep", "sed", "git")
_PACKAGES += ("findutils", "passwd", "login", "libc-bin", "hostname", "procps", "tar", "gzip")
_LEFT_OUT = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/")
_NEEDS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mkfs.ext4": "e2fsprogs",
    "apt-get": "apt",
    "dpkg": "dpkg",
}
_DISK_BYTES = 3 << 30  # sparse
# What the first file system must load so that the kernel finds the second one.
_MODULES = ("virtio_pci", "virtio_blk", "ext4")
_LINKS = ("bin", "sbin", "lib", "lib64")
_ETC = ("alternatives", "passwd", "group", "nsswitch.conf", "protocols", "services", "ld.so.conf")
_DIRECTORIES = ("dev", "proc", "sys", "run", "root", "home/user", "etc", "tmp", "var/tmp", "cloche")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A kernel and the two file systems that it is booted with."""

    directory: Path

    @property
    def kernel(self) -> Path:
        """The kernel itself."""
        return self.directory / "vmlinuz"

    @property
    def first(self) -> Path:
        """The archive with what mounts the disk; more may be appended to it."""
        return self.directory / "first.cpio"

    @property
    def disk(self) -> Path:
        """The disk: an ext4 file system with Python and the tools the tests run inside."""
        return self.directory / "disk.ext4"


def find_images() -> tuple[Image, ...]:
    """Give the images that have been built, by name."""
    return tuple(Image(directory=p.parent) for p in sorted(IMAGES.glob("*/disk.ext4")))


def build_image(package: str) -> Image:
    """Build the image of a Debian kernel package, whole or not at all.

    Raises CalledProcessError where apt, dpkg or mkfs.ext4 refuses.
    """
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=IMAGES) as name:
        stage = Path(name)
        stage.chmod(0o755)
        unpacked, made = stage / "unpacked", stage / "made"
        _fetch((_real(package), "busybox-static"), unpacked)
        made.mkdir()
        image = Image(directory=made)
        shutil.copy(next(unpacked.glob("boot/vmlinuz-*")), image.kernel)
        _write_first(unpacked, stage / "first", image.first)
        _write_disk(unpacked, stage / "disk", image.disk)
        final = IMAGES / package
        shutil.rmtree(final, ignore_errors=True)
        made.rename(final)
    return Image(directory=final)


def _real(package: str) -> str:
    """Give the package that holds the kernel: what a meta-package such as linux-image-amd64 depends on."""
    lines = _output("apt-cache", "depends", "--important", package).splitlines()
    words = [line.split()[-1] for line in lines[1:] if "Depends: linux-image-" in line]
    return words[0] if words else package


def _fetch(packages: Iterable[str], unpacked: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="cloche-packages-") as name:
        os.chmod(name, 0o777)  # root's apt downloads as a user of its own
        subprocess.run(["apt-get", "download", "-q", *packages], cwd=name, check=True)
        for file in Path(name).glob("*.deb"):
            subprocess.run(["dpkg", "-x", file, unpacked], check=True)


def _write_first(unpacked: Path, tree: Path, file: Path) -> None:
    """Write the archive whose `init` loads modules, mounts the disk and goes on there."""
    (tree / "bin").mkdir(parents=True)
    shutil.copy(unpacked / "bin/busybox", tree / "bin/busybox")
    shutil.copy(Path(__file__).with_name("init"), tree / "init")
    (tree / "init").chmod(0o755)
    modules = _modules(unpacked)
    subprocess.run([unpacked / "bin/busybox", "depmod", "-b", unpacked, modules.name], check=True)
    lines = (modules / "modules.dep").read_text().splitlines()
    needs = {path: rest.split() for path, _, rest in (line.partition(":") for line in lines)}
    names = {Path(path).name.partition(".")[0].replace("-", "_"): path for path in needs}
    wanted: dict[str, None] = {}
    for name in filter(names.__contains__, _MODULES):  # else it is part of the kernel
        # busybox's depmod, as any, lists the nearest need first: the farthest is loaded first.
        wanted |= dict.fromkeys((*reversed(needs[names[name]]), names[name]))
    (tree / "modules").mkdir()
    for number, path in enumerate(wanted):
        shutil.copy(modules / path, tree / f"modules/{number:02}-{Path(path).name}")
    with file.open("wb") as opened:
        write_archive(tree, opened)


def _modules(unpacked: Path) -> Path:
    found = (*unpacked.glob("lib/modules/*"), *unpacked.glob("usr/lib/modules/*"))
    return found[0]


def _write_disk(unpacked: Path, tree: Path, file: Path) -> None:
    tree.mkdir()
    for name in _DIRECTORIES:
        (tree / name).mkdir(parents=True)
    for name in ("tmp", "var/tmp"):
        (tree / name).chmod(0o1777)
    (tree / "usr").mkdir()
    for name in _LINKS:
        if os.path.islink(f"/{name}"):
            (tree / name).symlink_to(os.readlink(f"/{name}"))
            (tree / os.readlink(f"/{name}")).mkdir(exist_ok=True)
    for path in _system_files():
        _copy(path, tree)
    shutil.copytree(_modules(unpacked), tree / "lib/modules" / _modules(unpacked).name)
    shutil.copy(unpacked / "bin/busybox", tree / "usr/sbin/modprobe")
    libraries = tree / "opt/python"
    shutil.copytree(
        _site_packages(),
        libraries,
        ignore=shutil.ignore_patterns("mypy*", "ruff*", "nodejs*", "*.pth"),
    )
    # Compiled here, since an emulated machine is slow; unchecked, since times of files are not kept.
    compiler = ("-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash")
    places = (*tree.glob("usr/lib/python3.*"), libraries)
    subprocess.run((sys.executable, *compiler, *places), stdout=subprocess.DEVNULL, check=False)
    command = ["mkfs.ext4", "-q", "-F", "-d", tree, file, str(_DISK_BYTES >> 10)]
    if os.geteuid() != 0:  # the files are to be root's
        command = ["unshare", "--map-root-user", *command]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def _site_packages() -> Path:
    return next(Path(place) for place in sys.path if place.endswith("site-packages"))


def _system_files() -> Iterator[Path]:
    listed = _output(
        *("apt-cache", "depends", "--recurse", "--installed", "--no-recommends", "--no-suggests"),
        *("--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", *_PACKAGES),
    )
    packages = sorted({line for line in listed.splitlines() if line[:1].isalnum()})
    for line in _output("dpkg-query", "--listfiles", *packages, check=False).splitlines():
        if line.startswith("/") and not line.startswith(_LEFT_OUT):
            yield Path(line)
    for name in _ETC:
        yield from (Path("/etc", name), *Path("/etc", name).glob("*"))


def _copy(path: Path, tree: Path) -> None:
    target = tree / path.relative_to("/")
    if target.is_symlink() or target.exists() or not os.path.lexists(path):
        return
    if path.is_dir() and not path.is_symlink():
        target.mkdir(parents=True)
        return
    if os.access(path, os.R_OK) or path.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)


def _output(*command: str, check: bool = True) -> str:
    # Its complaints are of packages that were listed and are not installed: with --installed, too.
    done = subprocess.run(command, check=check, capture_output=True, text=True)
    return done.stdout


def find_missing() -> str:
    """Name the first program that is needed and not here, with the package it comes in; "" when all are."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = (f"{n} (Debian's {p})" for n, p in _NEEDS.items() if not shutil.which(n, path=path))
    return next(missing, "")


if __name__ == "__main__":
    if lacks := find_missing():
        sys.exit(f"other kernels need {lacks}")
    for each in sys.argv[1:]:
        print(build_image(each).directory)
