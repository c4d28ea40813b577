"""What ends work of the meters' side ends it for no longer than until it begins again."""

from __future__ import annotations

import asyncio

import pytest

from commonwatt.errors import StoreError
from commonwatt.service import serving


@pytest.mark.parametrize(
    ("error", "said", "traced"),
    [
        (KeyError("strange"), "KeyError: 'strange'", True),
        (StoreError("The store is away."), "begins again: The store is away.", False),
    ],
)
def test_work_that_ends_is_logged_and_begins_again(
    error: Exception, said: str, traced: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "_ROSTER_SECONDS", 0.01)
    begun, goes_on = list[int](), asyncio.Event()

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) == 1:
            raise error
        goes_on.set()
        await asyncio.Event().wait()

    async def test() -> None:
        task = asyncio.create_task(serving.again(work))
        await goes_on.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(test())
    assert begun == [0, 1]
    assert said in caplog.text
    assert ("Traceback" in caplog.text) == traced
