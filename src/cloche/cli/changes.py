"""The commands about what a run did: diff, commit, discard. Everything shown is escaped."""

import argparse
import dataclasses
import json
import time

from cloche.kernel.conclusion import event_of, notes_of
from cloche.kernel.project import Project
from cloche.model.conflicts import Conflicts
from cloche.model.limits import size_in_words
from cloche.workspace.compare import Compared, Comparison, Side
from cloche.workspace.diff import Kind
from cloche.workspace.screen import shown

_SIGNS = {Kind.ADD: "+", Kind.REPLACE: "~", Kind.DELETE: "-"}


async def changes(project: Project, arguments: argparse.Namespace) -> int:
    """Show what is held or was committed last, commit what is held, or throw it away."""
    if arguments.command == "commit":
        return await _commit(project, arguments)
    if arguments.command == "discard":
        return await _discard(project, as_json=arguments.json)
    found = await project.diff(text=arguments.text)
    if arguments.json:
        _print_json(found)
        return 0
    print(await _headline(project, found))
    for item in found.items if not arguments.stat else ():
        print(f"{_SIGNS[item.kind]} {shown(str(item.path))}{_ending(item)}  {_sizes(item)}")
        for line in item.text.lines:
            print(f"    {line}")
        if item.text.note:
            print(f"    ({item.text.note})")
    for note in found.notes:
        print(f"({note})")
    return 0


async def _commit(project: Project, arguments: argparse.Namespace) -> int:
    done = await project.commit(
        only=tuple(arguments.only or ()),
        conflicts=Conflicts(arguments.conflicts),
        check_reads=arguments.check_reads,
    )
    if arguments.json:
        print(json.dumps({**event_of(done).to_json(), "left_out": done.left_out}))
        return 0
    print(
        f"committed {done.transaction}: {done.added} added, {done.replaced} replaced, "
        f"{done.deleted} deleted"
    )
    for note in notes_of(done):
        print(f"  {shown(note)}")
    return 0


async def _discard(project: Project, *, as_json: bool) -> int:
    held = await project.discard()
    transaction = held.transaction if held else ""
    if as_json:
        print(json.dumps({"type": "discarded", "transaction": transaction}))
    else:
        print(f"discarded {transaction or 'a held run whose record was damaged'}")
    return 0


async def _headline(project: Project, found: Comparison) -> str:
    if not found.transaction:
        return "nothing is held, and no commit stands"
    totals = ", ".join(
        f"{sum(item.kind is kind for item in found.items)} {word}"
        for kind, word in ((Kind.ADD, "new"), (Kind.REPLACE, "changed"), (Kind.DELETE, "gone"))
    )
    before = sum(item.before.size for item in found.items if item.before)
    after = sum(item.after.size for item in found.items if item.after)
    totals += f"; {_size(before)} before, {_size(after)} after"
    if not found.is_held:
        return f"the last commit, {found.transaction}: {totals}"
    held = await project.held()
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(held.when)) if held else "?"
    verb = shown(held.verb) if held else "?"
    return f"held, not committed: {found.transaction} of `{verb}`, {when}: {totals}"


def _ending(item: Compared) -> str:
    side = item.after or item.before
    return "/" if side is not None and side.kind == "directory" else ""


def _sizes(item: Compared) -> str:
    if item.before is None or item.after is None:
        return _said(item.after or item.before)
    if item.before == item.after:
        return _said(item.after)
    return f"{_said(item.before)}, now {_said(item.after)}"


def _said(side: Side | None) -> str:
    match side:
        case None:
            return ""
        case Side(kind="directory"):
            return f"{side.entries} entries, {_size(side.size)}"
        case Side(kind="link"):
            return f"link to {side.target}"
        case Side(kind="file"):
            return _size(side.size)
    return side.kind


def _size(size: int) -> str:
    return size_in_words(size) if size >= 1 << 20 else f"{size} bytes"


def _print_json(found: Comparison) -> None:
    for item in found.items:
        told = {
            "type": "change",
            "kind": item.kind.value,
            "path": str(item.path),
            "transaction": found.transaction,
            "held": found.is_held,
            "before": dataclasses.asdict(item.before) if item.before else None,
            "after": dataclasses.asdict(item.after) if item.after else None,
        }
        if item.text.lines or item.text.note:
            told["text"] = {"lines": list(item.text.lines), "note": item.text.note}
        print(json.dumps(told))
    for note in found.notes:
        print(json.dumps({"type": "note", "text": note}))
