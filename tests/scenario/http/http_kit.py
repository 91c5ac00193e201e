"""HTTP against the real binary: requests by http.client, and by sockets that do it wrong."""

import base64
import http.client
import json
import pathlib
import re
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "access"))
from access_kit import (PATIENCE, SHARDS, STENTOR, AccessCase, Broker, Closed,  # noqa: E402,F401
                        Client, main)


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def json(self):
        return json.loads(self.body)


class HttpCase(AccessCase):
    LISTENER = '[[listener]]\nurl = "http://127.0.0.1:0"\n'
    AUTO = '[[listener]]\nurl = "auto://127.0.0.1:0"\n'

    def connection(self, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def ask(self, method, path, body=None, headers=None, port=None, over=None):
        connection = over or self.connection(port)
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response, response.read())

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def error(self, answer, status, code):
        """Checks the one shape of errors."""
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        said = answer.json()
        self.assertEqual(set(said), {"code", "http", "error", "hint"})
        self.assertEqual((said["code"], said["http"]), (code, status))
        self.assertTrue(said["error"])
        return said

    def raw(self, octets, port=None, close_write=False):
        """All that comes back for these octets until the broker closes."""
        with socket.create_connection(("127.0.0.1", port or self.port), PATIENCE) as peer:
            try:
                peer.sendall(octets)
                if close_write:
                    peer.shutdown(socket.SHUT_WR)
            except ConnectionError:
                pass
            got = b""
            while True:
                try:
                    more = peer.recv(65536)
                except ConnectionError:
                    return got
                if not more:
                    return got
                got += more

    def statuses(self, octets, **more):
        """The status codes of all answers in it."""
        got = self.raw(octets, **more)
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]
