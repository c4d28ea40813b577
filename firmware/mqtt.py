"""An MQTT 3.1.1 client over asyncio streams, as much of it as a meter needs: QoS 0 and 1, a last will, TLS.

One client for the ESP32 and for the unix port, which has none of its own.
Source: MQTT Version 3.1.1, OASIS Standard, 2014.
"""

import asyncio

KEEPALIVE_S = 30
# How long the broker may take for an answer; a meter's Wi-Fi may be slow, and nothing waits for it but the next try.
ANSWER_S = 20
# Nothing that a meter has to read is longer, and what is would fill its memory: it is thrown away, but acknowledged, or
# the broker would bring it again after each new connection.
LARGEST = 4096

_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _PINGREQ = 1, 2, 3, 4, 8, 9, 12
_REFUSALS = {
    1: "it does not speak MQTT 3.1.1",
    2: "it does not take this client's name",
    3: "it is not ready",
    4: "user or password is wrong",
    5: "this user may not connect",
}


class Client:
    """A client of one broker. Everything that goes wrong with the connection is an OSError.

    address : host and port
    name : the client's identifier; the broker keeps what is sent to it with QoS 1 while it is away
    will : topic and payload that the broker publishes, retained, when the connection breaks
    heard : called with topic, payload and whether it was retained, for each message
    tls : None, or what `ssl.SSLContext` gave and the name in the broker's certificate
    """

    def __init__(self, address, name, user, password, will, heard, tls=None):
        self._address, self._tls, self._heard = address, tls, heard
        self._hello = _connect(name, user, password, will)
        self._writer = None
        self._sending = asyncio.Lock()
        self._last = 0
        self._waiting = {}

    async def session(self, topics, begun):
        """One connection: subscribe to topics, which are pairs with QoS, call `begun`, and go on until it breaks."""
        writer, tasks, end = None, (), _Waiting()
        try:
            reader, writer = await asyncio.wait_for(self._open(), ANSWER_S)
            await asyncio.wait_for(self._greet(reader, writer), ANSWER_S)
            self._writer = writer
            parts = self._listen(reader), self._speak(topics, begun)
            tasks = [asyncio.create_task(_until_it_breaks(part, end)) for part in parts]
            await end.event.wait()
            raise OSError(end.answer)
        except (EOFError, ValueError, asyncio.TimeoutError) as error:
            raise OSError(_sentence(error))
        finally:
            self._writer = None
            for task in tasks:
                task.cancel()
            self._give_up()
            if writer is not None:
                # This closes the socket; `close` does nothing in MicroPython.
                await writer.wait_closed()

    async def publish(self, topic, payload, qos=0, retain=False):
        """Send payload [bytes]; with QoS 1, wait until the broker has it."""
        number = self._number() if qos else 0
        body = _text(topic) + (number.to_bytes(2, "big") if qos else b"") + payload
        await self._send(_PUBLISH, qos << 1 | retain, body, number)

    async def subscribe(self, topics):
        """Ask for what is published on topics, which are pairs with QoS."""
        number = self._number()
        body = number.to_bytes(2, "big") + b"".join(_text(topic) + bytes((qos,)) for topic, qos in topics)
        answer = await self._send(_SUBSCRIBE, 2, body, number)
        refused = [topic for (topic, _), code in zip(topics, answer) if code == 0x80]
        if refused:
            raise OSError("The broker lets this meter not listen to " + ", ".join(refused) + ".")

    async def _open(self):
        host, port = self._address
        if self._tls is None:
            return await asyncio.open_connection(host, port)
        context, name = self._tls
        return await asyncio.open_connection(host, port, ssl=context, server_hostname=name)

    async def _greet(self, reader, writer):
        writer.write(self._hello)
        await writer.drain()
        kind, _, body = await _packet(reader)
        if kind != _CONNACK or len(body) != 2:
            raise OSError("What was called does not answer as an MQTT broker.")
        if body[1]:
            raise OSError("The broker refuses this meter: " + _REFUSALS.get(body[1], "it does not say why") + ".")

    async def _listen(self, reader):
        while True:
            await self._take(*await asyncio.wait_for(_packet(reader), 2 * KEEPALIVE_S))

    async def _speak(self, topics, begun):
        """What is done beside listening: subscribe, tell the caller, then keep the connection alive."""
        await self.subscribe(topics)
        begun()
        while True:
            await asyncio.sleep(KEEPALIVE_S // 2)
            await self._send(_PINGREQ, 0, b"", 0)

    async def _take(self, kind, flags, body):
        if kind == _PUBLISH:
            end = 2 + int.from_bytes(body[:2], "big")
            qos = flags >> 1 & 3
            payload = end + 2 if qos else end
            if len(body) > LARGEST:
                print("A message on", body[2:end].decode(), "is longer than a meter takes.")
            else:
                self._heard(body[2:end].decode(), body[payload:], bool(flags & 1))
            if qos:
                await self._send(_PUBACK, 0, body[end:payload], 0)
        elif kind in (_PUBACK, _SUBACK):
            waiting = self._waiting.pop(int.from_bytes(body[:2], "big"), None)
            if waiting:
                waiting.answer = body[2:]
                waiting.event.set()

    async def _send(self, kind, flags, body, number):
        """Send a packet; with a number, return what the broker answers to it."""
        writer = self._writer
        if writer is None:
            raise OSError("There is no connection to the broker.")
        waiting = _Waiting()
        if number:
            self._waiting[number] = waiting
        async with self._sending:
            try:
                writer.write(_framed(kind, flags, body))
                await writer.drain()
            except ValueError as error:
                raise OSError(_sentence(error))
        if not number:
            return b""
        try:
            await asyncio.wait_for(waiting.event.wait(), ANSWER_S)
        except asyncio.TimeoutError:
            self._waiting.pop(number, None)
            raise OSError("The broker did not answer in time.")
        if waiting.answer is None:
            raise OSError("The connection to the broker broke.")
        return waiting.answer

    def _number(self):
        self._last = self._last % 65535 + 1
        return self._last

    def _give_up(self):
        """Nobody waits any longer for answers of a connection that is gone."""
        for waiting in self._waiting.values():
            waiting.event.set()
        self._waiting = {}


class _Waiting:
    """Somebody who waits for the broker's answer, or for the end; an answer of None says that none will come."""

    def __init__(self):
        self.event, self.answer = asyncio.Event(), None


async def _until_it_breaks(part, end):
    """Run a part of the session; the first that fails ends all."""
    try:
        await part
    except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
        end.answer = end.answer or _sentence(error)
        end.event.set()


def _sentence(error):
    if isinstance(error, EOFError):
        return "The broker closed the connection."
    if isinstance(error, asyncio.TimeoutError):
        return "The broker did not answer in time."
    if isinstance(error, OSError):
        return str(error)
    # Streams over TLS raise ValueError for a certificate that is not the right one, with lines for each fault.
    return "This is not the broker that was meant: " + " ".join(str(error).split())


def _connect(name, user, password, will):
    """The first packet. The session is kept, so that demands wait at the broker for a meter that is away."""
    flags, payload = 0, _text(name)
    if will:
        # Retained, with QoS 1.
        flags |= 0x2C
        payload += _text(will[0]) + _field(will[1])
    if user is not None:
        flags |= 0xC0
        payload += _text(user) + _text(password)
    return _framed(_CONNECT, 0, _text("MQTT") + bytes((4, flags)) + KEEPALIVE_S.to_bytes(2, "big") + payload)


async def _packet(reader):
    """The next packet: kind, flags and body, of which at most LARGEST + 1 bytes."""
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
        if shift > 21:
            raise OSError("What was called does not answer as an MQTT broker.")
    # One byte more than is taken tells that there were others.
    body = await reader.readexactly(min(length, LARGEST + 1)) if length else b""
    left = length - len(body)
    while left:
        left -= len(await reader.readexactly(min(left, LARGEST)))
    return first >> 4, first & 15, body


def _framed(kind, flags, body):
    head, length = bytearray((kind << 4 | flags,)), len(body)
    while True:
        more = length >> 7
        head.append(length & 127 | (128 if more else 0))
        if not more:
            return bytes(head) + body
        length = more


def _text(text):
    return _field(text.encode())


def _field(data):
    return len(data).to_bytes(2, "big") + data
