"""The commands that look, or act at once: doctor, jobs, scaffold, undo, recover, policy."""

import argparse
import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cloche.assembly import Kernel
from cloche.errors import InvalidValue
from cloche.kernel.project import Project
from cloche.model.action import Action, Connect, DeleteFile, Execute, ReadFile, WriteFile
from cloche.model.limits import size_in_words
from cloche.model.paths import JailPath
from cloche.model.step import Trust
from cloche.model.tier import Tier
from cloche.policy.engine import describe, foresee
from cloche.policy.explain import explain, remedy
from cloche.policy.load import load_default, load_policy
from cloche.workspace.screen import shown

_Row = tuple[str, str, str, str]
"""Barrier, support, why, mend."""


def safe(text: str) -> str:
    """Give `text` without anything a terminal would obey; line breaks stay."""
    return "\n".join(shown(line) for line in text.split("\n"))


async def doctor(kernel: Kernel, *, as_json: bool) -> int:
    """Say of each barrier what this machine gives, found out by doing; its status is that of a run here."""
    features = await kernel.doctor()
    rows = [(f.feature.value, f.support.value, f.why, f.mend) for f in features.findings]
    refusal = kernel.find_refusal(features)
    weaker = await kernel.doctor(Tier.LANDLOCK) if refusal else features
    weaker_rows = [(f.feature.value, f.support.value, f.why, f.mend) for f in weaker.findings]
    weaker_runs = kernel.find_refusal(weaker) is None
    accepted = weaker_runs and kernel.weakest_tier is Tier.LANDLOCK
    status = refusal.exit_status if refusal and not accepted else 0
    tools, missing = kernel.survey_toolchains()
    if as_json:
        told = {
            "type": "doctor",
            "barriers": rows,
            "toolchains": [
                {
                    "name": tool.name,
                    "version": tool.version,
                    "path": tool.host_root,
                    "inside": tool.inside,
                    "sha256": tool.digest,
                }
                for tool in tools
            ],
            "missing": [{"name": m.name, "why": m.headline, "mend": m.remedy} for m in missing],
            "exit_status": status,
        }
        if refusal:
            told["landlock_tier"] = weaker_rows
        _say(told)
        return status
    for text in _table(rows):
        print(text)
    for tool in tools:
        print(
            f"  {'FOUND':8} {tool.name:22} {safe(tool.version)} in {safe(tool.host_root)}, "
            f"sha256 {tool.digest[:16]}"
        )
    for error in missing:
        print(f"  {'NONE':8} {error.name:22} {safe(error.headline)}")
        print(f"  {'':8} {'':22} mend: {safe(error.remedy)}")
    if refusal is None:
        print("\nAll that a run requires is here.")
    elif not weaker_runs:
        print(f"\nNothing can be run here: {refusal.feature} is required and missing.")
    else:
        _show_weaker(weaker_rows, refusal.feature, accepted=accepted)
    return status


def _show_weaker(rows: Iterable[_Row], missing: str, *, accepted: bool) -> None:
    print(f"\n{missing} is missing. The landlock tier (docs/tiers.md) would give:\n")
    for text in _table((name, support, why, "") for name, support, why, _ in rows):
        print(text)
    if accepted:
        print("\nThe policy accepts it (sandbox.tier: landlock), so runs start.")
    else:
        print(
            f"\nNothing runs: {missing} is required. `tier: landlock` in the policy accepts less."
        )


def _table(rows: Iterable[_Row]) -> Iterator[str]:
    """Yield (barrier, support, why, mend) as lines; what one refusal took is explained once."""
    before = ("", "")
    for name, support, why, mend in rows:
        repeated = (why, mend) == before and mend
        yield f"  {support.upper():8} {name:22} {'as above' if repeated else safe(why)}"
        if mend and not repeated:
            yield f"  {'':8} {'':22} mend: {safe(mend)}"
        before = (why, mend)


async def jobs(kernel: Kernel, *, as_json: bool) -> int:
    """Say which steps of this user's runs hold a share of the machine, and which wait for one."""
    tickets = await kernel.jobs()
    held = sum(ticket.claim.memory_bytes for ticket in tickets if ticket.admitted)
    free = max(0, kernel.budget.memory_bytes - held)
    for ticket in sorted(tickets, key=lambda ticket: not ticket.admitted):
        state = "running" if ticket.admitted else "waiting"
        if as_json:
            _say({"type": "job", "state": state, **dataclasses.asdict(ticket.claim)})
            continue
        claim = ticket.claim
        what = f"{state:8} {size_in_words(claim.memory_bytes):>9}  {shown(claim.step):16}"
        print(f"  {what} {shown(claim.project)} (job {shown(claim.job)}, process {claim.pid})")
    if as_json:
        _say({"type": "budget", **dataclasses.asdict(kernel.budget), "free_bytes": free})
        return 0
    budget = kernel.budget
    print(
        f"{size_in_words(free)} free of {size_in_words(budget.memory_bytes)}, "
        f"at most {budget.sandboxes} sandboxes at once"
    )
    return 0


async def scaffold(kernel: Kernel, arguments: argparse.Namespace) -> int:
    """Make a project from a template, or list the templates."""
    if arguments.template == "list":
        for template in kernel.templates():
            if arguments.json:
                fields = {"name": template.name, "summary": template.summary}
                _say({"type": "template", **fields})
            else:
                print(f"  {template.name:12} {template.summary}")
        return 0
    directory: Path = arguments.directory
    made = await kernel.scaffold(arguments.template, directory, directory.absolute().name)
    if arguments.json:
        _say({"type": "scaffolded", "path": str(made.path), "files": made.files})
    else:
        print(
            f"{made.files} files in {safe(str(made.path))}; next: cloche ship {safe(str(directory))}"
        )
    return 0


async def transactions(project: Project, arguments: argparse.Namespace) -> int:
    """Take commits back, recover, or say where the state is."""
    if arguments.command == "where":
        state = str(project.state)
        if arguments.json:
            _say({"type": "where", "state": state, "generation": project.generation()})
        else:
            print(safe(state))
        return 0
    if arguments.command == "undo":
        done = await project.undo(arguments.count)
        text = f"taken back: {done.added} added, {done.replaced} replaced, {done.deleted} deleted"
        _tell("undone", done, text, as_json=arguments.json)
        return 0
    report = await project.recover()
    text = (
        "an interrupted commit was completed" if report.completed else "no commit was interrupted"
    )
    text += f"; {report.discarded} unfinished transactions discarded"
    text += "; one run is held" if report.held else ""
    text += "; `cloche ship` continues where one failed" if report.resumable else ""
    _tell("recovered", report, text, as_json=arguments.json)
    return 0


def policy(arguments: argparse.Namespace) -> int:
    """Check a policy file, or explain one decision."""
    if arguments.part == "check":
        read = load_policy(arguments.file)
        if arguments.json:
            _say({"type": "policy", "file": str(arguments.file), "digest": read.digest})
        else:
            print(f"{safe(str(arguments.file))} is a valid policy")
        return 0
    rules = load_policy(arguments.policy) if arguments.policy else load_default()
    action = _action(arguments.action, arguments.what)
    decision = foresee(rules, action)
    if arguments.json:
        _say(
            {
                "type": "decision",
                "action": describe(action),
                "effect": decision.effect.value,
                "reasons": list(decision.reasons),
                "remedy": remedy(action, decision),
            }
        )
    else:
        print(safe(explain(rules, action, decision)))
    return 0


def _action(kind: str, what: str) -> Action:
    if kind == "connect":
        host, _, port = what.rpartition(":")
        if not host or not port.isdecimal():
            raise InvalidValue("what", what, "HOST:PORT")
        return Connect(host=host, port=int(port))
    if kind == "execute":
        return Execute(argv=tuple(what.split()), trust=Trust.PROJECT, typed_by_person=True)
    path = JailPath.parse(what)
    if kind == "read":
        return ReadFile(path=path)
    return WriteFile(path=path) if kind == "write" else DeleteFile(path=path)


def _tell(kind: str, value: Any, text: str, *, as_json: bool) -> None:  # Any: any dataclass
    if as_json:
        _say({"type": kind, **dataclasses.asdict(value)})
        return
    print(text)
    for edit in value.late_edits:
        print(f"  you edited {safe(edit)}")


def _say(value: dict[str, Any]) -> None:  # Any: JSON
    print(json.dumps(value, ensure_ascii=True), flush=True)
