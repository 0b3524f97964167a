"""Names for things that have one, so that a type checker tells them apart."""

from typing import NewType

JobId = NewType("JobId", str)
StepId = NewType("StepId", str)
TransactionId = NewType("TransactionId", str)
RuntimeId = NewType("RuntimeId", str)
ToolchainId = NewType("ToolchainId", str)
