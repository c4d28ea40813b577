"""Meters join the broker and leave it while it runs, by commands to Mosquitto's dynamic-security plugin.

Each command saves the plugin's whole file, and the broker does nothing else meanwhile: 10 ms with 1 000 meters. So
commands go in small groups, and a broker that has lost its file is given all meters with it (`Broker.prepare`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from commonwatt.errors import BrokerError
from commonwatt.service.connection import Connection
from commonwatt.service.logins import COMMANDS, EXCHANGE, RESPONSES, Passwords, Role, meter_role
from commonwatt.service.topics import name, named

_TOGETHER: Final = 10
"""Meters in one message of commands."""
_PATIENCE: Final = 30.0
"""How long an answer may take [s]."""
_TRIES: Final = 3
_EXISTS: Final = ("Role already exists", "Client already exists")
_GONE: Final = ("Role not found", "Client not found")

Command = dict[str, Any]
Known = Mapping[str, Mapping[str, Any]]
"""By name, as the plugin describes its clients or its roles."""


@dataclass(frozen=True)
class Changes:
    """What had to be done for the broker to know a roster: meters that joined, were put right, were revoked."""

    joined: tuple[bytes, ...] = ()
    mended: tuple[bytes, ...] = ()
    revoked: tuple[bytes, ...] = ()


class Access:
    """Lets meters [addresses, 20 bytes] in and takes them out.

    connection : of the user `control`
    All methods can be called again with the same result, and raise BrokerError.
    """

    def __init__(self, connection: Connection, passwords: Passwords) -> None:
        self._connection, self._passwords = connection, passwords
        self._one_at_a_time = asyncio.Lock()

    async def join(self, meter: bytes) -> str:
        """Let a meter in at once, and return its password; one that is in already stays connected."""
        user = name(meter)
        client, role = await self._do(
            [{"command": "getClient", "username": user}, {"command": "getRole", "rolename": user}], _GONE
        )
        clients = {user: client["data"]["client"]} if "data" in client else {}
        roles = {user: role["data"]["role"]} if "data" in role else {}
        await self._do(self._towards(meter_role(meter), clients, roles), _EXISTS)
        return self._passwords.of(user)

    async def revoke(self, meter: bytes) -> None:
        """Take a meter out; it is disconnected at once."""
        await self._do(_out(name(meter)), _GONE)

    async def meters(self) -> tuple[bytes, ...]:
        """All that are let in, by address."""
        clients, _ = await self._listed()
        return tuple(sorted(meter for user in clients if (meter := named(user)) is not None))

    async def reconcile(self, roster: Collection[bytes], others: Collection[Role] = ()) -> Changes:
        """Let in whom the broker lacks, put right who may do something else, take out whom it has too much.

        others : roles beside those of meters that sign; one that is called as such a meter takes its place
        Who is right stays connected. Users that are neither meters nor among these are left alone.
        """
        clients, roles = await self._listed()
        wanted = {role.name: role for role in (EXCHANGE, *map(meter_role, sorted(roster)), *others)}
        needed = {user: self._towards(role, clients, roles) for user, role in wanted.items()}
        known = {meter for user in (*clients, *roles) if (meter := named(user)) is not None and user not in wanted}
        surplus = sorted(known)
        await self._do_all([*needed.values()], _EXISTS)
        await self._do_all([_out(name(meter)) for meter in surplus], _GONE)
        wrong = [meter for user, commands in needed.items() if commands and (meter := named(user)) is not None]
        joined = tuple(meter for meter in wrong if name(meter) not in clients)
        mended = tuple(meter for meter in wrong if name(meter) in clients)
        return Changes(joined, mended, tuple(surplus))

    async def _listed(self) -> tuple[Known, Known]:
        """All clients and all roles."""
        asked: list[Command] = [
            {"command": each, "verbose": True, "count": -1} for each in ("listClients", "listRoles")
        ]
        clients, roles = await self._do(asked)
        return (
            {each["username"]: each for each in clients["data"]["clients"]},
            {each["rolename"]: each for each in roles["data"]["roles"]},
        )

    def _towards(self, role: Role, clients: Known, roles: Known) -> list[Command]:
        """What brings a role, and the user of the same name who has it alone, to what they should be."""
        commands: list[Command] = []
        acls = role.acls()
        if role.name not in roles:
            commands.append({"command": "createRole", "rolename": role.name, "acls": acls})
        elif _set(roles[role.name].get("acls", ())) != _set(acls):
            commands.append({"command": "modifyRole", "rolename": role.name, "acls": acls})
        user = {"username": role.name, "password": self._passwords.of(role.name), "roles": [{"rolename": role.name}]}
        if (client := clients.get(role.name)) is None:
            commands.append({"command": "createClient", **user})
        elif _holds(client) != [role.name] or client.get("groups") or client.get("disabled"):
            commands.append({"command": "modifyClient", "groups": [], **user})
            commands.append({"command": "enableClient", "username": role.name})
        return commands

    async def _do_all(self, each: Sequence[Sequence[Command]], harmless: Collection[str]) -> None:
        """Commands for many meters, a few of these at a time."""
        due = [commands for commands in each if commands]
        for start in range(0, len(due), _TOGETHER):
            await self._do([command for commands in due[start : start + _TOGETHER] for command in commands], harmless)

    async def _do(self, commands: Sequence[Command], harmless: Collection[str] = ()) -> list[Mapping[str, Any]]:
        """The plugin's answers, one for each command. harmless : its errors that leave things as they should be

        Another control, such as a command in a shell, ends this one's connection, so it tries again.
        """
        if not commands:
            return []
        for attempt in range(1, _TRIES + 1):
            try:
                answers = await self._ask(commands)
            except BrokerError:
                if attempt == _TRIES:
                    raise
                await asyncio.sleep(attempt)
            else:
                break
        for answer in answers:
            if (error := answer.get("error", "")) and error not in harmless:
                place = self._connection.place
                raise BrokerError(place, f"The broker at {place} refuses {answer.get('command')}: {error}.")
        return answers

    async def _ask(self, commands: Sequence[Command]) -> list[Mapping[str, Any]]:
        self._connection.require_packages()
        import aiomqtt

        async with self._one_at_a_time:
            try:
                async with self._connection.client() as client, asyncio.timeout(_PATIENCE):
                    await client.subscribe(RESPONSES, qos=1)
                    await client.publish(COMMANDS, json.dumps({"commands": list(commands)}))
                    answers = json.loads((await anext(client.messages)).payload)["responses"]
            except aiomqtt.MqttError as error:
                raise self._connection.refused(error) from None
            except TimeoutError:
                place = self._connection.place
                sentence = f"The broker at {place} does not answer commands: is its plugin dynamic-security loaded?"
                raise BrokerError(place, sentence) from None
        if len(answers) != len(commands):
            place = self._connection.place
            raise BrokerError(place, f"The broker at {place} answers {len(answers)} of {len(commands)} commands.")
        return list(answers)


def _out(user: str) -> list[Command]:
    return [{"command": "deleteClient", "username": user}, {"command": "deleteRole", "rolename": user}]


def _holds(client: Mapping[str, Any]) -> list[str]:
    """The roles that a client has."""
    return [each["rolename"] for each in client.get("roles", ())]


def _set(acls: Sequence[Mapping[str, Any]]) -> set[tuple[str, str, bool]]:
    return {(each["acltype"], each["topic"], each["allow"]) for each in acls}
