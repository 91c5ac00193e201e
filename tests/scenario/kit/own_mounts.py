"""File systems of a test's own, which the rest of the machine does not see."""

import ctypes
import os
import subprocess


def may_mount():
    """In a mount namespace of our own, as root there."""
    clone_newns, clone_newuser = 0x20000, 0x10000000
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        return libc.unshare(clone_newns) == 0 and make_private()
    if libc.unshare(clone_newns | clone_newuser) != 0:
        return False
    for name, content in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"),
                          ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(content)
    return make_private()


def make_private():
    return subprocess.run(["mount", "--make-rprivate", "/"], check=False,
                          capture_output=True).returncode == 0
