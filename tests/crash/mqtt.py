"""MQTT, as far as the scripts beside this file need it: one client on a blocking socket."""
import socket

PATIENCE = 60  # seconds until a broker that says nothing is given up
NEVER = 0xFFFFFFFF


def text(value):
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def packet(first, body):
    assert len(body) < 128 * 128
    low, high = len(body) % 128, len(body) // 128
    return bytes([first, low | 128, high] if high else [first, low]) + body


class Client:
    def __init__(self, port, level, name):
        self.level = level
        self.name = name
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.unread = b""

    def properties(self, block=b""):
        return bytes([len(block)]) + block if self.level == 5 else b""

    def connect(self, expiry_seconds=NEVER):
        expiry = b"\x11" + expiry_seconds.to_bytes(4, "big")
        return packet(0x10, text("MQTT") + bytes([self.level, 0, 0, 0]) + self.properties(expiry)
                      + text(self.name))

    def subscribe(self, number, topic):
        return packet(0x82, number.to_bytes(2, "big") + self.properties() + text(topic) + b"\x02")

    def unsubscribe(self, number, topic):
        return packet(0xA2, number.to_bytes(2, "big") + self.properties() + text(topic))

    def publish(self, qos, number, topic, payload, retain=0, expiry_seconds=None):
        expiry = b"" if expiry_seconds is None else b"\x02" + expiry_seconds.to_bytes(4, "big")
        return packet(0x30 | qos << 1 | retain, text(topic) + number.to_bytes(2, "big")
                      + self.properties(expiry) + payload.encode())

    def receive(self, first):
        """The next packet, which must be of the type of `first`."""
        found = self.receive_any()
        assert found[0] & 0xF0 == first & 0xF0, f"{found!r} instead of {first:#x}"
        return found

    def receive_any(self):
        while True:
            if len(self.unread) >= 2:
                size, shift, at = 0, 0, 1
                while at < len(self.unread):
                    size |= (self.unread[at] & 127) << shift
                    shift += 7
                    at += 1
                    if self.unread[at - 1] < 128:
                        break
                if len(self.unread) >= at + size:
                    found, self.unread = self.unread[:at + size], self.unread[at + size:]
                    return found
            more = self.socket.recv(65536)
            assert more, "the broker has closed the connection"
            self.unread += more


def identifier(publish):
    """Packet identifier of a received PUBLISH."""
    at = 2 if publish[1] < 128 else 3
    size = int.from_bytes(publish[at:at + 2], "big")
    return publish[at + 2 + size:at + 4 + size]
