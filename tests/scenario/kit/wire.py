"""MQTT on a socket, by hand: what exactly comes back is the question these tests ask."""

import socket
import ssl
import struct

(CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE,
 UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH) = range(1, 16)


class Closed(Exception):
    """The broker has ended the connection."""


def varint(value):
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def text(value):
    octets = value if isinstance(value, bytes) else value.encode()
    return struct.pack("!H", len(octets)) + octets


def packet(kind, body, flags=0):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


class Connection:
    """To a broker; one thread. Reads nothing by itself. Waits `patience` seconds at most."""

    def __init__(self, port, patience, host="127.0.0.1", source=None):
        self.buffer = b""
        self.socket = socket.create_connection((host, port), patience,
                                               source_address=source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def write(self, octets):
        try:
            self.socket.sendall(octets)
        except OSError as error:
            raise Closed from error

    def send(self, first, body):
        """A packet whose first octet is `first`."""
        self.write(bytes([first]) + varint(len(body)) + body)

    def take(self, count):
        """The next `count` octets."""
        while len(self.buffer) < count:
            try:
                got = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise Closed from error
            if not got:
                raise Closed
            self.buffer += got
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def packet(self):
        """(first octet, body) of the next packet."""
        first = self.take(1)[0]
        length, shift = 0, 0
        while True:
            octet = self.take(1)[0]
            length |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return first, self.take(length)
