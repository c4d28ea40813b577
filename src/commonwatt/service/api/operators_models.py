"""What operators are answered."""

from __future__ import annotations

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


class Quarantine(Told):
    """strangers : how many readings came of meters that never were in service"""

    strangers: int
    meters: list[RefusedOf]


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
