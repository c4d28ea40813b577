"""A run that is killed at any moment goes on as if nothing had been: same chain, same store, same bills."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import (
    BILATERAL,
    COMMUNITY,
    HEAD,
    LISTINGS,
    MEMBERS,
    POOLS,
    START,
    TARIFF,
    Forks,
    all_rows,
    begin,
    exchange_of,
    homes_of,
    short_days,
    snapshot,
    written,
)
from ledger_cases import SOAK

from commonwatt.errors import LedgerError, StoreError
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.ledger.node import Block
from commonwatt.simulation.api import simulate

# With a challenge window, so that posts wait for two slots and are finalised apart from their own slot.
WINDOW = '\n[ledger]\nwindow = "2h"\n'
TEXT = COMMUNITY + WINDOW
Order = dict[str, Any]

FOUNDING, EXCHANGE, OUTBOX, CLIENT, CHAIN, STORE, WRITING = (
    f"commonwatt.{name}"
    for name in ("exchange.founding", "exchange.laboratory", "exchange.outbox", "ledger.client.settlement",
                 "ledger.chain.embedded", "exchange.store", "exchange.writing")
)  # fmt: skip
MOMENTS: dict[str, list[Any]] = {
    "before the community is founded": [FOUNDING, "open_node", 1, "before"],
    "with an empty chain": [FOUNDING, "open_node", 1, "after"],
    "between contracts and deposits": [CLIENT, "LedgerClient.deposit_for", 1, "before"],
    "founded on the chain, unknown to the store": [FOUNDING, "found", 1, "after"],
    "among the mandates": [WRITING, "write_mandates", 1, "after"],
    "founded, before the first gate": [EXCHANGE, "Laboratory.close_gate", 1, "before"],
    "within the gate's transaction": [WRITING, "write_gate", 1, "after"],
    "gate in the store, not on the chain": [OUTBOX, "Outbox.commit", 1, "before"],
    "gate on the chain": [OUTBOX, "Outbox.commit", 1, "after"],
    "after the first slot's flows": [STORE, "add", 4, "before"],
    "within a slot's transaction": [WRITING, "write_slot", 3, "after"],
    "slot in the store, not on the chain": [OUTBOX, "Outbox.post", 4, "before"],
    "slot posted": [CLIENT, "LedgerClient.post", 5, "after"],
    "before a slot is final": [CLIENT, "LedgerClient.finalise_all", 4, "before"],
    "a slot is final": [CLIENT, "LedgerClient.finalise_all", 4, "after"],
    "while a block is sealed": [CHAIN, "EmbeddedChain._execute", 14, "after"],
    "last slots wait for their windows": [CLIENT, "LedgerClient.finalise_all", 7, "before"],
    "everything final, bills not anchored": [OUTBOX, "Outbox.anchor", 1, "before"],
    "bills anchored": [OUTBOX, "Outbox.anchor", 1, "after"],
}


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    with short_days():
        yield


@pytest.fixture(scope="module")
def undisturbed(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run that nobody kills leaves behind, where, and how long it took [s]."""
    return left_alone(forks, tmp_path_factory.mktemp("undisturbed"), TEXT)


@pytest.fixture(scope="module")
def planned(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same of a day of several stages whose batteries follow what was agreed at the gate."""
    text = HEAD + TARIFF + BILATERAL + LISTINGS + POOLS + MEMBERS + WINDOW
    return left_alone(forks, tmp_path_factory.mktemp("planned"), text)


@pytest.fixture(scope="module")
def learning(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same of a day whose orders come from agents that remember."""
    text = TEXT.replace('"fixed"', '"uniform"').replace('price = "0.20"\n', "")
    text = text.replace("[defaults]", '[defaults]\nagent = "zip"')
    return left_alone(forks, tmp_path_factory.mktemp("learning"), text)


SILENCE = '\n[simulation]\nlate = "25 %"\nsilent = "5 %"\n'
CORRECTIONS: dict[str, list[Any]] = {
    "within a slot's transaction": [WRITING, "write_slot", 6, "after"],
    "before a correction": [EXCHANGE, "Laboratory.correct", 1, "before"],
    "within a correction's transaction": [WRITING, "write_correction", 1, "after"],
    "correction in the store, not on the chain": [OUTBOX, "Outbox.post", 9, "before"],
    "correction posted": [CLIENT, "LedgerClient.post", 10, "after"],
    "a correction of a correction": [WRITING, "write_correction", 6, "after"],
    "last corrections wait for their windows": [CLIENT, "LedgerClient.finalise_all", 12, "before"],
}


@pytest.fixture(scope="module")
def corrected(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same of a day some of whose readings come late, or never."""
    return left_alone(forks, tmp_path_factory.mktemp("corrected"), TEXT + SILENCE)


def left_alone(forks: Forks, folder: Path, text: str) -> dict[str, Any]:
    file = written(folder, text)
    answer = forks({"file": str(file), "out": str(folder / "out")})
    assert (answer["killed"], answer["code"]) == (False, 0)
    said, seconds = json.loads((folder / "out.json").read_text()), answer["seconds"]
    return {"file": file, "said": said, "tables": all_rows(folder / "out"), "seconds": seconds}


def survive(forks: Forks, undisturbed: dict[str, Any], out: Path, deaths: list[Order]) -> int:
    """Kill one run again and again, let it finish, and compare; returns how often it died."""
    order = {"file": str(undisturbed["file"]), "out": str(out)}
    died = 0
    for death in deaths:
        answer = forks(order | death)
        assert answer["killed"] or answer["code"] == 0
        died += answer["killed"]
    assert forks(order)["code"] == 0
    said = json.loads(out.with_suffix(".json").read_text())
    assert said | {"statements": 0} == undisturbed["said"] | {"statements": 0}
    assert all_rows(out) == undisturbed["tables"]
    shutil.rmtree(out)
    return died


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_a_telling_moment_ends_like_any_other(
    forks: Forks, undisturbed: dict[str, Any], tmp_path: Path, moment: str
) -> None:
    assert survive(forks, undisturbed, tmp_path / "out", [{"call": MOMENTS[moment]}]) == 1


@pytest.mark.parametrize(
    "moment",
    [
        "within the gate's transaction",
        "gate on the chain",
        "within a slot's transaction",
        "slot posted",
        "last slots wait for their windows",
    ],
)
def test_a_day_whose_batteries_follow_a_plan_ends_like_any_other(
    forks: Forks, planned: dict[str, Any], tmp_path: Path, moment: str
) -> None:
    assert survive(forks, planned, tmp_path / "out", [{"call": MOMENTS[moment]}]) == 1
    assert {row[3] for row in planned["tables"]["trades"]} == {0, 1, 2, 3}


@pytest.mark.parametrize("moment", ["within the gate's transaction", "gate in the store, not on the chain"])
def test_a_day_whose_agents_learn_ends_like_any_other(
    forks: Forks, learning: dict[str, Any], tmp_path: Path, moment: str
) -> None:
    assert survive(forks, learning, tmp_path / "out", [{"call": MOMENTS[moment]}]) == 1
    assert len(learning["tables"]["memories"]) == 5


@pytest.mark.parametrize("moment", CORRECTIONS)
def test_a_day_with_late_readings_killed_at_a_telling_moment_ends_like_any_other(
    forks: Forks, corrected: dict[str, Any], tmp_path: Path, moment: str
) -> None:
    assert survive(forks, corrected, tmp_path / "out", [{"call": CORRECTIONS[moment]}]) == 1
    revisions = [row[1] for row in corrected["tables"]["posts"]]
    assert len(revisions) > 12
    assert max(revisions) > 1


@pytest.mark.parametrize("number", range(24 if SOAK else 2))
def test_a_day_with_late_readings_killed_at_random_statements_ends_like_any_other(
    forks: Forks, corrected: dict[str, Any], tmp_path: Path, number: int
) -> None:
    rng, statements, lives = random.Random(number), corrected["said"]["statements"], 2 + number % 3  # noqa: S311
    deaths = [{"statement": rng.randint(1, statements // lives)} for _ in range(lives)]
    assert survive(forks, corrected, tmp_path / "out", deaths) == lives


@pytest.mark.parametrize("number", range(48 if SOAK else 4))
def test_a_run_killed_at_random_statements_ends_like_any_other(
    forks: Forks, undisturbed: dict[str, Any], tmp_path: Path, number: int
) -> None:
    rng, statements, lives = random.Random(number), undisturbed["said"]["statements"], 1 + number % 4  # noqa: S311
    assert statements > 300
    # Each life of the process is a part of the run, so several deaths in a row fall into one run; none outlives it.
    deaths = [{"statement": rng.randint(1, statements // lives)} for _ in range(lives)]
    assert survive(forks, undisturbed, tmp_path / "out", deaths) == lives


@pytest.mark.parametrize("number", range(12 if SOAK else 2))
def test_a_run_killed_from_outside_ends_like_any_other(
    forks: Forks, undisturbed: dict[str, Any], tmp_path: Path, number: int
) -> None:
    rng = random.Random(number)  # noqa: S311
    # A third of the run at most; on a machine that is quieter by now it may end before, so it is killed earlier then.
    shares = [rng.uniform(0.01, 0.3) for _ in range(3)]
    for attempt in range(8):
        deaths = [{"after": share * undisturbed["seconds"] / 2**attempt} for share in shares]
        if survive(forks, undisturbed, tmp_path / f"out{attempt}", deaths) >= 2:
            return
    pytest.fail("It always ended before it was killed.")


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Copies of both files after the gate, after five slots and at the end."""
    folder = tmp_path_factory.mktemp("stages")
    copies = {}
    for name, events in (("gate", 1), ("noon", 6), ("end", 9)):
        simulation = begin(folder, TEXT)
        while simulation.exchange.done + 1 < events:
            simulation.advance()
        if name == "end":
            simulation.run()
        simulation.close()
        copies[name] = Path(shutil.copytree(folder / "out", folder / name))
    copies["file"] = folder / "community.toml"
    return copies


@pytest.mark.parametrize(("store", "ledger"), [("noon", "gate"), ("end", "gate"), ("end", "noon"), ("noon", "noon")])
def test_a_ledger_that_is_behind_is_told_everything_again(
    stages: dict[str, Path], undisturbed: dict[str, Any], tmp_path: Path, store: str, ledger: str
) -> None:
    shutil.copy(stages[store] / "exchange.sqlite", tmp_path)
    shutil.copy(stages[ledger] / "ledger.sqlite", tmp_path)
    result = simulate(stages["file"], START, 1, out=tmp_path)
    assert snapshot(result) == {key: undisturbed["said"][key] for key in snapshot(result)}
    result.close()
    assert all_rows(tmp_path) == undisturbed["tables"]


@pytest.mark.parametrize(("store", "ledger"), [("gate", "noon"), ("gate", "end")])
def test_a_ledger_that_is_ahead_is_left_as_it_is_when_the_way_differs(
    stages: dict[str, Path], tmp_path: Path, store: str, ledger: str
) -> None:
    """Its balances already hold later slots, so a poor member may be let do what it was refused, or the reverse."""
    shutil.copy(stages[store] / "exchange.sqlite", tmp_path)
    shutil.copy(stages[ledger] / "ledger.sqlite", tmp_path)
    with pytest.raises(LedgerError, match=r"The chain holds another post of slot [0-9]+ than the exchange's file"):
        simulate(stages["file"], START, 1, out=tmp_path)
    assert head(tmp_path) == head(stages[ledger])


def test_a_ledger_that_is_ahead_is_caught_up_with_when_all_can_pay(tmp_path: Path) -> None:
    text = TEXT.replace('collateral = "0.05"', 'collateral = "20"')
    early, late = begin(tmp_path / "early", text), begin(tmp_path / "late", text)
    for simulation, events in ((early, 3), (late, 7)):
        for _ in range(events):
            simulation.advance()
        simulation.close()
    shutil.copy(tmp_path / "early" / "out" / "exchange.sqlite", tmp_path / "late" / "out")
    said = []
    for name in ("early", "late"):
        result = simulate(tmp_path / name / "community.toml", START, 1, out=tmp_path / name / "out")
        said.append(snapshot(result))
        result.close()
    assert said[0] == said[1]


def head(folder: Path) -> Block:
    with EmbeddedChain(folder / "ledger.sqlite", read_only=True) as chain:
        return chain.head


@pytest.mark.parametrize(
    ("missing", "kept", "sentence"),
    [
        ("exchange.sqlite", "ledger.sqlite", "ledger.sqlite is there without its exchange.sqlite; put that back"),
        ("ledger.sqlite", "exchange.sqlite", "ledger.sqlite is missing; put it back"),
    ],
)
def test_neither_file_is_made_anew_beside_the_other(
    stages: dict[str, Path], tmp_path: Path, missing: str, kept: str, sentence: str
) -> None:
    folder = Path(shutil.copytree(stages["noon"], tmp_path / "out"))
    (folder / missing).unlink()
    before = (folder / kept).read_bytes()
    with pytest.raises(StoreError, match=re.escape(sentence)):
        simulate(stages["file"], START, 1, out=folder)
    assert (folder / kept).read_bytes() == before
    result = simulate(stages["file"], START, 1, out=folder, fresh=True)
    result.close()


def test_two_processes_never_work_on_one_run(stages: dict[str, Path], tmp_path: Path) -> None:
    file = written(tmp_path, TEXT)
    first = begin(tmp_path, TEXT)
    first.advance()
    with pytest.raises(StoreError, match="is open in this process"):
        simulate(file, START, 1, out=tmp_path / "out")
    first.advance()
    first.close()


def test_a_post_that_a_demand_holds_is_not_forgotten_when_a_later_one_is_final(tmp_path: Path) -> None:
    """Anybody may apply the later one, and the run ends then."""
    run = begin(tmp_path, TEXT)
    exchange = exchange_of(run)
    while len(exchange.outbox.pending) < 2:
        run.advance()
    held, later = exchange.outbox.pending[:2]
    client, keys = exchange.client, homes_of(run).keys
    DemandsClient(client).demand(keys.members[0], held.post, 0, at=client.node.head.timestamp + 1)
    client.finalise(later.post, later.deltas, at=later.post.slot + 3_601 + 7_200)
    run.close()
    again = begin(tmp_path, TEXT)
    assert exchange_of(again).outbox.pending[0].post == held.post
    again.close()
