"""The templates of .NET, and which names are those of namespaces in C#."""

import re

from cloche.runtimes.provider import CannotPlan
from cloche.runtimes.templates import Templates

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
# A project of this name would refer to itself: NU1108.
_TAKEN = ("xunit", "system", "microsoft")
_LONGEST = 80


def _called(name: str) -> str:
    identifier = name.replace("-", "_").replace(" ", "_")
    is_taken = identifier.lower().split(".")[0] in _TAKEN
    if len(identifier) > _LONGEST or not _NAME.match(identifier) or is_taken:
        raise CannotPlan(
            f"name {name!r}",
            "C# would not take it",
            "begin with a letter, then letters and figures",
        )
    return identifier


TEMPLATES = Templates(
    "cloche.runtimes.dotnet",
    {
        "dotnet-console": "A console program in C#",
        "dotnet-classlib": "A class library in C#, with xunit tests",
        "dotnet-web": "An HTTP interface in C#, an ASP.NET minimal API",
        "dotnet-worker": "A background service in C#",
    },
    _called,
)
