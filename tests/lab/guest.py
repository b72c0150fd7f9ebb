"""A guest: Debian packages that would drive out what is installed, in a root of their own.

An overlay over this machine's root, its upper side in memory, inside a private mount namespace: `apt-get install` there
changes nothing here. The network is shared, so that a guest's daemon is a neighbour on a loopback port. Needs root.
"""

import os
import shutil
import signal
import subprocess
import tempfile

SETUP = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=2g guest {dir}
mkdir {dir}/up {dir}/work {dir}/tree
mount -t overlay overlay -o lowerdir=/,upperdir={dir}/up,workdir={dir}/work {dir}/tree
mount --rbind /dev {dir}/tree/dev
mount -t proc proc {dir}/tree/proc
mount -t tmpfs tmp {dir}/tree/tmp
printf '#!/bin/sh\\nexit 101\\n' > {dir}/tree/usr/sbin/policy-rc.d
chmod 755 {dir}/tree/usr/sbin/policy-rc.d
mkdir -p {dir}/tree{share}
mount --bind {share} {dir}/tree{share}
echo up
exec sleep infinity
"""


class Guest:
    """`with Guest("exim4-daemon-light") as guest: guest.run(...)`."""

    def __init__(self, *packages):
        self.packages = packages
        self.dir = tempfile.mkdtemp(prefix="packetboat-guest-")
        self.share = tempfile.mkdtemp(prefix="packetboat-share-")
        os.chmod(self.share, 0o755)
        self.daemons = []
        self.keeper = None

    def __enter__(self):
        self.keeper = subprocess.Popen(["unshare", "--mount", "bash", "-c", SETUP.format(dir=self.dir, share=self.share)],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.keeper.stdout.readline() != b"up\n":
            raise AssertionError("no guest root: " + self.keeper.stderr.read().decode())
        self.run("apt-get", "update", "-qq", seconds=300)
        self.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *self.packages, seconds=600)
        return self

    def command(self, *command):
        return ["nsenter", f"--target={self.keeper.pid}", "--mount", "chroot", f"{self.dir}/tree",
                "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", f"HOME={self.share}", *command]

    def run(self, *command, stdin="", ok=True, seconds=120):
        done = subprocess.run(self.command(*command), input=stdin, capture_output=True, text=True, errors="replace", timeout=seconds)
        if ok and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done

    def spawn(self, *command):
        """A daemon in the foreground; its output is kept for `log`."""
        with open(os.path.join(self.share, f"daemon-{len(self.daemons)}.log"), "wb") as log:
            self.daemons.append(subprocess.Popen(self.command(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))

    def write(self, path, text, mode="644", owner="root:root"):
        """A file inside, as its owner."""
        self.run("sh", "-c", f'mkdir -p "$(dirname {path})" && cat > {path} && chmod {mode} {path} && chown {owner} {path}', stdin=text)

    def log(self):
        parts = []
        for name in sorted(os.listdir(self.share)):
            path = os.path.join(self.share, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    parts.append(f"--- {name}\n" + f.read()[-4000:].decode("utf-8", "replace"))
        return "\n".join(parts)

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.log())
        for daemon in self.daemons:
            if daemon.poll() is None:
                os.killpg(daemon.pid, signal.SIGTERM)
        # Daemons that left their group are still inside this root: find them by it.
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/root").startswith(f"{self.dir}/tree"):
                    os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass
        self.keeper.kill()
        self.keeper.communicate()
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(self.share, ignore_errors=True)
