#!/usr/bin/env python3
"""Alerts, dashboard and Prometheus' configuration, against the metrics of the real binary."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "http"))
from http_kit import HttpCase  # noqa: E402

ROOT = pathlib.Path(__file__).parents[3]
RULES = ROOT / "packaging/prometheus/stentor.rules.yml"
DASHBOARD = ROOT / "packaging/grafana/stentor.json"
NAME = re.compile(r"\bstentor_[a-z0-9_]+")
SELECTOR = re.compile(r"(stentor_[a-z0-9_]+)\{([^}]*)\}")
# Reason codes of CONNACK, which have no line before they have occurred.
ONLY_WHEN_THEY_OCCUR = {"server_unavailable", "server_busy"}


def promtool(*arguments, text=None):
    return subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True,
                          timeout=60, check=False)


def expressions():
    """(where, PromQL) of all there is."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if "definition" in variable:
            yield variable["name"], variable["definition"]


class Monitoring(HttpCase):
    def setUp(self):
        super().setUp()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
                        "-keyout", self.dir / "key", "-out", self.dir / "certificate"],
                       check=True, capture_output=True)
        # One with a certificate, so that it has all metrics.
        self.serve(self.LISTENER, '[[listener]]\nurl = "mqtts://127.0.0.1:0"\n'
                                  'tls = { certificate = "certificate", key = "key" }\n')
        self.page = self.get("/metrics").body.decode()
        self.samples = {}  # name: [labels]
        for name, labels in re.findall(r"^(stentor_\w+)(?:\{(.*)\})? ", self.page, re.MULTILINE):
            self.samples.setdefault(name, []).append(
                dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)))

    def test_promtool_finds_nothing_in_the_metrics(self):
        done = promtool("check", "metrics", text=self.page)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_every_metric_that_is_named_is_there(self):
        named = set()
        for where, expression in expressions():
            for name in NAME.findall(expression):
                named.add(name)
                with self.subTest(where=where, name=name):
                    self.assertIn(name, self.samples)
        self.assertGreater(len(named), 40)

    def test_every_label_that_is_named_is_there(self):
        for where, expression in expressions():
            for name, selectors in SELECTOR.findall(expression):
                for label, wanted in re.findall(r'(\w+)=~?"([^"]*)"', selectors):
                    if label in ("instance", "job"):
                        continue
                    there = {labels[label] for labels in self.samples[name]}
                    for value in wanted.split("|"):
                        with self.subTest(where=where, name=name, value=value):
                            self.assertIn(value, there | ONLY_WHEN_THEY_OCCUR)

    def test_labels_that_are_summed_by_are_there(self):
        for where, expression in expressions():
            for labels, name in re.findall(r"by \(([^)]*)\) \(?(?:rate\(|increase\()?(stentor_\w+)",
                                           expression):
                for label in labels.split(", "):
                    with self.subTest(where=where, name=name, label=label):
                        self.assertTrue(label == "instance" or
                                        all(label in each for each in self.samples[name]))


class Files(unittest.TestCase):
    def test_promtool_takes_the_rules_and_they_fire_when_they_should(self):
        for arguments in (("check", "rules", str(RULES)),
                          ("test", "rules", str(RULES.parent / "rules_test.yml"))):
            done = promtool(*arguments)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_takes_every_expression_of_the_dashboard(self):
        rules = [{"record": f"x{number}", "expr": expression.replace("$__rate_interval", "5m")}
                 for number, (_, expression) in enumerate(expressions())
                 if not expression.startswith("label_values")]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            done = promtool("check", "rules", file.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_configurations_are_taken(self):
        for file in (ROOT / "packaging/prometheus/prometheus.yml", ROOT / "docker/prometheus.yml"):
            done = promtool("check", "config", "--syntax-only", str(file))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_alert_says_what_to_do(self):
        for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]:
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
                self.assertEqual(set(rule["annotations"]), {"summary", "remedy"})

    def test_panels_lie_side_by_side(self):
        """Nothing overlaps, and identifiers are there once: Grafana mends neither."""
        panels = json.loads(DASHBOARD.read_text())["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for place in (panel["gridPos"] for panel in panels):
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken)
            self.assertLessEqual(place["x"] + place["w"], 24)
            taken |= cells


if __name__ == "__main__":
    unittest.main()
