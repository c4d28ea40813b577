"""Anybody may bring parts of an answer: whatever they are, the exchange completes it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plant import MEMBERS, PLANT, selling

from commonwatt.accounts.statements import line_tree
from commonwatt.exchange.answers import answers
from commonwatt.ledger.client.demands import DemandsClient


@pytest.mark.parametrize("sales", [1, 3, 4])
def test_lines_that_a_stranger_brought_as_if_others_followed_are_no_end_of_the_answer(sales: int) -> None:
    with selling(sales, ahead=sales) as sold:
        demands, post, node = DemandsClient(sold.client), sold.posted.post, sold.client.node
        demands.demand(MEMBERS[PLANT], post, PLANT, at=node.head.timestamp + 1)
        (whole,) = answers(sold.posted, PLANT, sold.mandates[PLANT])
        open_end = replace(whole, last=False, border=line_tree(whole.lines).beside(range(sales)))
        demands.answer(post, PLANT, [open_end], at=node.head.timestamp + 1)
        begun = demands.demand_of(post, PLANT)
        assert begun is not None
        assert (begun.next, begun.answered) == (sales, False)
        rest = [*answers(sold.posted, PLANT, sold.mandates[PLANT], shown=begun.next)]
        demands.answer(post, PLANT, rest, at=node.head.timestamp + 1)
        ended = demands.demand_of(post, PLANT)
        assert ended is not None
        assert ended.answered
