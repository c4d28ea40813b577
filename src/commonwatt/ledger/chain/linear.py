"""Parts of py-evm as this chain has them: their time and memory grow no faster than the gas that is paid for them.

What they compute is the same. py-evm's own look through all code before a jump, in a recursion as deep as the code is
long; keep whatever was passed to each call until the transaction's end; and touch, at each call, every account whose
storage the block has changed so far.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from eth.exceptions import InsufficientStack
from eth.vm.code_stream import CodeStream
from eth_typing import Address

_PUSH1 = 0x60
_PUSHES = re.compile(
    b"|".join(re.escape(bytes([_PUSH1 - 1 + size])) + b".{0,%d}" % size for size in range(1, 33)), re.DOTALL
)
# As many contracts' as one transaction calls within reason; each takes twice its size, 48 KiB at most.
_ANALYSED = 1024


@lru_cache(maxsize=_ANALYSED)
def instructions(code: bytes) -> bytes:
    """Code in which the data of each PUSH is a PUSH1, and no instruction is."""
    return _PUSHES.sub(lambda push: b"\0" + bytes([_PUSH1]) * (len(push[0]) - 1), code)


class Code(CodeStream):
    """Code that is run; where it may jump to is found out once, from its beginning."""

    __slots__ = ()

    def is_valid_opcode(self, position: int) -> bool:
        """Whether an instruction is there, and not the data of one."""
        return position < self._length_cache and instructions(self._raw_code_bytes)[position] != _PUSH1


def pop_ints(values: list[int | bytes], count: int) -> tuple[int, ...]:
    """Take two integers or more off a stack, the topmost first, in half the time of py-evm."""
    if count > len(values):
        raise InsufficientStack(f"Wanted {count} stack items, only had {len(values)}")
    taken = values[: -count - 1 : -1]
    del values[-count:]
    return tuple([value if isinstance(value, int) else int.from_bytes(value, "big") for value in taken])


def leave_behind(parent: Any, child: Any, touched: set[Address]) -> None:
    """Keep of a call that has just ended only what the transaction's end asks for.

    That is events, refunds, deletions, and for each account that it touched one call of it: when the account is empty
    it is no part of the state (EIP-161). touched : those of the parent's calls so far; the child's is added
    """
    destroyed = child.accounts_to_delete or child.beneficiaries
    within = child.children or child._log_entries or destroyed or child._gas_meter.gas_refunded
    if not child.msg.refund and (child.is_error or (not within and child.msg.to in touched)):
        parent.children.pop()
    elif not child.is_error:
        touched.add(child.msg.to)
    child.msg.data = b""
