import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.proof import Tree, keccak, led_by, places_beside, root_of, root_of_empty
from commonwatt.proof.merkle import leaf
from commonwatt.records import ZERO_HASH

hashes = st.binary(min_size=32, max_size=32).filter(lambda record: record != ZERO_HASH)
trees = st.lists(hashes, min_size=1, max_size=40)


@st.composite
def places(draw: st.DrawFn, min_size: int = 1) -> tuple[list[bytes], int]:
    """The records of a tree and the place of one of them."""
    records = draw(st.lists(hashes, min_size=min_size, max_size=40, unique=True))
    return records, draw(st.integers(0, len(records) - 1))


def plain_root(records: list[bytes]) -> bytes:
    """The root as one would compute it on paper: zero for no record, pad with zeros, then pair until one is left."""
    level = [keccak(record) if any(record) else ZERO_HASH for record in records]
    while len(level) & (len(level) - 1):
        level.append(ZERO_HASH)
    while len(level) > 1:
        level = [keccak(left + right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


@given(trees)
def test_every_proof_leads_to_the_root(records: list[bytes]) -> None:
    tree = Tree.of(records)
    assert tree.root == plain_root(records)
    assert all(root_of(record, place, tree.proof(place)) == tree.root for place, record in enumerate(records))


@given(st.lists(hashes | st.just(ZERO_HASH), min_size=1, max_size=40))
def test_an_empty_place_leads_to_the_root_as_one_and_as_no_record(records: list[bytes]) -> None:
    tree = Tree.of(records)
    assert tree.root == plain_root(records)
    for place, record in enumerate(records):
        way = place, tree.proof(place)
        assert (root_of_empty(*way) == tree.root) == (record == ZERO_HASH)
        assert (root_of(record, *way) == tree.root) == (record != ZERO_HASH)
    assert root_of_empty(len(records) << 1, tree.proof(0)) == ZERO_HASH


@given(places())
def test_the_depth_is_the_least_that_holds_all(case: tuple[list[bytes], int]) -> None:
    records, place = case
    assert len(Tree.of(records).proof(place)) == (len(records) - 1).bit_length()


@given(places(), st.integers(-2, 70))
def test_another_index_does_not_lead_to_the_root(case: tuple[list[bytes], int], index: int) -> None:
    records, place = case
    tree = Tree.of(records)
    assert (root_of(records[place], index, tree.proof(place)) == tree.root) == (index == place)


@given(places(min_size=2), st.data())
def test_another_sibling_does_not_lead_to_the_root(case: tuple[list[bytes], int], data: st.DataObject) -> None:
    records, place = case
    tree = Tree.of(records)
    proof = list(tree.proof(place))
    height = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 255))
    proof[height] = (int.from_bytes(proof[height], "big") ^ 1 << bit).to_bytes(32, "big")
    assert root_of(records[place], place, proof) != tree.root


@given(places(), hashes)
def test_another_record_does_not_lead_to_the_root(case: tuple[list[bytes], int], other: bytes) -> None:
    records, place = case
    tree = Tree.of(records)
    assert (root_of(other, place, tree.proof(place)) == tree.root) == (other == records[place])


@given(places(min_size=2))
def test_a_shorter_or_longer_proof_does_not_lead_to_the_root(case: tuple[list[bytes], int]) -> None:
    records, place = case
    tree = Tree.of(records)
    proof = tree.proof(place)
    assert root_of(records[place], place, proof[:-1]) != tree.root
    assert root_of(records[place], place, (*proof, ZERO_HASH)) != tree.root


@given(places(min_size=2))
def test_a_node_does_not_pass_as_a_leaf(case: tuple[list[bytes], int]) -> None:
    """Were leaves not hashed apart, a node would prove itself with the rest of the proof below it."""
    records, place = case
    tree = Tree.of(records)
    node, rest = tree.levels[1][place >> 1], tree.proof(place)[1:]
    above = node
    for height, sibling in enumerate(rest):
        above = keccak(sibling + above if place >> (height + 1) & 1 else above + sibling)
    assert above == tree.root
    assert root_of(node, place >> 1, rest) != tree.root


def test_a_tree_of_none_has_the_root_zero() -> None:
    tree = Tree.of([])
    assert tree.root == ZERO_HASH
    with pytest.raises(IndexError):
        tree.proof(0)


def test_a_tree_of_one_is_its_leaf() -> None:
    record = keccak(b"record")
    tree = Tree.of([record])
    assert tree.root == leaf(record) == keccak(record)
    assert tree.proof(0) == ()
    assert root_of(record, 0, ()) == tree.root


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 9])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_there_is_no_proof_outside_the_tree(size: int, beyond: int) -> None:
    tree = Tree.of([keccak(bytes([number])) for number in range(size)])
    index = -1 if beyond < 0 else (1 << tree.depth) + beyond
    with pytest.raises(IndexError):
        tree.proof(index)


@pytest.mark.parametrize("index", [-1, 4, 5, 2**256])
def test_an_index_outside_the_depth_leads_to_zero(index: int) -> None:
    assert root_of(keccak(b""), index, (ZERO_HASH, ZERO_HASH)) == ZERO_HASH


@given(st.lists(hashes, min_size=2, max_size=20, unique=True))
def test_the_order_of_the_records_counts(records: list[bytes]) -> None:
    assert Tree.of(records).root != Tree.of(records[::-1]).root


def test_padding_proves_no_record() -> None:
    """The zero that stands beyond the last leaf is no hash of anything known."""
    tree = Tree.of([keccak(b"a"), keccak(b"b"), keccak(b"c")])
    assert root_of(ZERO_HASH, 3, (tree.levels[0][2], tree.levels[1][0])) != tree.root


@given(trees)
def test_an_empty_place_behind_the_records_is_proved(records: list[bytes]) -> None:
    tree = Tree.of([*records, ZERO_HASH])
    for place in range(len(records), 1 << tree.depth):
        assert root_of_empty(place, tree.proof(place)) == tree.root


@given(trees, st.data())
def test_what_lies_beside_several_records_holds_the_way_of_each(records: list[bytes], data: st.DataObject) -> None:
    tree = Tree.of(records)
    chosen = data.draw(st.sets(st.integers(0, len(records) - 1), min_size=1))
    shown, beside = {place: records[place] for place in chosen}, tree.beside(chosen)
    assert led_by(shown, tree.depth, beside) == (tree.root, {place: tree.proof(place) for place in chosen})
    assert len(beside) == len([*places_beside(chosen, tree.depth)]) <= len(chosen) * tree.depth
    for wrong in (beside[:-1] if beside else (ZERO_HASH,), (*beside, ZERO_HASH)):
        with pytest.raises(ValueError, match="too few nodes beside them, or too many"):
            led_by(shown, tree.depth, wrong)
    other = {**shown, max(chosen): keccak(b"another")}
    assert led_by(other, tree.depth, beside)[0] != tree.root


@given(trees, st.data())
def test_a_range_up_to_the_end_needs_nothing_on_its_right(records: list[bytes], data: st.DataObject) -> None:
    tree, first = Tree.of(records), data.draw(st.integers(0, len(records) - 1))
    beside = tree.beside(range(first, 1 << tree.depth))
    padded = dict(enumerate([*records, *[ZERO_HASH] * ((1 << tree.depth) - len(records))]))
    shown = {place: each for place, each in padded.items() if place >= first}
    assert len(beside) == first.bit_count()
    assert led_by(shown, tree.depth, beside)[0] == tree.root


def test_no_node_lies_beside_a_place_outside_the_tree() -> None:
    with pytest.raises(IndexError):
        Tree.of([keccak(b"")] * 3).beside([4])


@pytest.mark.parametrize(
    ("shown", "depth"),
    [({}, 0), ({}, 10**30), ({0: keccak(b"")}, -1), ({0: keccak(b"")}, 10**30), ({4: keccak(b"")}, 2)],
)
def test_no_tree_has_nothing_or_endless_depth_or_a_place_outside(shown: dict[int, bytes], depth: int) -> None:
    with pytest.raises(ValueError, match="no tree has these places"):
        led_by(shown, depth, [])
