"""Work that may answer before it is over: its task goes on while its response is on the way.

Work comes in; its response, at the end or ahead of it, goes out.
It must never leave a task behind that nobody can end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from serverless_wasm.messages import Response

Begin = Callable[[Response], None]


async def answer_of(work: Callable[[Begin], Coroutine[Any, Any, Response]]) -> Response:
    """The response that `work` begins with, or ends with if it did not begin.

    Cancelling this before there is a response cancels the work, and waits until it has ended.
    """
    answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def begin(response: Response) -> None:
        if not answer.done():
            answer.set_result(response)

    async def finish() -> None:  # gives nothing: the body of a response may know the task that makes it
        begin(await work(begin))

    def over(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            answer.cancel()
        elif (error := task.exception()) is not None and not answer.done():
            answer.set_exception(error)

    task = asyncio.get_running_loop().create_task(finish())
    task.add_done_callback(over)
    try:
        return await answer
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise
