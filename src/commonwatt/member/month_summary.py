"""A bill on account, added up for a person as any other (`summary`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from commonwatt.accounts.document import MEASURED
from commonwatt.member.on_account import adds_up
from commonwatt.member.summary import LARGEST, Charge, Large, Moved, Proof, Summary
from commonwatt.units import minor_unit

_ENERGY = {"import": ("imported", "bought"), "export": ("exported", "sold")}


def month_summary(document: Mapping[str, Any], proof: Proof) -> Summary:
    """document : whole. Raises VerificationError where what it says of itself does not add up."""
    adds_up(document)
    content = document["content"]
    period, member = content["period"], content["member"]
    moved = tuple(_moved(content))
    largest = sorted(moved, key=lambda each: (-max(each.into, each.out), each.start))[:LARGEST]
    elsewhere = sum(line["alone"] - line["shared"] for line in content["elsewhere"])
    marks = Counter[str]()
    for register in content["registers"]:
        for word, spans in register["marked"].items():
            marks[word] += sum(last - first + 1 for first, last in spans)
    return Summary(
        member=member["id"],
        community=content["community"],
        currency=content["currency"],
        timezone=content["timezone"],
        start=period["from"],
        end=period["until"],
        slot_seconds=content["slotSeconds"],
        counted_in=sum(each.into for each in moved),
        counted_out=sum(each.out for each in moved),
        charges=tuple(_charges(content)),
        total=content["payable"] * minor_unit(content["currency"]),
        # What is not with the utility any more, at its prices: that is what the bill is instead of.
        alone=elsewhere * content.get("unit", 1),
        moved=moved,
        largest=tuple(_large(each) for each in largest if each.into or each.out),
        plants=(),
        owners=(),
        proof=proof,
        on_account=True,
        marked=tuple(sorted(marks.items())),
    )


def _moved(content: Mapping[str, Any]) -> Iterator[Moved]:
    slots = (content["period"]["until"] - content["period"]["from"]) // content["slotSeconds"]
    sums = {name: [0] * slots for pair in _ENERGY.values() for name in pair}
    for register in content.get("netted", content["registers"]):
        rest, local = _ENERGY[register["direction"]]
        for place, (wh, shared) in enumerate(zip(register["wh"], register.get("shared", [0] * slots), strict=True)):
            sums[rest][place] += wh - shared
            sums[local][place] += shared
    for place in range(slots):
        start = content["period"]["from"] + place * content["slotSeconds"]
        imported, bought, sold, exported = (sums[name][place] for name in ("imported", "bought", "sold", "exported"))
        yield Moved(start, imported, bought, 0, sold, exported, MEASURED)


def _large(moved: Moved) -> Large:
    into = moved.into >= moved.out
    local, rest = (moved.bought, moved.imported) if into else (moved.sold, moved.exported)
    parts = Counter({"the community": local, "the utility": rest})
    return Large(moved.start, into, moved.into if into else moved.out, tuple((+parts).most_common()))


def _charges(content: Mapping[str, Any]) -> Iterator[Charge]:
    cent = minor_unit(content["currency"])
    for document in content["documents"]:
        for line in document["lines"]:
            point = f" …{line['point'][-8:]}" if line["point"] else ""
            earlier = f" of {line['month']}, corrects {line['corrects']}" if "corrects" in line else ""
            name = f"{line['line']}{earlier}{point}"
            yield Charge(name, line.get("wh"), line.get("price"), mean=False, amount=line["net"] * cent)
        if document["tax"]:
            yield Charge(f"VAT of {document['number']}", None, None, mean=False, amount=document["tax"] * cent)
