"""A TLS client that says hello by hand: any version, any ciphers, whatever its own library thinks
of them; and what the server answered."""

import dataclasses
import socket
import struct

HANDSHAKE, ALERT = 22, 21
TLS_1_0, TLS_1_1, TLS_1_2, SSL_3 = 0x0301, 0x0302, 0x0303, 0x0300


@dataclasses.dataclass
class Answer:
    """`alert`, or what ServerHello says."""

    alert: int = None
    version: int = None
    cipher: int = None
    compression: int = None


def vector(size, content):
    return len(content).to_bytes(size, "big") + content


def extension(number, content):
    return struct.pack("!H", number) + vector(2, content)


def hello(version, ciphers, host="localhost", compressions=b"\0"):
    """A ClientHello of TLS 1.2 at most, in its record."""
    numbers = b"".join(struct.pack("!H", each) for each in ciphers)
    extensions = b"".join((
        extension(0, vector(2, b"\0" + vector(2, host.encode()))),
        extension(10, vector(2, bytes.fromhex("001d00170018"))),  # groups
        extension(11, vector(1, b"\0")),  # points
        extension(13, vector(2, bytes.fromhex("0403050306030804080508060401050106010203 0201"))),
        extension(0xFF01, b"\0")))  # renegotiation
    body = struct.pack("!H", version) + bytes(range(32)) + vector(1, b"") + vector(2, numbers) + \
        vector(1, compressions)
    if version > SSL_3:
        body += vector(2, extensions)
    return b"\x16" + struct.pack("!H", min(version, TLS_1_0)) + \
        vector(2, b"\x01" + vector(3, body))


def exactly(stream, count):
    got = b""
    while len(got) < count:
        piece = stream.recv(count - len(got))
        if not piece:
            raise EOFError("the server has closed without an answer")
        got += piece
    return got


def ask(port, said, patience):
    """What the server at `port` answers to `said` at first."""
    with socket.create_connection(("127.0.0.1", port), patience) as stream:
        stream.sendall(said)
        kind, _, size = struct.unpack("!BHH", exactly(stream, 5))
        body = exactly(stream, size)
    if kind == ALERT:
        return Answer(alert=body[1])
    if kind != HANDSHAKE or body[0] != 2:
        raise AssertionError(f"record {kind}: {body!r}")
    (version,) = struct.unpack("!H", body[4:6])
    after = 38 + 1 + body[38]  # of the session identifier
    cipher, compression = struct.unpack("!HB", body[after:after + 3])
    return Answer(version=version, cipher=cipher, compression=compression)
