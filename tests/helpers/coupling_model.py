"""A small model of two ledgers and a coupled trade, to be explored whole: every order of what may happen.

Time is in ticks. The contracts are as in `Settlement.sol`; the gateway decides by `exchange.swap.next_step` and may
sleep at any time; whoever strikes, demands, answers, posts and applies does so in any order, soon, late or never.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from commonwatt.exchange.swap import Plan, Rule, Standing, Step, Times, next_step

WINDOW, GRACE, ANSWER = 2, 8, 1
UNTIL_B, END = 6, 12
TIMES = Times(margin=2, delay=1)
LOCK, OTHER = b"lock", b"other"


@dataclass(frozen=True)
class Setting:
    """What is given from the beginning.

    faulty, demanded, empty : "a" or "b": whose post has a fault that can be proved, of whose post something is
        demanded, where a payer has no money
    longer : how much later A's post ends than B's; same_lock : whether they have one lock
    awake : whether somebody in A applies its post in time once the key is out
    withdrawing : whether the gateway can take its money out of A while the post waits
    late : whether a fault can also be proved after the window
    """

    faulty: str = ""
    demanded: str = ""
    empty: str = ""
    longer: int = TIMES.margin
    same_lock: bool = True
    awake: bool = True
    withdrawing: bool = False
    late: bool = False


@dataclass(frozen=True)
class Posted:
    """A post on its ledger. asked : when something was demanded that is not answered, or None"""

    at: int
    held: int = 0
    asked: int | None = None
    was_asked: bool = False
    final: bool = False

    @property
    def first(self) -> int:
        return max(self.at + WINDOW, self.held)


@dataclass(frozen=True)
class State:
    """None: not posted yet; "gone": struck. sent : when the gateway's transaction is in a block, or None"""

    t: int = 0
    a: Posted | str | None = None
    b: Posted | str | None = None
    sent: int | None = None
    shown: bool = False
    final_b: int | None = None
    drained: bool = False

    def having(self, side: str, post: Posted | str) -> State:
        return replace(self, a=post) if side == "a" else replace(self, b=post)


@dataclass(frozen=True)
class Model:
    """The rules that the gateway does not keep are in `without`."""

    setting: Setting
    without: Collection[Rule] = ()

    def outcomes(self) -> tuple[frozenset[tuple[bool, bool]], int]:
        """Every way in which it can end, (A final, B final), and how many states there are."""
        seen, waiting, ends = {State()}, [State()], set()
        while waiting:
            state = waiting.pop()
            if state.t > END:
                ends.add((_final(state.a), _final(state.b)))
                continue
            for following in self.following(state):
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return frozenset(ends), len(seen)

    def following(self, state: State) -> Iterator[State]:
        for side in "ab":
            yield from self._on_ledger(state, side)
        yield from self._gateway(state)
        if self.setting.withdrawing and not state.drained:
            yield replace(state, drained=True)
        if state.shown and self.setting.same_lock and self._can_apply(state, "a"):
            yield self._applied(state, "a")
        if not self._somebody_must_act(state):
            yield replace(state, t=state.t + 1)

    def _on_ledger(self, state: State, side: str) -> Iterator[State]:
        post, t = getattr(state, side), state.t
        if post is None:
            if t < UNTIL_B and t + WINDOW <= self.until(side):
                yield state.having(side, Posted(t))
            return
        if isinstance(post, str) or post.final:
            return
        in_window = t < post.at + WINDOW
        if self.setting.faulty == side and (in_window or self.setting.late):
            yield state.having(side, "gone")
        if self.setting.demanded == side and in_window and not post.was_asked:
            held = t + ANSWER + WINDOW
            yield state.having(side, replace(post, held=held, asked=t, was_asked=True))
        if post.asked is not None:
            in_time = t <= post.asked + ANSWER
            yield state.having(side, replace(post, asked=None) if in_time else "gone")

    def _gateway(self, state: State) -> Iterator[State]:
        if state.sent is not None:
            if state.sent <= state.t:
                done = replace(state, sent=None)
                yield self._applied(done, "b") if self._can_apply(state, "b") else done
            return
        plan = Plan(0, LOCK, self.until("a"), UNTIL_B, WINDOW, WINDOW)
        a, b = (self._standing(state, side) for side in "ab")
        if not state.shown and next_step(plan, a, b, state.t, TIMES, self.without) is Step.REVEAL:
            for delay in range(TIMES.delay + 1):
                yield replace(state, sent=state.t + delay, shown=True)

    def _applied(self, state: State, side: str) -> State:
        final_b = state.t if side == "b" else state.final_b
        return replace(state.having(side, replace(getattr(state, side), final=True)), final_b=final_b)

    def _standing(self, state: State, side: str) -> Standing | None:
        post = getattr(state, side)
        if not isinstance(post, Posted):
            return None
        lock = LOCK if side == "b" or self.setting.same_lock else OTHER
        covered = self.setting.empty != side and not (side == "a" and state.drained)
        return Standing(lock, state.t, post.first, self._last(side, post), post.asked is not None, covered, post.final)

    def until(self, side: str) -> int:
        return UNTIL_B + (self.setting.longer if side == "a" else 0)

    def _last(self, side: str, post: Posted) -> int:
        return min(post.first + GRACE, self.until(side))

    def _can_apply(self, state: State, side: str) -> bool:
        post = getattr(state, side)
        if not isinstance(post, Posted) or post.final:
            return False
        paid = self.setting.empty != side and not (side == "a" and state.drained)
        return post.first <= state.t <= self._last(side, post) and paid

    def _somebody_must_act(self, state: State) -> bool:
        """A transaction that was sent is in a block in time, and so is what is done in A."""
        if state.sent is not None and state.sent <= state.t:
            return True
        late = state.final_b is not None and state.t >= state.final_b + TIMES.margin
        return self.setting.awake and late and self.setting.same_lock and self._can_apply(state, "a")


def _final(post: Posted | str | None) -> bool:
    return isinstance(post, Posted) and post.final
