"""Nodes tell each other of nodes: what is believed, what is kept, and that no node is needed for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_cases import GENESIS, MEMBERS, START, Network, new_tree, rota
from profiles import dear

from commonwatt.errors import ConfigError
from commonwatt.ledger.network.driver import Driver
from commonwatt.ledger.network.locations import Location, Locations, is_url
from commonwatt.ledger.network.machine import Machine
from commonwatt.ledger.network.messages import Hello, MessageError, decode, encode
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.network.wire import Wire
from commonwatt.proof import Key, checksum_address

STRANGER = Key.derive(b"locations", "stranger")
ONE, OTHER = MEMBERS[:2]
NODES = {key.address for key in MEMBERS[:3]}


def book(path: Path | None = None) -> Locations:
    return Locations(Tree(path, GENESIS, rota()))


def signed(key: Key, url: str, now: int = START) -> Location:
    """What a node with this key says of itself."""
    own = book()
    own.announce(key, url, now)
    return own.own[0]


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1:8545", "https://node.example.org", "http://[fd00::7]:80", "http://raspberry.local:1", "http://a"],
)
def test_scheme_host_and_port_are_an_address(url: str) -> None:
    assert is_url(url)
    assert book().learn([signed(ONE, url)], NODES, START)


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://a", "file:///etc/passwd", "http://", "http://a/", "http://a/node?x=", "http://a#", "http://u@a",
        "http://a:80:80", "http://a:123456", "http://a b", "http://a\n", "http://a\x1b[2J", "HTTP://a",
        "http://[::1", "http://\u0430.example", "http://" + "a" * 250, "http://a%00", "http://a\\b", "//a",
    ],
)  # fmt: skip
def test_anything_more_is_none_and_its_sender_is_not_listened_to(url: str) -> None:
    assert not is_url(url)
    with pytest.raises(MessageError):
        decode(encode(Hello((Location(url, START, bytes(65)),))))
    if url:
        with pytest.raises(ConfigError, match="url"):
            book().announce(ONE, url, START)


def test_only_what_a_node_signed_for_itself_is_believed() -> None:
    own = book()
    true = signed(ONE, "http://10.0.0.1:8545")
    moved = Location("http://10.6.6.6:8545", true.time, true.signature)
    later = Location(true.url, true.time + 1, true.signature)
    broken = Location(true.url, true.time, bytes(65))
    assert own.learn([moved, later, broken, signed(STRANGER, "http://10.6.6.6")], NODES, START) == ()
    assert own.url(ONE.address) == ""
    assert own.learn([true], NODES, START) == (true,)
    assert own.learn([true], NODES, START) == ()  # nothing new is passed on
    assert own.url(ONE.address) == true.url


def test_an_address_of_another_chain_is_not_believed() -> None:
    other = Locations(Tree(None, replace(GENESIS, extra_data=b"another"), rota()))
    other.announce(ONE, "http://10.0.0.1:8545", START)
    assert book().learn(other.own, NODES, START) == ()


def test_the_latest_counts_and_changes_are_passed_on_once_a_minute() -> None:
    own = book()
    changes = [signed(ONE, f"http://10.0.0.{number}", START + number) for number in range(200)]
    passed = [change for now, change in enumerate(changes, START) if own.learn([change], NODES, now)]
    assert [change.time - START for change in passed] == [0, 60, 120, 180]
    assert own.learn([changes[100]], NODES, START + 900) == ()
    assert own.url(ONE.address) == "http://10.0.0.180"


def test_a_clock_that_was_ahead_does_not_fix_an_address_for_ever() -> None:
    own, sender = book(), book()
    sender.announce(ONE, "http://10.0.0.1", START + 3600)
    assert own.learn(sender.own, NODES, START) == ()
    sender.announce(ONE, "http://10.0.0.1", START)  # the clock is right again
    assert own.learn(sender.own, NODES, START)
    moved = book()
    moved.announce(ONE, "http://10.0.0.9", START + 30)
    assert own.learn(moved.own, NODES, START + 90)


def test_places_on_the_machine_itself_are_for_nodes_that_are_there_too() -> None:
    inside = [
        "http://127.0.0.1:8545", "http://127.9.9.9", "http://localhost:80", "http://LOCALHOST.", "http://[::1]:1",
        "http://169.254.169.254", "http://0.0.0.0", "http://[fe80::1]", "http://2130706433", "http://224.0.0.1",
    ]  # fmt: skip
    for url in inside:
        public, private, hidden = book(), book(), book()
        public.announce(OTHER, "http://10.0.0.2:8545", START)
        private.announce(OTHER, "http://127.0.0.1:9", START)
        for each in (public, private, hidden):
            each.learn([signed(ONE, url)], NODES, START)
        assert [each.url(ONE.address) for each in (public, private, hidden)] == ["", url, ""]


def test_addresses_are_kept_in_the_file_and_learnt_anew_when_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    tree = Tree(path, GENESIS, rota())
    own = Locations(tree)
    own.announce(OTHER, "http://10.0.0.2", START)
    own.learn([signed(ONE, "http://10.0.0.1")], NODES, START)
    tree.close()
    tree = Tree(path, GENESIS, rota())
    again = Locations(tree)
    assert again.url(ONE.address) == "http://10.0.0.1"
    again.announce(OTHER, "http://10.0.0.2", START + 5)
    assert again.own == own.own  # nothing to tell the others
    again.announce(OTHER, "", START + 6)
    assert again.own == ()
    tree._store.put(b"commonwatt:checked:locations", b"\xff" * 90)
    assert Locations(tree).all == ()
    tree.close()


@given(st.lists(st.tuples(st.sampled_from(MEMBERS), st.integers(0, 9), st.integers(-100, 100)), max_size=30))
@dear(5)
def test_what_is_told_is_bounded_by_the_nodes_whatever_comes(told: list[tuple[Key, int, int]]) -> None:
    own = book()
    for step, (key, host, time) in enumerate(told):
        own.learn([signed(key, f"http://10.0.0.{host}", START + time)], NODES, START + step)
    assert len(own.all) <= len(NODES)
    assert all(location.time <= START + len(told) + 60 for location in own.all)


def test_a_node_that_knows_one_other_learns_of_all_and_tells_them() -> None:
    """All three know the first one only; what it passes on makes the others findable."""
    machines = {key.address: Machine(new_tree(), key, lambda _: None) for key in MEMBERS[:3]}
    first = MEMBERS[0].address
    for number, (key, machine) in enumerate(zip(MEMBERS, machines.values(), strict=False)):
        machine.locations.announce(key, f"http://10.0.0.{number}", START)
    due = []
    for address, machine in machines.items():
        if address != first:
            due += [(address, each) for each in machine.join(first, START)]
            due += [(first, each) for each in machines[first].join(address, START)]
    while due:
        sender, message = due.pop(0)
        answers = machines[message.peer].receive(sender, message.payload, START)
        due += [(message.peer, answer) for answer in answers]
    for machine in machines.values():
        found = {key.address: machine.locations.url(key.address) for key in MEMBERS[:3]}
        assert len([url for url in found.values() if url]) == 2  # all but itself


def test_who_names_another_ones_place_does_not_hide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member signs the address of another one, and that of a node that belongs to nobody."""
    machine = Machine(new_tree(), ONE, lambda _: None)
    shared, stolen = "http://10.0.0.2:8545", "http://10.0.0.9:80"
    for key, url in ((MEMBERS[2], shared), (OTHER, shared)):
        machine.locations.learn([signed(key, url)], NODES, START)
    log: list[str] = []
    driver = Driver(machine, Wire(ONE, machine.tree.genesis), NODES, [], log.append, lambda: START)
    asked: list[str] = []

    async def find(url: str) -> bytes:
        asked.append(url)
        return OTHER.address

    async def look() -> None:
        async with driver:
            while OTHER.address not in driver._found_at:
                await asyncio.sleep(0.01)
            machine.locations.learn([signed(MEMBERS[2], stolen, START + 60)], NODES, START + 60)
            while stolen not in asked:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)

    async def post(*_: object) -> None:
        pass

    monkeypatch.setattr(driver, "_find", find)
    monkeypatch.setattr(driver, "_post", post)
    asyncio.run(look())
    assert driver._found_at == {OTHER.address: shared}
    assert log[-1] == f"At {stolen} is {checksum_address(OTHER.address)}, which did not name it."


def test_a_node_tells_its_own_address_again_from_time_to_time() -> None:
    net = Network(rota(), keys=MEMBERS[:2])
    one, other = net
    net.run(40)
    one.locations.announce(ONE, "http://10.0.0.1", net.now)  # they are connected long since
    net.run(31)
    assert other.locations.url(ONE.address) == "http://10.0.0.1"


def test_a_hello_with_too_many_addresses_is_refused() -> None:
    location = signed(ONE, "http://10.0.0.1")
    assert decode(encode(Hello((location,) * 1000))) == Hello((location,) * 1000)
    with pytest.raises(MessageError):
        decode(encode(Hello((location,) * 1001)))
