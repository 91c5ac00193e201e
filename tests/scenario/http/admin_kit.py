"""The HTTP API as administrators use it: every answer is held against the OpenAPI document."""

import json
import signal
import urllib.parse

from http_kit import SHARDS, Answer, Broker, HttpCase, basic
from jsonschema import Draft202012Validator

DOORS = '[[listener]]\nurl = "mqtt://127.0.0.1:0"\n[[listener]]\nurl = "http://127.0.0.1:0"\n'
ADMIN = basic("admin", "a")


def quoted(text):
    return urllib.parse.quote(text, safe="")


class AdminCase(HttpCase):
    def begin(self, *more, data=":memory:", http=""):
        self.user("add", "admin", "a")
        self.user("add", "anna", "b")
        config = (f'[node]\ndata_dir = "{data}"\nshards = {SHARDS}\n'
                  f'[auth]\npassword_file = "users"\n{http}\n' + "\n".join(more) + "\n" + DOORS)
        self.broker = Broker(self.dir, config)
        self.addCleanup(self.finish, self.broker)
        self.mqtt, self.port = self.broker.ports
        self.document = self.get("/openapi.json").json()

    @staticmethod
    def finish(broker):
        if broker.process.returncode != -signal.SIGKILL:
            broker.stop()

    def phone(self, name, *filters, qos=1, version=5, **how):
        client = self.client(port=self.mqtt, version=version)
        self.assertEqual(client.ask(name, **how), 0)
        if filters:
            self.assertEqual(client.subscribe(*filters, qos=qos), [qos] * len(filters))
        return client

    def operation(self, method, path):
        """The operation of the document that the path belongs to."""
        for pattern, operations in self.document["paths"].items():
            head, brace, tail = pattern.partition("{")
            tail = tail.partition("}")[2]
            fits = path.startswith(head) and path.endswith(tail) if brace else path == pattern
            inside = path[len(head):len(path) - len(tail)] if brace else ""
            if fits and ("/" not in inside or "{topic}" in pattern):
                if method.lower() in operations:
                    return operations[method.lower()]
        raise AssertionError(f"{method} {path} is not in the document")

    def admin(self, method, path, expected=200, code=None, over=None):
        """The answer, as JSON, to an administrator; as documented."""
        answer = self.ask(method, path, headers=ADMIN, over=over)
        self.assertEqual(answer.status, expected, answer.body)
        self.check(method, path, answer)
        if code is not None:
            self.assertEqual(answer.json()["code"], code)
        return answer.json() if answer.body else None

    def check(self, method, path, answer):
        responses = self.operation(method, path.partition("?")[0])["responses"]
        self.assertIn(str(answer.status), responses)
        content = responses[str(answer.status)].get("content")
        if content is None:
            self.assertEqual(answer.body, b"")
            return
        schema = dict(content["application/json"]["schema"])
        schema["components"] = self.document["components"]
        Draft202012Validator(schema).validate(answer.json())

    def pages(self, path, name, limit):
        """All items of a list, page by page, and how many pages there were."""
        items, after, count = [], None, 0
        while True:
            query = f"limit={limit}" + (f"&after={quoted(after)}" if after else "")
            page = self.admin("GET", path + ("&" if "?" in path else "?") + query)
            self.assertLessEqual(len(page[name]), limit)
            items += page[name]
            after = page["next"]
            count += 1
            if after is None:
                return items, count
