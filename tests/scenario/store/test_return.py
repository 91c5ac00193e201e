#!/usr/bin/env python3
"""Two thousand sessions come back at once while others go on talking: everybody gets everything
that waited for him, once and in order, and nobody else notices."""

import asyncio
import resource
import struct
import unittest

from store_kit import PATIENCE, StoreTest, text, varint

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9
SESSIONS = 2000
OWN, BROADCASTS, FILLERS = 3, 20, 6000
FILTERS = 5000  # of the one session that has many
AT_ONCE = 200   # coming and going while the stage is set


class Peer:
    """A 3.1.1 client in an asyncio program; acknowledges QoS 1."""

    def __init__(self):
        self.next_id = 0

    async def connect(self, port, client_id, clean=False):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        self.send(0x10, text("MQTT") + bytes([4, 2 if clean else 0]) + b"\0\0" + text(client_id))
        _, body = await self.packet()
        assert body[1] == 0, body
        self.session_present = body[0] == 1
        return self

    def send(self, first, body):
        self.writer.write(bytes([first]) + varint(len(body)) + body)

    async def packet(self):
        first = (await self.reader.readexactly(1))[0]
        length, shift = 0, 0
        while True:
            octet = (await self.reader.readexactly(1))[0]
            length |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return first, await self.reader.readexactly(length)

    async def expect(self, kind):
        first, body = await self.packet()
        assert first >> 4 == kind, (first, body)
        return body

    def identifier(self):
        self.next_id = self.next_id % 60000 + 1
        return struct.pack("!H", self.next_id)

    async def subscribe(self, filters, qos=1):
        for at in range(0, len(filters), 500):
            wanted = filters[at:at + 500]
            self.send(0x82, self.identifier() + b"".join(text(f) + bytes([qos]) for f in wanted))
            codes = (await self.expect(SUBACK))[2:]
            assert codes == bytes([qos]) * len(wanted), codes

    def publish(self, topic, payload, qos=1):
        identifier = self.identifier() if qos else b""
        self.send(0x30 | qos << 1, text(topic) + identifier + payload.encode())

    async def message(self):
        """(topic, payload, whether it may have come before)."""
        first, body = await self.packet()
        assert first >> 4 == PUBLISH, (first, body)
        size = struct.unpack("!H", body[:2])[0]
        topic, rest = body[2:2 + size].decode(), body[2 + size:]
        if first & 0x06:
            self.send(0x40, rest[:2])
            rest = rest[2:]
        return topic, rest.decode(), bool(first & 0x08)

    async def messages(self, count):
        got = []
        for _ in range(count):
            topic, payload, repeated = await self.message()
            assert not repeated, topic
            got.append((topic, payload))
        return got

    async def leave(self):
        self.send(0xE0, b"")
        await self.writer.drain()
        self.writer.close()


async def publish_all(port, messages):
    """With at most fifty unacknowledged."""
    peer = await Peer().connect(port, "backend", clean=True)
    open_ = 0
    for topic, payload in messages:
        if open_ == 50:
            await peer.expect(PUBACK)
            open_ -= 1
        peer.publish(topic, payload)
        open_ += 1
    for _ in range(open_):
        await peer.expect(PUBACK)
    await peer.leave()


class Talk:
    """Two clients that answer each other, QoS 0 and 1 in turn, until they are told to end.

    A round that never ends is a failure, by the time limit of the whole."""

    def __init__(self):
        self.rounds = 0
        self.begun = asyncio.Event()
        self.ends = False

    async def go_on(self, port):
        one = await Peer().connect(port, "one", clean=True)
        other = await Peer().connect(port, "other")  # a durable one: through the log
        await one.subscribe(["talk/answer"])
        await other.subscribe(["talk/question"])
        while not self.ends:
            qos = self.rounds % 2
            for asks, topic, answers in (one, "talk/question", other), (other, "talk/answer", one):
                asks.publish(topic, str(self.rounds), qos)
                assert await answers.message() == (topic, str(self.rounds), False)
                if qos:
                    await asks.expect(PUBACK)
            self.rounds += 1
            self.begun.set()
        await one.leave()
        await other.leave()


def log():
    """What is published while they are away: (topic, payload) in order."""
    messages = []
    for number in range(OWN * SESSIONS):
        messages.append((f"own/{number % SESSIONS}", str(number)))
        if number % (OWN * SESSIONS // BROADCASTS) == 0:
            messages.append(("all/news", str(number)))
        if number % (OWN * SESSIONS // FILLERS) == 0:
            messages.append((f"filler/{number % 50}", "x" * 200))
    return messages


class Return(StoreTest):
    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * SESSIONS + 200
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))

    async def set_the_stage(self, port):
        gate = asyncio.Semaphore(AT_ONCE)

        async def come_and_go(client_id, filters):
            async with gate:
                peer = await Peer().connect(port, client_id)
                await peer.subscribe(filters)
                await peer.leave()

        wide = [f"own/{number}" for number in range(FILTERS)] + ["all/+", "all/news", "own/7/#"]
        await asyncio.gather(
            *(come_and_go(f"s{i}", [f"own/{i}", "all/#"]) for i in range(SESSIONS)),
            come_and_go("wide", wide),
            come_and_go("wildcard", ["filler/+"]),
            come_and_go("everything", ["own/#", "all/#", "filler/#"]))

    async def come_back(self, port, client_id, expected):
        peer = await Peer().connect(port, client_id)
        assert peer.session_present
        got = await peer.messages(len(expected))
        assert got == expected, f"{client_id}: {got[:20]} instead of {expected[:20]}"
        await peer.leave()

    async def play(self, port):
        await self.set_the_stage(port)
        messages = log()
        await publish_all(port, messages)

        by_own = {}
        for topic, payload in messages:
            by_own.setdefault(topic, []).append((topic, payload))
        position = {message: at for at, message in enumerate(messages)}

        def waiting(number):
            both = by_own[f"own/{number}"] + by_own["all/news"]
            return sorted(both, key=position.__getitem__)

        talk = Talk()
        talking = asyncio.create_task(talk.go_on(port))
        await asyncio.wait({talking, asyncio.create_task(talk.begun.wait())},
                           return_when=asyncio.FIRST_COMPLETED)
        returning = asyncio.gather(
            *(self.come_back(port, f"s{i}", waiting(i)) for i in range(SESSIONS)),
            self.come_back(port, "wide", [m for m in messages if not m[0].startswith("filler/")]),
            self.come_back(port, "wildcard", [m for m in messages if m[0].startswith("filler/")]),
            self.come_back(port, "everything", messages))
        await asyncio.wait({talking, returning}, return_when=asyncio.FIRST_COMPLETED)
        talk.ends = True
        await asyncio.gather(talking, returning)

    def test_everybody_gets_what_waited_and_nobody_else_waits(self):
        broker = self.broker("store.segment_bytes=256KiB")
        asyncio.run(asyncio.wait_for(self.play(broker.port), 8 * PATIENCE))
        self.end(broker)


if __name__ == "__main__":
    unittest.main()
