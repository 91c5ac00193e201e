#!/usr/bin/env python3
"""The unit and the other files of the package that systemd and certbot read."""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "access"))
from access_kit import STENTOR, AccessCase  # noqa: E402

ROOT = pathlib.Path(__file__).parents[3]
UNIT = ROOT / "packaging/systemd/stentor.service"
EXPOSURE_MAX = 2.0  # of 10


def run(*command, **how):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **how)


class Unit(AccessCase):
    def test_exposure(self):
        done = run("systemd-analyze", "security", "--offline=true", "--no-pager",
                   f"--threshold={EXPOSURE_MAX * 10:.0f}", str(UNIT))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Overall exposure level", done.stdout)

    def test_systemd_understands_every_line(self):
        unit = self.dir / UNIT.name
        # Where the program is now; a machine that tests has no package installed.
        unit.write_text(UNIT.read_text().replace("/usr/bin/stentor", STENTOR))
        done = run("systemd-analyze", "verify", "--man=no", str(unit))
        # What other units of this machine lack is not ours.
        ours = [line for line in done.stderr.splitlines() if "stentor" in line]
        self.assertEqual(ours, [])

    def test_the_user_is_made(self):
        (self.dir / "etc").mkdir()
        done = run("systemd-sysusers", f"--root={self.dir}",
                   str(ROOT / "packaging/systemd/sysusers.conf"))
        self.assertEqual(done.returncode, 0, done.stderr)
        users = (self.dir / "etc/passwd").read_text()
        self.assertRegex(users, r"(?m)^stentor:x?:\d+:\d+:Stentor MQTT broker:/var/lib/stentor:")
        self.assertRegex(users, r"(?m)^stentor:.*:/usr/sbin/nologin$")

    def test_the_configuration_is_sound_and_stays_on_this_machine(self):
        config = (ROOT / "packaging/stentor.toml").read_text()
        file = self.dir / "stentor.toml"
        file.write_text(config.replace("/var/lib/stentor", str(self.dir / "data"))
                        .replace(":1883", ":0"))
        done = run(STENTOR, "check", "-c", str(file))
        self.assertEqual((done.returncode, "warning" in done.stderr), (0, False), done.stderr)
        for line in config.splitlines():
            if line.startswith("url"):
                self.assertIn("//127.0.0.1:", line)

    def test_what_the_configuration_offers_in_comments_is_sound_too(self):
        text = (ROOT / "packaging/stentor.toml").read_text()
        lines = [line.removeprefix("# ") if line.startswith(("# [", "# url", "# tls", "# pass"))
                 else line for line in text.splitlines()]
        (self.dir / "tls").mkdir()
        made = run(STENTOR, "init", str(self.dir / "init"))
        self.assertEqual(made.returncode, 0, made.stderr)
        for name in ("server.crt", "server.key"):
            shutil.copy(self.dir / "init" / name, self.dir / "tls" / name)
        shutil.copy(self.dir / "init/users.txt", self.dir / "users")
        file = self.dir / "stentor.toml"
        file.write_text("\n".join(lines).replace("/var/lib/stentor", str(self.dir / "data"))
                        .replace("/etc/stentor", str(self.dir))
                        .replace(":1883", ":0").replace(":8883", ":0").replace(":9100", ":0"))
        done = run(STENTOR, "check", "-c", str(file))
        self.assertEqual(done.returncode, 0, done.stderr)


class Certbot(AccessCase):
    HOOK = ROOT / "packaging/certbot/stentor-deploy-hook"

    def renew(self, number):
        """As certbot: a lineage with a new certificate, and the hook."""
        lineage = self.dir / f"live{number}"
        lineage.mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN=host{number}",
                        "-days", "90", "-keyout", lineage / "privkey.pem",
                        "-out", lineage / "fullchain.pem"], check=True, capture_output=True)
        group = str(os.getgid())
        done = run("sh", str(self.HOOK), env=os.environ | {
            "RENEWED_LINEAGE": str(lineage), "STENTOR_TLS_DIRECTORY": str(self.dir / "tls"),
            "STENTOR_GROUP": group})
        self.assertEqual(done.returncode, 0, done.stderr)

    def served(self):
        """The name in the certificate that clients see."""
        shown = run("openssl", "s_client", "-connect", f"127.0.0.1:{self.port}",
                    stdin=subprocess.DEVNULL)
        return next(line for line in shown.stdout.splitlines() if line.startswith("subject="))

    def test_a_renewed_certificate_is_served_without_a_restart(self):
        self.renew(1)
        tls = self.dir / "tls"
        self.assertEqual({path.name for path in tls.iterdir()}, {"server.crt", "server.key"})
        self.assertEqual(tls.stat().st_mode & 0o777, 0o750)
        for path in tls.iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o640)
        self.serve('[[listener]]\nurl = "mqtts://127.0.0.1:0"\n'
                   f'tls = {{ certificate = "{tls}/server.crt", key = "{tls}/server.key" }}\n')
        self.assertIn("host1", self.served())
        since = self.broker.mark()
        self.renew(2)
        self.broker.said(since, event="certificates_renewed")
        self.assertIn("host2", self.served())

    def test_without_a_lineage_it_says_what_it_needs(self):
        done = run("sh", str(self.HOOK), env={"PATH": os.environ["PATH"]})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("RENEWED_LINEAGE", done.stderr)


if __name__ == "__main__":
    unittest.main()
