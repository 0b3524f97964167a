"""What can go wrong with a project's transactions."""

from cloche.errors import ClocheError


class StateUnavailable(ClocheError):
    """There is no safe place for the transactions of this project."""

    code = "state-unavailable"
    exit_status = 90
    remedy = (
        "Keep project and state on one file system of Linux's own (ext4, xfs, btrfs, tmpfs), "
        "the state in a directory of yours outside the project."
    )

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"cannot keep the state of transactions at {path!r}: {why}")
        self.path, self.why = path, why


class TreeTooLarge(ClocheError):
    """A tree has more entries, or a longer path, than the caller set as the limit."""

    code = "tree-too-large"
    exit_status = 91
    remedy = "Exclude directories that are made by tools, or raise the limit."

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path!r} cannot be read whole: {why}")
        self.path, self.why = path, why


class WorkspaceBusy(ClocheError):
    """Another process has a transaction open on this project."""

    code = "workspace-busy"
    exit_status = 92
    remedy = "Wait for the other run to end, or stop it."

    def __init__(self, project: str, pid: int) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(f"{holder} has a transaction open on {project!r}")
        self.project, self.pid = project, pid


class RecoveryNeeded(ClocheError):
    """An earlier commit was interrupted and must be completed first."""

    code = "recovery-needed"
    exit_status = 93
    remedy = "Run `cloche recover DIR`."

    def __init__(self, project: str) -> None:
        super().__init__(f"an interrupted commit of {project!r} waits for recovery")
        self.project = project


class JournalDamaged(ClocheError):
    """A journal does not say what its checksum says; a crash cannot do that."""

    code = "journal-damaged"
    exit_status = 94
    remedy = (
        "Nothing was changed; look at the file, keep a copy, and remove it to give the commit up."
    )

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"the journal {path!r} cannot be trusted: {why}")
        self.path, self.why = path, why


class EditedMeanwhile(ClocheError):
    """The user changed files that the transaction also changed. Nothing was committed."""

    code = "edited-meanwhile"
    exit_status = 95
    remedy = "Nothing was changed; look at the difference and run again."

    def __init__(self, files: tuple[str, ...], *, only_read: bool = False) -> None:
        perhaps = ", and perhaps read by it" if only_read else ""
        super().__init__(f"edited by you while the run was going on{perhaps}", files)
        self.only_read = only_read


class ChangesRefused(ClocheError):
    """The screening of the changes found reasons against them. Nothing was committed."""

    code = "changes-refused"
    exit_status = 96
    remedy = "Nothing was changed; allow what is meant in the policy, or mend the build."

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("the changes may not enter the project", reasons)


class TransactionEnded(ClocheError):
    """A transaction was used after its end, or after a commit that could not start."""

    code = "transaction-ended"
    exit_status = 97
    remedy = "Begin a new transaction."

    def __init__(self, transaction: str, why: str) -> None:
        super().__init__(f"transaction {transaction} is over: {why}")
        self.transaction, self.why = transaction, why


class PathBlocked(ClocheError):
    """Something stands where a file has to go, or may not be moved."""

    code = "path-blocked"
    exit_status = 98
    remedy = "Move what is in the way, then run `cloche recover DIR` if a commit was interrupted."

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"cannot write {path!r}: {why}")
        self.path, self.why = path, why


class UndoRefused(ClocheError):
    """There is nothing to undo, or what the commit installed was edited since."""

    code = "undo-refused"
    exit_status = 99
    remedy = "Nothing was changed; put the edited files aside and undo again."

    def __init__(self, why: str, files: tuple[str, ...] = ()) -> None:
        super().__init__(f"cannot undo: {why}", files)
        self.why = why


class SelectionRefused(ClocheError):
    """Patterns of a partial commit mean nothing, or a part of what goes in whole. Nothing was committed."""

    code = "selection-refused"
    exit_status = 67
    remedy = "Nothing was changed; `cloche diff DIR` lists what there is to select."

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("this part cannot be committed", reasons)


class NothingHeld(ClocheError):
    """There is no held transaction to commit or to discard."""

    code = "nothing-held"
    exit_status = 69
    remedy = "Run something with --hold first."

    def __init__(self, project: str) -> None:
        super().__init__(f"no run of {project!r} is held")
        self.project = project
