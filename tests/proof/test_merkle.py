import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.proof import Tree, border_of, keccak, proofs_of, root_of, root_of_empty
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
    index = -1 if beyond < 0 else size + beyond
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


@given(places(), st.data())
def test_the_border_of_a_range_holds_every_way_in_it(given_: tuple[list[bytes], int], data: st.DataObject) -> None:
    records, first = given_
    count = data.draw(st.integers(1, len(records) - first))
    tree = Tree.of(records)
    border, depth = tree.border(first, count), len(tree.levels) - 1
    part, last = records[first : first + count], first + count - 1
    assert proofs_of(part, first, depth, border) == (tree.root, [tree.proof(place) for place in range(first, last + 1)])
    assert border_of(first, tree.proof(first), last, tree.proof(last)) == border
    for short in range(len(border)):
        with pytest.raises(ValueError, match="the border is too short"):
            proofs_of(part, first, depth, border[:short])
    for place, more in ((first, [ZERO_HASH]), (first + (1 << depth), []), (first - (1 << depth), [])):
        with pytest.raises(ValueError, match="the border is too"):
            proofs_of(part, place, depth, [*border, *more])


@pytest.mark.parametrize(("records", "depth"), [([], 0), ([], 10**30), ([keccak(b"")], -1), ([keccak(b"")], 10**30)])
def test_no_tree_has_a_range_of_nothing_or_endless_depth(records: list[bytes], depth: int) -> None:
    with pytest.raises(ValueError, match="no tree has such a range"):
        proofs_of(records, 0, depth, [])
