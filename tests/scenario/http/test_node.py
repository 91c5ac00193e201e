#!/usr/bin/env python3
"""The node over HTTP: how it fares, reload, backup, and the document of the API."""

import json
import os
import subprocess

from admin_kit import ADMIN, AdminCase, basic
from http_kit import SHARDS, STENTOR, main
from jsonschema import Draft202012Validator


class Node(AdminCase):
    def test_how_it_fares(self):
        self.begin(data="data")
        phone = self.phone("phone", "a")
        node = self.admin("GET", "/v1/node")
        while node["subscriptions"] != 1:  # the shards' figures may be of a moment ago
            node = self.admin("GET", "/v1/node")
        self.assertEqual((node["name"], node["shards"], node["ready"], node["why"]),
                         ("stentor", int(SHARDS), True, None))
        self.assertEqual(node["sessions"], {"connected": 1, "away": 0})
        self.assertEqual([each["url"] for each in node["listeners"]],
                         [f"mqtt://127.0.0.1:{self.mqtt}", f"http://127.0.0.1:{self.port}"])
        self.assertEqual(node["listeners"][0]["connections"], 1)
        self.assertEqual(node["store"]["directory"], "data")
        self.assertGreater(node["store"]["disk_free_bytes"], 0)
        self.error(self.get("/v1/node", headers=basic("anna", "b")), 403, "forbidden")
        del phone

    def config(self, change):
        path = self.dir / "stentor.toml"
        path.write_text(change(path.read_text()))

    def reload(self, expected=200, code=None):
        return self.admin("POST", "/v1/node/reload", expected, code)

    def test_a_reload_says_what_has_come_of_it(self):
        self.begin(data="data")
        self.assertEqual(self.reload(), {"applied": True, "changed": [], "restart_needed": []})
        self.config(lambda text: text + '[logging]\nlevel = "warn"\n'
                                        '[limits]\ntopic_levels_max = 10\n')
        said = self.reload()
        self.assertEqual(said["changed"], ["logging.level"])
        self.assertEqual(said["restart_needed"], ["limits.topic_levels_max"])
        self.config(lambda text: text.replace('level = "warn"', 'level = "loud"'))
        said = self.reload(422, "reload_refused")
        self.assertIn("stentor.toml:", said["error"])
        self.assertEqual(len(said["mistakes"]), 1)
        # What was in force stays so.
        self.admin("GET", "/v1/node")

    def test_a_reload_takes_new_users(self):
        self.begin()
        self.error(self.get("/v1/node", headers=basic("bert", "c")), 401, "unauthorized")
        self.user("add", "bert", "c")
        self.reload()
        self.error(self.get("/v1/node", headers=basic("bert", "c")), 403, "forbidden")

    def test_backups_are_off_by_default(self):
        self.begin(data="data")
        self.admin("POST", "/v1/node/backup", 409, "backup_off")

    def test_a_backup_is_made_where_the_configuration_says(self):
        os.mkdir(self.dir / "backups")
        self.begin(data="data", http='[http]\nbackup_dir = "backups"')
        self.phone("phone", "a", keeps=True).close()
        self.assertEqual(self.phone("sender").publish("a"), 0)
        said = self.admin("POST", "/v1/node/backup?name=first", 201)
        self.assertEqual(said["directory"], "backups/first")
        self.assertGreater(said["bytes"], 0)
        check = subprocess.run([STENTOR, "store", "check", "--json", "backups/first"],
                               cwd=self.dir, capture_output=True, text=True, check=True)
        found = json.loads(check.stdout)
        self.assertEqual(found["problems"], 0)
        self.assertGreater(found["records"], 0)
        self.admin("POST", "/v1/node/backup?name=first", 409, "backup_exists")
        self.admin("POST", "/v1/node/backup", 201)
        for name in "..", "../x", "%2e%2e%2fx", "/tmp/x", ".x":
            self.admin("POST", f"/v1/node/backup?name={name}", 400, "bad_name")
        self.assertEqual(len(os.listdir(self.dir / "backups")), 2)
        # The broker's own locks are as they were.
        self.assertEqual(self.phone("sender").publish("a"), 0)
        second = subprocess.run([STENTOR, "serve", "--data", "data"], cwd=self.dir,
                                capture_output=True, text=True, check=False)
        self.assertNotEqual(second.returncode, 0)

    def test_a_backup_that_fails_says_why(self):
        (self.dir / "backups").write_text("no directory")
        self.begin(data="data", http='[http]\nbackup_dir = "backups"')
        said = self.admin("POST", "/v1/node/backup?name=x", 500, "backup_failed")
        self.assertIn("backups", said["error"])

    def test_memory_has_no_backup(self):
        self.begin(http='[http]\nbackup_dir = "."')
        self.admin("POST", "/v1/node/backup?name=x", 409, "backup_in_memory")

    def preflight(self, origin, path="/v1/node"):
        return self.ask("OPTIONS", path, headers={
            "Origin": origin, "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization"})

    def test_pages_of_other_sites_may_not_ask(self):
        self.begin()
        self.error(self.preflight("https://friend.example"), 403, "cross_origin")
        self.error(self.get("/v1/node", headers={**ADMIN, "Origin": "https://friend.example"}),
                   403, "cross_origin")
        self.assertIsNone(self.get("/livez").headers["Vary"])

    def test_pages_of_named_sites_may_ask(self):
        self.begin(http='[http]\ncors_origins = ["https://friend.example"]')
        answer = self.preflight("https://friend.example")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://friend.example")
        self.assertIn("DELETE", answer.headers["Access-Control-Allow-Methods"])
        self.assertIn("Authorization", answer.headers["Access-Control-Allow-Headers"])
        for headers, status in (ADMIN, 200), (basic("anna", "b"), 403), ({}, 403):
            answer = self.get("/v1/node", headers={**headers, "Origin": "https://friend.example"})
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers["Access-Control-Allow-Origin"],
                             "https://friend.example")
            self.assertEqual(answer.headers["Vary"], "Origin")
        self.error(self.preflight("https://other.example"), 403, "cross_origin")
        answer = self.get("/livez")
        self.assertEqual(answer.headers["Vary"], "Origin")
        self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])

    def test_the_document_is_a_good_one(self):
        self.begin()
        self.assertEqual(self.document["openapi"], "3.1.0")
        for name, schema in self.document["components"]["schemas"].items():
            with self.subTest(name):
                Draft202012Validator.check_schema(schema)
        for path, operations in self.document["paths"].items():
            for method, operation in operations.items():
                with self.subTest(f"{method} {path}"):
                    self.asks(method.upper(), path, operation)

    def asks(self, method, path, operation):
        """What the document has is dispatched, for those it names and nobody else."""
        target = path.replace("{id}", "x").replace("{topic}", "x")
        self.error(self.ask("PUT", target), 405, "method_not_allowed")
        is_for_admins = "administrators (http.admins)" in operation["description"]
        for headers in {}, basic("anna", "b"):
            answer = self.ask(method, target, headers=headers)
            if is_for_admins:
                self.error(answer, 403, "forbidden")
            else:
                self.assertIn(str(answer.status), operation["responses"])


if __name__ == "__main__":
    main()
