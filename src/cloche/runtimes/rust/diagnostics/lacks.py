"""What a build wanted of the machine and did not find: a linker, a compiler, a library, the network."""

import re
from dataclasses import dataclass

from cloche.model.diagnostic import NO_NETWORK


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One thing that is missing."""

    code: str
    what: str
    hint: str


_COMPILER_HINT = "install a C compiler; distributions call the package build-essential or gcc"
_KINDS = (
    (
        "NO_LINKER",
        re.compile(r"linker `(?P<what>[^`]{1,100})` not found"),
        "the linker {} is not on this machine",
        "rustc links by a C compiler: " + _COMPILER_HINT,
    ),
    (
        "NO_LIBRARY",
        re.compile(r"(?:cannot find|unable to find library) -l:?(?P<what>[A-Za-z0-9_.+-]{1,100})"),
        "the library {} is not on this machine",
        "install its development package, or turn on the feature that builds it from source (often called vendored or bundled)",
    ),
    (
        "NO_LIBRARY",
        re.compile(
            r"The system library `(?P<what>[^`]{1,100})` required by"
            r"|Could not find directory of (?P<installed>OpenSSL) installation"
            r"|The file `(?P<file>[^`]{1,100}\.pc)` needs to be installed"
            r"|Unable to find (?P<clang>libclang)"
        ),
        "the library {} is not on this machine",
        "install its development package, or turn on the feature that builds it from source (often called vendored or bundled)",
    ),
    (
        "NO_COMPILER",
        re.compile(
            r"failed to find tool \"(?P<what>[^\"]{1,100})\""
            r"|failed to execute command: .{0,200}?\"(?P<command>[^\"]{1,100})\".{0,200}No such file"
            r"|is `(?P<program>[^`]{1,60})` not installed\?"
            r"|Could not find `(?P<found>protoc|cmake|make|nasm|perl)`"
        ),
        "a build script wants {}, which is not on this machine",
        _COMPILER_HINT + "; or the tool that is named",
    ),
    (
        NO_NETWORK,
        re.compile(
            r"(?P<what>[Cc]ould not resolve host|failed to lookup address information|dns error"
            r"|Temporary failure in name resolution|Name or service not known|Network is unreachable)"
        ),
        "a build script wants the network ({})",
        "no step that runs project code has one: look for a feature or a variable that turns the download off",
    ),
)


def find_lack(text: str) -> Lack | None:
    """Give what a line says is missing; None when it says nothing of the kind."""
    for code, pattern, what, hint in _KINDS:
        if match := pattern.search(text):
            name = next(part for part in match.groups() if part is not None)
            return Lack(code=code, what=what.format(name), hint=hint)
    return None
