#!/usr/bin/env python3
"""The Debian package: what is in it, what lintian says, and its life on a system: installed,
started, upgraded, removed, purged.

    test_package.py BUILD_DIRECTORY

The system is an overlay over the running one: nothing is downloaded, and nothing outside of it
changes. Needs to be root; else, or where an overlay cannot be mounted, that part is skipped and
says so. One test boots systemd in it, as process 1 of namespaces; without that it says so as well.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "kit"))
from own_mounts import may_mount  # noqa: E402
from own_network import has_own_network  # noqa: E402
from own_system import System, run  # noqa: E402
from service import NotifySocket  # noqa: E402

PATIENCE = 60
ROOT = pathlib.Path(__file__).parents[3]
BUILD = pathlib.Path(sys.argv.pop(1))
CONFIG = "etc/stentor/stentor.toml"
DATA = "var/lib/stentor"
WANTED = "etc/systemd/system/multi-user.target.wants/stentor.service"


def made():
    """Of the program as it was built; one package for all tests."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="stentor-package-"))
    unittest.addModuleCleanup(shutil.rmtree, directory, ignore_errors=True)
    done = run("cpack", "-G", "DEB", "-B", directory, cwd=BUILD)
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    shutil.rmtree(directory / "_CPack_Packages", ignore_errors=True)
    deb, = directory.glob("*.deb")
    return deb


def setUpModule():
    global DEB
    DEB = made()


class Content(unittest.TestCase):
    def field(self, name):
        return run("dpkg-deb", "-f", DEB, name).stdout.strip()

    def test_what_it_needs_is_what_the_program_is_linked_with(self):
        needs = self.field("Depends")
        for library in ("libc6", "libssl3", "libsqlite3-0", "libargon2-1", "libsystemd0"):
            self.assertRegex(needs, rf"(^|, ){re.escape(library)}( \(>= [^)]*\))?(,|$)")
        self.assertIn("systemd | systemd-standalone-sysusers", needs)
        self.assertNotIn("-dev", needs)

    def test_what_it_is_called(self):
        self.assertEqual(self.field("Package"), "stentor")
        self.assertEqual(DEB.name, f"stentor_{self.field('Version')}_{self.field('Architecture')}"
                                   ".deb")
        self.assertEqual(self.field("Section"), "net")

    def test_who_owns_what(self):
        listing = run("dpkg-deb", "-c", DEB).stdout
        files = {line.split()[5]: line.split()[:2] for line in listing.splitlines()}
        for path, (mode, owner) in files.items():
            self.assertEqual(owner, "root/root", path)
            if mode.startswith("d"):
                self.assertEqual(mode, "drwxr-xr-x", path)
        for path in ("usr/bin/stentor", "usr/lib/stentor/certbot-deploy-hook"):
            self.assertEqual(files["./" + path][0], "-rwxr-xr-x")
        for path in (CONFIG, "lib/systemd/system/stentor.service",
                     "usr/lib/sysusers.d/stentor.conf", "usr/share/man/man1/stentor.1.gz",
                     "usr/share/man/man5/stentor.toml.5.gz",
                     "usr/share/bash-completion/completions/stentor",
                     "usr/share/zsh/vendor-completions/_stentor",
                     "usr/share/fish/vendor_completions.d/stentor.fish",
                     "usr/share/doc/stentor/copyright", "usr/share/doc/stentor/changelog.gz"):
            self.assertEqual(files["./" + path][0], "-rw-r--r--")

    @unittest.skipUnless(shutil.which("lintian"), "there is no lintian here")
    def test_lintian_finds_no_error_and_warns_of_nothing(self):
        done = run("lintian", "--no-cfg", "--allow-root", "--fail-on=error,warning", DEB)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


def changed(where, version, config=None):
    """The package once more: a later version, maybe with another configuration."""
    tree = pathlib.Path(where) / version
    subprocess.run(["dpkg-deb", "-R", DEB, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    if config is not None:
        (tree / CONFIG).write_text(config)
    deb = tree.with_name(version + ".deb")
    done = run("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, deb)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    shutil.rmtree(tree)
    return deb


def own_system(test):
    system = System(tempfile.mkdtemp(prefix="stentor-system-"))
    test.addCleanup(system.end)
    # Images for containers forbid services to start; somebody may have installed the package.
    (system.root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    system.run("dpkg", "--purge", "stentor")
    shutil.rmtree(system.root / DATA, ignore_errors=True)
    return system


class Life(unittest.TestCase):
    def setUp(self):
        self.system = own_system(self)
        self.root = self.system.root
        self.told = NotifySocket(self.root / "run", PATIENCE)
        self.addCleanup(self.told.close)
        os.chmod(self.told.path, 0o666)

    def start(self):
        """As the unit says, as its user."""
        unit = (self.root / "lib/systemd/system/stentor.service").read_text()
        command = shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE).group(1))
        since = self.told.mark()
        process = subprocess.Popen(
            ["chroot", "--userspec=stentor:stentor", self.root, *command],
            env={"PATH": "/usr/sbin:/usr/bin", "NOTIFY_SOCKET": "/run/notify"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        self.told.wait_for("READY=1", since)
        return process

    def stop(self, process):
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)

    def client(self, *arguments):
        done = self.system.run("stentor", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def sleeper(self, *more):
        return self.client("sub", "-i", "phone", "-c", "-x", "3600", "-q", "1", "-t", "inbox",
                           *more)

    def owner(self, path):
        return self.system.run("stat", "-c", "%U:%G %a", "/" + path).stdout.strip()

    def test_a_life(self):
        self.system.install(DEB)
        self.assertEqual(self.owner(DATA), "stentor:stentor 750")
        self.assertEqual(self.owner(CONFIG), "root:root 644")
        self.assertTrue(os.path.lexists(self.root / WANTED))
        self.assertIn("/" + CONFIG, self.system.run(
            "dpkg-query", "-W", "-f", "${Conffiles}", "stentor").stdout)
        broker = self.start()
        self.sleeper("-E")
        self.client("pub", "-t", "inbox", "-m", "before the upgrade", "-q", "1")
        self.stop(broker)

        # A new program; the configuration is the administrator's.
        ours = (self.root / CONFIG).read_text() + "# mine\n"
        (self.root / CONFIG).write_text(ours)
        self.system.run("systemctl", "disable", "stentor.service",
                        env=os.environ | {"SYSTEMD_OFFLINE": "1"})
        self.assertFalse(os.path.lexists(self.root / WANTED))
        self.system.install(changed(self.system.where, "9.1"))
        self.assertEqual((self.root / CONFIG).read_text(), ours)
        self.assertFalse(os.path.lexists(self.root / WANTED), "disabled stays disabled")

        # Both have changed the configuration: dpkg asks, and "keep mine" is its default.
        self.system.install(changed(self.system.where, "9.2", "# another\n"), "--force-confold")
        self.assertEqual((self.root / CONFIG).read_text(), ours)
        self.assertEqual((self.root / (CONFIG + ".dpkg-dist")).read_text(), "# another\n")
        broker = self.start()
        self.assertEqual(self.sleeper("-C", "1"), "before the upgrade\n")
        self.client("pub", "-t", "inbox", "-m", "before the removal", "-q", "1")
        self.stop(broker)

        self.system.dpkg("--remove", "stentor")
        self.assertFalse((self.root / "usr/bin/stentor").exists())
        self.assertEqual((self.root / CONFIG).read_text(), ours)
        self.system.install(DEB, "--force-confold")
        broker = self.start()
        self.assertEqual(self.sleeper("-C", "1"), "before the removal\n")
        self.stop(broker)

        (self.root / "etc/stentor/users").write_text("")
        self.system.dpkg("--purge", "stentor")
        self.assertFalse((self.root / DATA).exists())
        left = sorted(path.name for path in (self.root / "etc/stentor").iterdir())
        self.assertEqual(left, ["users"], "what the package does not know it does not take")
        self.assertFalse(os.path.lexists(self.root / WANTED))

    def test_purged_at_once_nothing_is_left(self):
        self.system.install(DEB)
        self.system.dpkg("--purge", "stentor")
        for path in ("etc/stentor", DATA, "usr/lib/stentor", "usr/share/doc/stentor"):
            self.assertFalse((self.root / path).exists(), path)

    def test_the_man_pages_are_read_without_a_complaint(self):
        self.system.install(DEB)
        for page in ("man1/stentor.1.gz", "man5/stentor.toml.5.gz"):
            done = self.system.run("man", "--warnings=w", "-l", "/usr/share/man/" + page,
                                   env=os.environ | {"LC_ALL": "C.UTF-8", "MANWIDTH": "100"})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertGreater(len(done.stdout.splitlines()), 100)


class Booted(unittest.TestCase):
    """Under systemd itself, with all of the unit's restrictions."""

    def test_a_service(self):
        system = own_system(self)
        results = tempfile.mkdtemp(prefix="stentor-results-")
        self.addCleanup(shutil.rmtree, results)
        system.install(DEB)
        shutil.move(changed(system.where, "9.1"), results + "/new.deb")
        probe = (pathlib.Path(__file__).parent / "booted_probe.py").read_text()
        output = system.boot(probe, results)
        if output is None:
            self.skipTest("systemd does not boot here:\n" + system.console[-2000:])
        self.assertTrue(output.startswith("{"), output + system.console[-2000:])
        found = json.loads(output)
        self.serves(found["start"])
        self.assertRegex(found["process"]["Uid"], r"^(\d+)\t\1\t\1\t\1$")
        self.assertNotEqual(found["process"]["Uid"].split()[0], "0")
        self.assertEqual([found["process"][name] for name in ("CapEff", "NoNewPrivs", "Seccomp")],
                         ["0000000000000000", "1", "2"])
        self.assertEqual([found[name] for name in ("pub", "reload", "restart", "stop")], [0] * 4)
        self.serves(found["after reload"])
        self.serves(found["after restart"])
        self.assertRegex(found["after restart"]["StatusText"], "0 clients on 1 listener, .* store")
        self.assertEqual(found["upgrade"][0], 0, found["upgrade"][1])
        self.serves(found["after upgrade"])
        before, after = found["processes of the upgrade"]
        self.assertNotEqual(before, after)
        # A shard that stands still: systemd hears of it by hearing nothing.
        self.assertEqual(found["stopped shard"], [0, 0])
        self.serves(found["after watchdog"], restarts="1")
        self.assertIn("stentor.service: Watchdog timeout", system.console)
        self.assertIn('"event":"shards_silent"', found["log"])
        self.assertEqual([found["after stop"][name] for name in ("ActiveState", "Result")],
                         ["inactive", "success"])
        self.assertEqual(found["purge"][0], 0, found["purge"][1])
        self.assertEqual(found["after purge"], ["not-found", False, ""])

    def serves(self, state, restarts="0"):
        self.assertEqual([state[name] for name in ("ActiveState", "SubState", "NRestarts")],
                         ["active", "running", restarts])


if __name__ == "__main__":
    if not (may_mount() and has_own_network()):
        print("SKIPPED: the package's life; that needs root", file=sys.stderr)
        del Life, Booted
    unittest.main()
