"""Work that an interrupt may not leave half done: waited for to its end, however often it is cancelled.

`asyncio.to_thread` and `asyncio.shield` let the waiter go at once and the work go on unseen. A
rollback beside a commit that still runs, or descriptors closed under it, would tear the project.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")


async def to_its_end(work: Coroutine[Any, Any, Result]) -> Result:  # Any: asyncio's own protocol
    """Give what `work` gives; a cancellation is raised when `work` has ended, and not before."""
    task = asyncio.create_task(work)
    cancelled = await _outlast(task)
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # looked at: what the canceller hears of is the cancellation
    raise cancelled


async def in_thread(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Call `function` in a thread; a cancellation is raised when it has returned, and not before."""
    return await to_its_end(asyncio.to_thread(function, *args, **kwargs))


async def past_return(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Call in a thread what cannot be taken back: when it succeeds, a cancellation came too late."""
    task = asyncio.create_task(asyncio.to_thread(function, *args, **kwargs))
    cancelled = await _outlast(task)
    if cancelled is not None and (task.cancelled() or task.exception() is not None):
        raise cancelled
    return task.result()


async def _outlast(task: "asyncio.Task[Any]") -> asyncio.CancelledError | None:  # Any: any result
    """Wait until `task` is done; give the last cancellation that came meanwhile."""
    last = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as cancelled:
            last = cancelled
            current = asyncio.current_task()
            if current is not None:
                current.uncancel()
    return last
