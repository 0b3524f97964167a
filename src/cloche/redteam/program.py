"""The attacks as one program that any Python can be handed, wherever it runs."""

import base64
import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

_BOOT = """
import base64, os, sys
memory = os.memfd_create("redteam")
os.write(memory, base64.b85decode(sys.argv.pop(1)))
sys.path.insert(0, "/proc/self/fd/%d" % memory)
import runpy
runpy.run_module("cloche_redteam", run_name="__main__", alter_sys=False)
"""


def argv(python: str, bait: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Give the command that runs the attacks called `names`; `bait` is JSON.

    Everything travels in the arguments: a sandbox need show no file of ours.
    """
    return (python, "-I", "-S", "-c", _BOOT, _archive(), bait, *names)


def _archive() -> str:
    root = _home()
    packed = io.BytesIO()
    # Reproducible installations date their files 1970, which is before a zip's time begins.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for file in sorted(root.rglob("*.py")):
            archive.write(file, f"cloche_redteam/{file.relative_to(root)}")
    return base64.b85encode(packed.getvalue()).decode()


def _home() -> Path:
    spec = find_spec("cloche_redteam")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
