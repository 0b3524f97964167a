"""A receipt as a run makes one, for tests that need any."""

from cloche.artifact.receipt import Barrier, Consumption, Receipt, Refused, StepReceipt, Tool
from cloche.model.limits import LIMIT_CLASSES
from cloche.model.trial import Trial, Verdict

RECEIPT = Receipt(
    cloche="0.1.0",
    kernel="6.1.0",
    architecture="x86_64",
    policy="00",
    signed="2026-01-01T00:00:00+00:00",
    steps=(
        StepReceipt(
            step="build",
            argv=("node", "build.js"),
            started="2026-01-01T00:00:00+00:00",
            network="none",
            barriers=(Barrier(name="seccomp", support="full", why="Seccomp: 2"),),
            trials=(Trial(name="mount", barrier="seccomp", verdict=Verdict.HELD, detail="EPERM"),),
            limits=LIMIT_CLASSES["build"],
            peaks=Consumption(
                wall_seconds=1.5,
                cpu_seconds=None,
                memory_peak_bytes=1,
                processes_peak=2,
                network_bytes=0,
            ),
        ),
    ),
    refused=(Refused(step="build", rule="network.ip_literal", tried="tcp 192.0.2.1:9"),),
    refused_count=1,
    tools=(Tool(name="node", version="20.1.0", sha256="00"),),
)
