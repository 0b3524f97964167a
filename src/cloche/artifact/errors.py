"""What can be wrong with a package, or with what should go into one."""

from cloche.errors import ClocheError


class NotPackable(ClocheError):
    """Something that should go into the package is missing, or may not be in one."""

    code = "not-packable"
    exit_status = 120
    remedy = "Build first; then see that every declared output is there and holds no outward link."

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path!r} cannot be packaged: {why}")
        self.path, self.why = path, why


class PackageInvalid(ClocheError):
    """A package is not what its manifest says, or holds something no package may."""

    code = "package-invalid"
    exit_status = 121
    remedy = "Do not use it; package again, or get it again from where it came."

    def __init__(self, package: str, why: str) -> None:
        super().__init__(f"package {package!r} is refused: {why}")
        self.package, self.why = package, why
