"""What operators are answered."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from commonwatt.service.api.models import Told


class Member(Told):
    """A member.

    meter : in service, null where none measures the home
    mandate_until : when its mandate ends [unix s]; null where it gave none
    """

    number: int
    name: str
    bus: str | None
    account: str
    role: str
    active: bool
    meter: str | None
    mandate_until: int | None


class Roster(Told):
    """All who are or were members, by number."""

    members: list[Member]


class Meter(Told):
    """A meter in service of a member.

    since, until : for slots that start then [unix s]; until null = still
    last_slot, arrived_at : the last slot of which it has reported, and when it reported last [unix s]; both null where
        that is so long ago that it can be corrected no more
    refused : how many of its readings were refused since the exchange's start
    """

    meter: str
    member: int
    since: int
    until: int | None
    last_slot: int | None
    arrived_at: int | None
    refused: int


class Meters(Told):
    """All meters that are or were in service."""

    meters: list[Meter]


class Silent(Told):
    """A slot [start, unix s].

    missing : members with a meter of which no reading has come, by number
    settles_at : when it is settled at the latest, with what has come by then [unix s]; null once it is settled
    obstacle : why it will not be settled then; null when it will
    corrected_until : until when readings that come late still count [unix s]
    """

    slot: int
    missing: list[int]
    settles_at: int | None
    obstacle: str | None
    corrected_until: int


class Silences(Told):
    """now : the exchange's time [unix s]"""

    now: int
    slots: list[Silent]


class Refused(Told):
    """A reading that was refused at `at` [unix s], and why."""

    slot: int
    sequence: int
    at: int
    why: str


class RefusedOf(Told):
    """What was refused of one meter.

    refused : readings that it signed; last : the last of them, the newest last
    forged : how many came in its name that it did not sign
    """

    meter: str
    refused: int
    forged: int
    last: list[Refused]


class Aside(Told):
    """A register's value that is not believed.

    at : of the sample [unix ms]; register : import or export; value : [mWh], as text; why : goes on after "which"
    """

    at: int
    register_: str = Field(alias="register")
    value: str
    why: str


class AsideOf(Told):
    """What was set aside of one device. refused : how many values, since it counts; last : the newest last"""

    meter: str
    refused: int
    last: list[Aside]


class Quarantine(Told):
    """strangers : how many readings came of meters that never were in service"""

    strangers: int
    meters: list[RefusedOf]
    devices: list[AsideOf]


class Sample(Told):
    """The last value of each register [mWh] and of power [mW], positive = into the home; at : [unix ms]"""

    at: int
    import_mwh: int | None
    export_mwh: int | None
    power_mw: int | None


class Device(Told):
    """A device that cannot sign, and the address with which the box signs for it.

    since : when the box began to read it; heard_at : when its last sample came [unix s], null before the first
    trouble : why it is not listened to; not_understood : the last message that was not; null when all is well
    slots_due : slots that are counted and not stored yet, such as before the meter is registered
    import_from, export_from, power_from, unit : which figure of the device is which
    sign : import, export or unknown: the way energy flows while power is positive; it should be import
    seconds : between two samples; last : of the last messages; missing, warnings : sentences
    """

    meter: str
    driver: str
    where: str
    since: int
    heard_at: int | None
    trouble: str | None
    not_understood: str | None
    slots_due: int
    import_from: str
    export_from: str
    power_from: str
    unit: str
    sign: str
    seconds: int | None
    last: Sample | None
    missing: list[str]
    warnings: list[str]


class DevicesTold(Told):
    """All devices that the box reads."""

    devices: list[Device]


class Demand(Told):
    """A demand on the ledger, of a post.

    slot : start [unix s]
    member : whose lines are demanded, by number; null where it is where an order stands
    order : its struct hash; null where it is a member's lines
    until : last second for the answer [unix s]
    state : open, answered, void where the post was struck before, late where the time has passed
    why : why it cannot be answered; null where nothing stands in the way
    """

    slot: int
    revision: int
    member: int | None
    order: str | None
    until: int
    state: Literal["open", "answered", "void", "late"]
    why: str | None


class Demands(Told):
    """now : the exchange's time [unix s]"""

    now: int
    demands: list[Demand]


class Health(Told):
    """How the exchange is.

    now : its time [unix s]; doubt : why nothing vouches for it, null when something does
    behind : why the ledger cannot be told; trouble : why the days that come have no rules; null when all is well
    next_due : when the next gate or end of a slot is due [unix s]
    posts_not_final : how many wait for their window, for signatures, or were struck
    unsigned : gates and posts that too few operators have signed
    readings_waiting, orders_waiting : that came while the engine was busy
    listeners : open streams of events
    """

    now: int
    doubt: str | None
    behind: str | None
    trouble: str | None
    next_due: int | None
    posts_not_final: int
    unsigned: int
    readings_waiting: int
    orders_waiting: int
    listeners: int
