"""Commands of a community's own chain. Every heavy import happens inside the command that needs it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from commonwatt.cli.chain_queries import account, block, blocks, tx, utc
from commonwatt.cli.options import Whole, addresses, one_address
from commonwatt.cli.solo import LAST_PORT, needs_http, run
from commonwatt.errors import ConfigError, Finding
from commonwatt.plain import many, plain

if TYPE_CHECKING:
    from commonwatt.ledger.node import Block

app = App(name="chain", help="The community's own chain: nodes, ways to agree, proof of a file.")

for each in (blocks, block, tx, account, run):
    app.command(each)

Kind = Literal["poa", "pow", "pos"]
Addresses = Annotated[list[str] | None, Parameter(negative="")]
_HOST = "127.0.0.1"
_MOST_CHAINS = 100


@app.command
def init(
    folder: Path,
    *,
    consensus: Kind = "poa",
    nodes: Whole = 3,
    member: Addresses = None,
    reader: Addresses = None,
    chain_id: Whole = 2024,
    period: Whole = 5,
    ether: Whole = 1000,
    gas_limit: Whole = 10_000_000,
) -> None:
    """Begin a network: write its genesis.json, and a key for each of its first nodes.

    Example: commonwatt chain init village-chain --consensus poa --nodes 3

    Parameters
    ----------
    folder
        Where genesis.json and the key files go. Each member gets genesis.json and nobody else's key.
    consensus
        poa: members take turns; pow: most work; pos: drawn by voting tokens.
    nodes
        Keys to make here.
    member
        Address of a member whose key was made elsewhere, with `commonwatt chain key`; repeatable.
    reader
        Address of a node that may read and not seal; repeatable.
    chain_id
        The number that transactions are signed for; at most 4503599627370476, the highest that MetaMask takes.
    period
        Seconds between blocks.
    ether
        What each member holds at the beginning.
    gas_limit
        Gas of a block; 21000 is a transfer.
    """
    import time

    from commonwatt.ledger.keyfile import new_key
    from commonwatt.ledger.network.genesis import LEAST_BASE_FEE
    from commonwatt.ledger.network.setup import GENESIS_FILE, consensus_table, new_network
    from commonwatt.proof.keys import checksum_address

    if not 0 <= nodes <= 100:
        raise ConfigError("The request", [Finding("nodes", "are at most 100")])
    if consensus == "pos" and member:
        raise ConfigError("The request", [Finding("member", "is for poa and pow; with pos, edit genesis.json")])
    keys = [new_key() for _ in range(nodes)]
    members = [*(checksum_address(key.address) for key in keys), *(member or [])]
    document = {
        "chain_id": chain_id,
        "time": int(time.time()),
        "gas_limit": gas_limit,
        "base_fee": LEAST_BASE_FEE,
        "consensus": consensus_table(consensus, period, keys),
        "members": members,
        "readers": reader or [],
        "balances": {address: str(ether * 10**18) for address in members},
    }
    files = new_network(folder, document, keys)
    print(f"{folder / GENESIS_FILE}: chain {chain_id}, {consensus}, {many(len(members), 'member')}.")
    for path, key in zip(files, keys, strict=True):
        print(f"{path}: the key of {checksum_address(key.address)}")


@app.command
def key(file: Path) -> None:
    """Make a key for a node, in a file that only its owner can read, and print its address.

    Example: commonwatt chain key my-node.key

    Parameters
    ----------
    file
        Where the key goes; there must be no file yet.
    """
    from commonwatt.ledger.keyfile import new_key, write_key
    from commonwatt.proof.keys import checksum_address

    made = new_key()
    write_key(file, made)
    print(checksum_address(made.address))


@app.command
def tip(key: Path, *, number: Whole = 0, secrets: Whole = 1 << 20) -> None:
    """Print the tip of a node's hash chain, which the network must know before the node seals by stake.

    Example: commonwatt chain tip my-node.key

    Parameters
    ----------
    key
        The node's key file.
    number
        Which of its hash chains; the next one when this one is used up. One that was used is never published again.
    secrets
        Blocks that a chain lasts for, as genesis.json says.
    """
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.ledger.network.consensus.hash_chain import HashChain

    if not 0 <= number < _MOST_CHAINS:
        raise ConfigError("The request", [Finding("number", f"is from 0 to {_MOST_CHAINS - 1}, not {number}")])
    if not 1 <= secrets <= 1 << 24:
        raise ConfigError("The request", [Finding("secrets", f"are from 1 to {1 << 24}, not {secrets}")])
    print(f"0x{HashChain.derive(read_key(key), number, secrets).tip.hex()}")


@app.command
def node(
    genesis: Path,
    *,
    key: Path,
    file: Path = Path("chain.sqlite"),
    listen: str = f"{_HOST}:8545",
    peer: Annotated[list[str] | None, Parameter(negative="")] = None,
    url: str = "",
    allow: Addresses = None,
    admit: Addresses = None,
    remove: Addresses = None,
    seal: bool = True,
    hash_chains: Whole = 1,
    rpc: Literal["local", "readers", "members", "open", "off"] = "local",
    senders: Literal["all", "members"] = "all",
    community: str = "",
    name: Annotated[list[str] | None, Parameter(negative="")] = None,
    origin: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> None:
    """Run a node until it is interrupted; one line per event.

    Example: commonwatt chain node village-chain/genesis.json --key village-chain/node-1.key --peer http://192.168.1.7:8545

    Parameters
    ----------
    genesis
        The network's genesis.json.
    key
        The node's key file. A member's key seals blocks, a reader's only reads.
    file
        The node's chain; made when it is not there.
    listen
        Address and port for other nodes and wallets.
    peer
        URL of another node; repeatable.
    url
        Where other nodes reach this one; without it they are answered when this node asks.
    allow
        Address of a further node that may read; repeatable.
    admit
        poa: vote for a new authority; repeatable.
    remove
        poa: vote against an authority; repeatable.
    seal
        Whether the node seals blocks by itself; --no-seal leaves that to mine_block.
    hash_chains
        pos: how many of its hash chains the node holds; 2 once the operators publish the tip of the second one.
    rpc
        Whom JSON-RPC answers: programs on this machine, requests signed with a node's key, these and such of active
        members, whoever can reach it, or nobody.
    senders
        Whose transactions this node takes: anybody's, or those of active members, operators and nodes.
    community
        Address of the contract Community, which says who is a member.
    name
        A name by which wallets call this node, beside localhost; repeatable.
    origin
        A page that may ask from a browser, such as https://example.org; repeatable.
    """
    needs_http()
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.ledger.network.running import Setting, run

    if not 1 <= hash_chains <= _MOST_CHAINS:
        raise ConfigError("The request", [Finding("hash_chains", f"is from 1 to {_MOST_CHAINS}, not {hash_chains}")])
    host, port = _endpoint(listen)
    if "members" in (rpc, senders) and not community:
        raise ConfigError("The request", [Finding("community", "says whose members; name its contract's address")])
    run(
        Setting(
            genesis=genesis, key=read_key(key), file=file, host=host, port=port, peers=tuple(peer or ()), url=url,
            allowed=addresses("allow", allow), admit=addresses("admit", admit), remove=addresses("remove", remove),
            seals=seal, hash_chains=hash_chains, rpc=rpc, senders=senders,
            community=one_address("community", community) if community else None, names=tuple(name or ()),
            origins=tuple(origin or ()),
        ),
        lambda line: print(plain(line), flush=True),
    )  # fmt: skip


@app.command
def serve(
    file: Path,
    *,
    port: Whole = 8545,
    origin: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> None:
    """Show a finished chain as a node, for `verify --ledger`, wallets and explorers on this machine, until interrupted.

    Example: commonwatt chain serve commonwatt-demo/ledger.sqlite --port 8545

    Parameters
    ----------
    file
        The chain, such as the ledger.sqlite of a simulated day; it is only read, and takes no transactions.
    port
        Where the node answers; 0 lets the system choose.
    origin
        A page that may ask from a browser, such as http://localhost:5100; repeatable.
    """
    needs_http()
    from commonwatt.ledger.network.finished import serve as show

    if not 0 <= port <= LAST_PORT:
        raise ConfigError("The request", [Finding("port", f"is from 0 to {LAST_PORT}, not {port}")])

    def started(url: str, chain_id: int, head: Block) -> None:
        print(
            plain(
                f"{url} shows chain {chain_id} of {file} as it ended: block {head.number}, {utc(head.timestamp)} UTC. "
                "It is only read. Ctrl-C ends it."
            ),
            flush=True,
        )

    show(file, port, tuple(origin or ()), started)
    print("stopped")


@app.command
def vote(url: str, *, key: Path, admit: str = "", remove: str = "", withdraw: str = "") -> None:
    """Vote, through a node that runs on this machine, on who is an authority (poa).

    Example: commonwatt chain vote http://127.0.0.1:8545 --key my.key --admit 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed

    Parameters
    ----------
    url
        Where the node answers.
    key
        The node's key file, which shows that its operator asks.
    admit
        Address to vote for.
    remove
        Address of an authority to vote against.
    withdraw
        Address on which the node's vote is taken back, as long as it has not taken effect.
    """
    needs_http()
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.ledger.network.running import ask_vote

    asked = {name: text for name, text in (("admit", admit), ("remove", remove), ("withdraw", withdraw)) if text}
    if len(asked) != 1:
        raise ConfigError("The request", [Finding("vote", "needs one of --admit, --remove and --withdraw")])
    ((what, text),) = asked.items()
    (candidate,) = addresses(what, [text])
    print(ask_vote(url, read_key(key), what, candidate))


@app.command
def status(where: str) -> None:
    """Say where a chain ends: of a node's file, or of a node that runs on this machine.

    Example: commonwatt chain status chain.sqlite

    Parameters
    ----------
    where
        The node's file, or its URL such as http://127.0.0.1:8545.
    """
    if re.match(r"https?://", where):
        needs_http()
        from commonwatt.ledger.network.running import ask_status

        for name, value in ask_status(where).items():
            told = f"{utc(value)} UTC" if name == "time" and isinstance(value, int) else value
            print(plain(f"{name}: {told}"))
        return
    from commonwatt.ledger.chain.reader import Reader
    from commonwatt.ledger.chain.store import Store

    store = Store(Path(where), read_only=True)
    try:
        found = Reader(store, where)
        head = found.head
        print(f"chain {found.chain_id}: block {head.number}, 0x{head.hash.hex()}, {utc(head.timestamp)} UTC")
    finally:
        store.close()


@app.command
def verify(file: Path, *, genesis: Path) -> None:
    """Prove a node's file: execute every block again from the genesis, and compare.

    Example: commonwatt chain verify chain.sqlite --genesis village-chain/genesis.json

    Parameters
    ----------
    file
        The node's chain; the node may run meanwhile.
    genesis
        The network's genesis.json.
    """
    from commonwatt.ledger.network.genesis import read
    from commonwatt.ledger.network.verify import verify as prove

    found = prove(file, read(genesis))
    print(
        f"{file} is proved: {many(found.blocks, 'block')} with {many(found.transactions, 'transaction')}, executed "
        f"from the genesis, give the head 0x{found.head.hex()}."
    )


@app.command
def demo(*, consensus: Kind = "poa") -> None:
    """Three nodes on this machine: ten trades, a partition that heals, a forged block that is refused.

    Example: commonwatt chain demo --consensus pow

    Parameters
    ----------
    consensus
        How the nodes agree.
    """
    needs_http()
    from commonwatt.ledger.network.demo import demo as show

    show(consensus, lambda line: print(line, flush=True))


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > LAST_PORT:
        raise ConfigError("The request", [Finding("listen", f"is an address and a port, such as {_HOST}:8545")])
    return host.strip("[]"), int(port)
