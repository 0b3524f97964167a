import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from cloche.kernel.ends import in_thread, past_return


class Job:
    """Work in a thread that goes on until the test lets it end."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.began, self.may_end, self.ended = (threading.Event() for _ in range(3))
        self.failure = failure

    def __call__(self) -> str:
        self.began.set()
        assert self.may_end.wait(10)
        self.ended.set()
        if self.failure is not None:
            raise self.failure
        return "done"


async def cancelled_twice(how: Callable[[Job], Awaitable[str]], job: Job) -> str:
    task = asyncio.ensure_future(how(job))
    await asyncio.to_thread(job.began.wait, 10)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    job.may_end.set()
    return await task


def test_a_cancellation_waits_for_the_thread() -> None:
    job = Job()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled_twice(in_thread, job))
    assert job.ended.is_set()


def test_what_cannot_be_taken_back_is_not_called_cancelled() -> None:
    assert asyncio.run(cancelled_twice(past_return, Job())) == "done"


def test_what_failed_and_was_cancelled_is_cancelled() -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled_twice(past_return, Job(OSError("full"))))


@pytest.mark.parametrize("how", [in_thread, past_return])
def test_a_failure_is_raised_as_it_is(how: Callable[[Job], Awaitable[str]]) -> None:
    async def once() -> str:
        job = Job(OSError("full"))
        job.may_end.set()
        return await how(job)

    with pytest.raises(OSError, match="full"):
        asyncio.run(once())
