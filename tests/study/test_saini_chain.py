import copy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from commonwatt.study.saini.case import read_case, read_json
from commonwatt.study.saini.chain import (
    block_hash,
    bound_faults,
    check,
    forge,
    mine,
    published_faults,
    published_proof,
    relink,
    repair,
    rewrite,
)

CHAINS = read_case().chains
PROOFS = read_json("expected.json")["consistent"]["proofs"]
LATER = st.integers(1, len(CHAINS["A11"]) - 1)
FIELDS = st.sampled_from(["timestamp", "previous_hash", "proof", "index", "transactions"])


@pytest.fixture(scope="module")
def mined() -> tuple[Any, ...]:
    return mine(CHAINS["A11"])


@pytest.mark.parametrize("figure", ["A10", "A11"])
def test_the_published_chains_verify_hash_by_hash(figure: str) -> None:
    chain = CHAINS[figure]
    found = check(figure, chain)
    assert found.faults == ()
    assert found.links == found.proofs_right == found.blocks == len(chain) - 1
    assert list(found.proofs) == PROOFS[: found.blocks]
    for previous, block in pairwise(chain):
        assert block["previous_hash"] == block_hash(previous)


def test_the_published_proofs_follow_from_each_other_alone() -> None:
    proof = 1
    for expected in PROOFS:
        proof = published_proof(proof)
        assert proof == expected


@given(block=st.integers(0, len(CHAINS["A11"]) - 2), field=FIELDS)
def test_a_change_in_any_block_but_the_last_breaks_the_next_link(block: int, field: str) -> None:
    chain = copy.deepcopy(CHAINS["A11"])
    chain[block][field] = "changed" if field != "proof" else chain[block][field] + 1
    assert any(f"block {chain[block + 1]['index']}: previous_hash" in fault for fault in published_faults(chain))


@given(LATER, st.floats(allow_nan=False, allow_infinity=False))
def test_any_rewritten_amount_passes_the_published_rules_without_work(block: int, amount: float) -> None:
    chain = CHAINS["A11"]
    forged, relinked = relink(rewrite(chain, chain[block]["index"], amount))
    assert published_faults(forged) == ()
    assert [old["proof"] for old in chain] == [new["proof"] for new in forged]
    assert relinked <= len(chain) - 1 - block


def test_the_last_block_can_be_rewritten_without_even_a_link() -> None:
    forged = rewrite(CHAINS["A11"], 7, 0.01)
    assert published_faults(forged) == ()


def test_the_demonstrated_forgery_costs_no_work() -> None:
    forgery = forge("A11", CHAINS["A11"], 3, 70.1)
    assert (forgery.before, forgery.after) == (0.701, 70.1)
    assert forgery.faults_at_once == ("block 4: previous_hash is not the hash of block 3",)
    assert (forgery.relinked, forgery.attempts, forgery.faults) == (4, 0, ())


def test_bound_proofs_hold_and_cost_what_was_counted(mined: tuple[Any, ...]) -> None:
    chain, attempts = mined
    assert bound_faults(chain) == ()
    assert attempts == sum(block["proof"] for block in chain[1:])
    assert mine(chain) == (chain, 0)


# A nonce fits other content by chance once in 65 536; from a block before the last on, two or more would have to.
@given(block=st.integers(1, len(CHAINS["A11"]) - 2), amount=st.floats(allow_nan=False, allow_infinity=False))
@example(block=len(CHAINS["A11"]) - 1, amount=0.01)
def test_bound_proofs_find_every_rewritten_amount(mined: tuple[Any, ...], block: int, amount: float) -> None:
    chain, _ = mined
    rewritten = rewrite(chain, chain[block]["index"], amount)
    forged, _ = relink(rewritten)
    assert rewritten == chain or bound_faults(forged)


def test_the_repair_names_every_block_from_the_forged_one_on() -> None:
    found = repair(CHAINS["A11"], 3, 70.1)
    assert [fault[:8] for fault in found.faults] == [f"block {index}:" for index in range(3, 8)]
    assert found.attempts_published == sum(PROOFS)
    assert found.attempts_to_forge > 0
    assert found.attempts > 0


def test_chains_are_not_changed_in_place(mined: tuple[Any, ...]) -> None:
    before = copy.deepcopy(CHAINS["A11"])
    rewrite(CHAINS["A11"], 3, 70.1)
    relink(CHAINS["A11"])
    assert CHAINS["A11"] == before
    assert mined[0] != before
