"""MQTT 5.0 and SCRAM-SHA-256 by hand: clients that others wrote do not send AUTH."""

import base64
import hashlib
import hmac
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "kit"))

from wire import (AUTH, CONNACK, CONNECT, DISCONNECT, PUBLISH, SUBSCRIBE, Closed, Connection,
                  packet, text, varint)

PATIENCE_SECONDS = 20
METHOD, DATA = 0x15, 0x16


def properties(method=None, data=None, expiry=None):
    out = b""
    if expiry is not None:
        out += b"\x11" + struct.pack(">I", expiry)
    if method is not None:
        out += bytes([METHOD]) + text(method)
    if data is not None:
        out += bytes([DATA]) + text(data)
    return varint(len(out)) + out


class Packet:
    def __init__(self, first, body):
        self.kind = first >> 4
        self.flags = first & 15
        self.body = body
        self.properties = {}
        if self.kind in (CONNACK, AUTH, DISCONNECT):
            at = 1 if self.kind == CONNACK else 0
            self.reason = body[at] if len(body) > at else 0
            self._read_properties(body[at + 1:])

    def _read_properties(self, rest):
        """Texts and bytes only; numbers are skipped."""
        size = {0x11: 4, 0x21: 2, 0x27: 4, 0x22: 2, 0x13: 2}
        rest = rest[1:]
        while rest:
            name, rest = rest[0], rest[1:]
            length = size.get(name)
            if length is None:
                length = struct.unpack(">H", rest[:2])[0]
                rest = rest[2:]
            self.properties[name] = rest[:length]
            rest = rest[length:]


class RawClient(Connection):
    def __init__(self, port):
        super().__init__(port, PATIENCE_SECONDS)

    def connect(self, client_id, method=None, data=None, user=None, password=None, kept=False):
        flags = (0 if kept else 2) | (0x80 if user else 0) | (0x40 if password else 0)
        body = text("MQTT") + bytes([5, flags, 0, 0])
        body += properties(method, data, 3600 if kept else None) + text(client_id)
        body += text(user) if user else b""
        body += text(password) if password else b""
        self.write(packet(CONNECT, body))

    def auth(self, reason, method, data=None):
        self.write(packet(AUTH, bytes([reason]) + properties(method, data)))

    def subscribe(self, topic):
        self.write(packet(SUBSCRIBE, b"\0\1\0" + text(topic) + b"\1", 2))

    def publish(self, topic, payload):
        self.write(packet(PUBLISH, text(topic) + b"\0\1\0" + payload, 2))

    def receive(self):
        """The next packet; None once the broker has closed."""
        try:
            return Packet(*self.packet())
        except Closed:
            return None


class Scram:
    """The client's side of RFC 5802 with SHA-256, by Python's own means."""

    def __init__(self, user, password):
        self.password = password
        self.nonce = base64.b64encode(os.urandom(12)).decode()
        self.bare = f"n={user},r={self.nonce}"
        self.first = ("n,," + self.bare).encode()

    def final(self, server_first):
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        assert fields["r"].startswith(self.nonce) and fields["r"] != self.nonce
        self.salt = base64.b64decode(fields["s"])
        self.iterations = int(fields["i"])
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), self.salt, self.iterations)
        key = self._hmac(salted, "Client Key")
        head = f"c=biws,r={fields['r']}"
        message = f"{self.bare},{server_first.decode()},{head}"
        signature = self._hmac(hashlib.sha256(key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(key, signature))
        self.expected = b"v=" + base64.b64encode(
            self._hmac(self._hmac(salted, "Server Key"), message))
        return f"{head},p={base64.b64encode(proof).decode()}".encode()

    @staticmethod
    def _hmac(key, message):
        return hmac.new(key, message.encode(), hashlib.sha256).digest()
