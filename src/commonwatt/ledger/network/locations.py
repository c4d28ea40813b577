"""Where nodes can be reached: each one signs its own address, and the others pass it on.

So a node that knows one other learns of all, and no node is needed for ever. Only what a node of the network signed for
itself is believed, and only as a place to look: whoever answers there must be that node.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

import rlp

from commonwatt.errors import ConfigError, Finding, SignatureError
from commonwatt.ledger.network.tree import Tree
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key, recover

MAX_URL = 256
CHANGES_AFTER = 60
"""Seconds for which a node's address stays as it was learnt, and that its time may be ahead of this node's clock."""
_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_DOMAIN = b"commonwatt location 1"
_NOTE, _NOTHING = b"locations", b"\xc0"


@dataclass(frozen=True)
class Location:
    """Where a node said that it can be reached.

    time : when, unix seconds; the latest counts
    signature : of the node, 65 bytes
    """

    url: str
    time: int
    signature: bytes


def is_url(text: str) -> bool:
    """Whether a text is scheme, host and perhaps port, and nothing else that a request could be bent with."""
    return len(text) <= MAX_URL and _URL.fullmatch(text) is not None


class Locations:
    """Those of a network's nodes, the newest of each, kept in a node's file."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._own: bytes | None = None
        self._known: dict[bytes, Location] = {}
        self._learnt: dict[bytes, int] = {}
        for url, time, signature in rlp.decode(tree.notes.get(_NOTE) or _NOTHING):
            location = Location(url.decode(), int.from_bytes(time, "big"), signature)
            if node := self._signer(location):
                self._known[node] = location

    @property
    def all(self) -> tuple[Location, ...]:
        """What others are told."""
        return tuple(self._known.values())

    @property
    def own(self) -> tuple[Location, ...]:
        """This node's own; empty when it cannot be reached."""
        return tuple(self._known[node] for node in (self._own,) if node in self._known)

    def announce(self, key: Key, url: str, now: int) -> None:
        """Say where this node can be reached; an empty text: nowhere. Raises ConfigError."""
        if url and not is_url(url):
            raise ConfigError("The request", [Finding("url", "is http:// or https://, a host and perhaps a port")])
        self._own = key.address
        before = self._known.pop(key.address, None)
        if url:
            # One from the future was signed by a clock that was wrong; nobody believed it.
            newest = before if before and before.time <= now + CHANGES_AFTER else None
            time = max(now, newest.time + 1) if newest else now
            made = Location(url, time, key.sign_digest(self._digest(url, time)))
            self._known[key.address] = newest if newest and newest.url == url else made
        self._keep()

    def learn(self, found: Iterable[Location], nodes: Container[bytes], now: int) -> tuple[Location, ...]:
        """Take what came from others; returns what is new, signed by one of `nodes`, and not changed too soon."""
        known = set(self._known.values())
        new = tuple(each for each in found if each not in known and self._take(each, nodes, now))
        if new:
            self._keep()
        return new

    def _take(self, location: Location, nodes: Container[bytes], now: int) -> bool:
        node = self._signer(location) if location.time <= now + CHANGES_AFTER else None
        if node is None or node == self._own or node not in nodes:
            return False
        known = self._known.get(node)
        if known and (location.time <= known.time or abs(now - self._learnt.get(node, 0)) < CHANGES_AFTER):
            return False
        self._known[node], self._learnt[node] = location, now
        return True

    def url(self, node: bytes) -> str:
        """Where to look for another node; empty when that is not known.

        A place on the machine itself is none for a node that can be reached from elsewhere.
        """
        if node == self._own or node not in self._known:
            return ""
        found = self._known[node].url
        mine = self.own
        return "" if _is_inside(found) and not (mine and _is_inside(mine[0].url)) else found

    def _keep(self) -> None:
        rows = [[each.url.encode(), each.time, each.signature] for each in self._known.values()]
        self._tree.keep_note(_NOTE, rlp.encode(rows))

    def _signer(self, location: Location) -> bytes | None:
        try:
            return recover(self._digest(location.url, location.time), location.signature)
        except SignatureError:
            return None

    def _digest(self, url: str, time: int) -> bytes:
        return keccak(_DOMAIN + rlp.encode([self._tree.genesis, url.encode(), time]))


def _is_inside(url: str) -> bool:
    """Whether a URL leads to the machine that asks, or to its own wire's services."""
    host = url.partition("://")[2]
    host = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return host.rstrip(".").lower() == "localhost" or host.replace(".", "").isdigit()
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
