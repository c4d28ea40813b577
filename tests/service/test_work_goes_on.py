"""What nobody foresaw ends no work of the meters' side for good."""

from __future__ import annotations

import asyncio

import pytest

from commonwatt.service import serving


def test_work_that_ends_by_what_nobody_foresaw_is_logged_and_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "_ROSTER_SECONDS", 0.01)
    begun, goes_on = list[int](), asyncio.Event()

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) == 1:
            raise KeyError("strange")
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
    assert "KeyError: 'strange'" in caplog.text
