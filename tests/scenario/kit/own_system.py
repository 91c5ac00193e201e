"""A system of a test's own: an overlay over the running one, which dpkg may change and systemd may
boot. Needs root, and mounts of its own (own_mounts.py). Nothing is downloaded, nothing outside of
the overlay changes."""

import os
import pathlib
import pty
import select
import shutil
import subprocess
import time
import unittest

PATIENCE = 240

# Inside of namespaces of its own, $1 is the overlay's root, $2 a directory for results. A device
# node is taken from the machine, a console is the terminal that this runs at.
BOOT = r"""
set -e
root=$1
mount --make-rprivate /
mount -t tmpfs tmpfs "$root/dev"
for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
touch "$root/dev/console"
mount --bind "$(readlink /proc/self/fd/0)" "$root/dev/console"
umount -l "$root/proc"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mkdir -p "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$2" "$root/mnt"
cd "$root"
mkdir oldroot
pivot_root . oldroot
umount -l oldroot
exec env -i container=test PATH=/usr/sbin:/usr/bin \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=console
"""

PROBE = """[Unit]
After=stentor.service
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -B /mnt/probe.py
ExecStopPost=/usr/bin/systemctl poweroff --no-block
StandardOutput=file:/mnt/output
StandardError=file:/mnt/output
[Install]
WantedBy=multi-user.target
"""


def run(*command, **how):
    return subprocess.run([str(each) for each in command], capture_output=True, text=True,
                          timeout=PATIENCE, check=False, **how)


class System:
    def __init__(self, where):
        self.where = pathlib.Path(where)
        self.root = self.where / "root"
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", where], check=True)
        for name in ("upper", "work", "root"):
            (self.where / name).mkdir()
        mounted = run("mount", "-t", "overlay", "overlay", "-o",
                      f"lowerdir=/,upperdir={where}/upper,workdir={where}/work", self.root)
        if mounted.returncode != 0:
            raise unittest.SkipTest("no overlay may be mounted here: " + mounted.stderr.strip())
        for name in ("proc", "dev"):
            subprocess.run(["mount", "--rbind", "/" + name, self.root / name], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.root / "run"], check=True)

    def end(self):
        subprocess.run(["umount", "-l", self.where], check=True)
        os.rmdir(self.where)

    def run(self, *command, **how):
        return run("chroot", self.root, *command, **how)

    def dpkg(self, *arguments):
        """man-db's index is not what is tested, and takes long."""
        done = self.run("dpkg", "--no-triggers", "--force-unsafe-io", *arguments,
                        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        return done.stdout + done.stderr

    def install(self, deb, *how):
        shutil.copy(deb, self.root / "run/package.deb")
        return self.dpkg(*how, "-i", "/run/package.deb")

    def boot(self, probe, results):
        """systemd as process 1; `probe` (Python) runs when the system is up, with `results` as
        /mnt, then all of it ends. What the probe has printed; None: systemd does not boot here."""
        results = pathlib.Path(results)
        (results / "probe.py").write_text(probe)
        units = self.root / "etc/systemd/system"
        wanted = units / "multi-user.target.wants"
        for unit in wanted.iterdir():  # only what is tested
            if unit.name != "stentor.service":
                unit.unlink()
        (units / "probe.service").write_text(PROBE)
        (wanted / "probe.service").symlink_to("../probe.service")
        self.console = self._run_to_its_end(
            ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork",
             "--kill-child", "sh", "-c", BOOT, "sh", self.root, results])
        output = results / "output"
        return output.read_text() if output.exists() else None

    @staticmethod
    def _run_to_its_end(command):
        """At a terminal of its own; what was written there."""
        master, terminal = pty.openpty()
        process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        said, end = b"", time.monotonic() + PATIENCE
        try:
            while process.poll() is None and time.monotonic() < end:
                if select.select([master], [], [], 0.2)[0]:
                    said += os.read(master, 65536)
        except OSError:  # all who had the terminal have gone
            pass
        finally:
            process.kill()
            process.wait()
            os.close(master)
        return said.decode(errors="replace")
