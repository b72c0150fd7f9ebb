"""Debian's Postfix and Dovecot beside us, on loopback ports of their own, below one folder; the tuned peer.

Postfix takes mail by SMTP and hands it to Dovecot by LMTP, the usual pairing. Dovecot runs in its documented high-performance
login mode, keeps mail as sdbox, and with `fsync="always"` syncs as honestly as we do. Every user has the password "bench".
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import lab  # noqa: E402

PACKAGES = ["dovecot-core", "dovecot-imapd", "dovecot-pop3d", "dovecot-lmtpd", "postfix", "strace", "openssl", "procps"]

DOVECOT = """base_dir = {dir}/run
state_dir = {dir}/state
instance_name = packetboat-bench
log_path = {dir}/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{dir}/cert.pem
ssl_key = <{dir}/key.pem
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = sdbox:~/sdbox
mail_fsync = {fsync}
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 10000
default_internal_user = dovecot
default_login_user = dovenull
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb {{
  driver = static
  args = password=bench
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={dir}/mail/%n
}}
protocol lmtp {{
  postmaster_address = postmaster@bench.test
}}
service imap-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service imap {{
  process_limit = 4096
  service_count = 256
}}
service pop3 {{
  service_count = 256
}}
service anvil {{
  client_limit = 20000
}}
service auth {{
  client_limit = 20000
}}
"""

POSTFIX = """compatibility_level = 3.6
myhostname = mx.bench.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
queue_directory = {dir}/queue
data_directory = {dir}/lib
mail_owner = postfix
alias_maps =
alias_database =
maillog_file = {dir}/lib/log
maillog_file_prefixes = {dir}
virtual_mailbox_domains = bench.test
virtual_mailbox_maps = static:all
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
mailbox_size_limit = 0
message_size_limit = 52428800
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
disable_dns_lookups = yes
relayhost = [127.0.0.1]:{sink}
"""


def free_ports(count):
    """Ports that were free together a moment ago."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def master_cf(port):
    """The package's own services, none in a chroot, smtpd on our port."""
    with open("/etc/postfix/master.cf") as f:
        lines = f.read().splitlines()
    out = []
    for line in lines:
        words = line.split()
        if line[:1].strip() and not line.startswith("#") and len(words) >= 8:
            if words[0] == "smtp" and words[1] == "inet":
                words[0] = f"127.0.0.1:{port}"
            words[4] = "n"
            line = " ".join(words)
        out.append(line)
    return "\n".join(out) + "\n"


class Peers:
    """Both, running below `folder`."""

    name = "peers"

    def __init__(self, folder, fsync):
        self.dir = os.path.join(folder, "peers")
        names = ("smtp", "lmtp", "imap", "imaps", "pop3", "pop3s")
        self.ports = dict(zip(names, free_ports(len(names))))
        # What is for elsewhere goes to whoever listens here.
        self.sink, self.relayed = free_ports(1)[0], "to@sink.test"
        self.running = False
        for sub in ("", "run", "state", "mail", "queue", "lib", "etc"):
            os.makedirs(os.path.join(self.dir, sub), exist_ok=True)
            os.chmod(os.path.join(self.dir, sub), 0o755)
        nobody, owner = pwd.getpwnam("nobody"), pwd.getpwnam("postfix")
        os.chown(os.path.join(self.dir, "mail"), nobody.pw_uid, nobody.pw_gid)
        os.chown(os.path.join(self.dir, "lib"), owner.pw_uid, owner.pw_gid)
        for source, name in zip(lab.certificate(), ("cert.pem", "key.pem")):
            shutil.copy(source, os.path.join(self.dir, name))
        self.config = os.path.join(self.dir, "dovecot.conf")
        self.etc = os.path.join(self.dir, "etc")
        with open(self.config, "w") as f:
            f.write(DOVECOT.format(dir=self.dir, fsync=fsync, **self.ports))
        with open(os.path.join(self.etc, "main.cf"), "w") as f:
            f.write(POSTFIX.format(dir=self.dir, sink=self.sink, **self.ports))
        with open(os.path.join(self.etc, "master.cf"), "w") as f:
            f.write(master_cf(self.ports["smtp"]))

    def start(self):
        self.running = True
        for command in (["dovecot", "-c", self.config], ["postfix", "-c", self.etc, "start"]):
            # Into a file: the daemons keep what they inherit, and a pipe would never end.
            with open(os.path.join(self.dir, "start.log"), "w+b") as log:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60)
                log.seek(0)
                if done.returncode != 0:
                    raise AssertionError(f"{command[0]} did not start: {log.read().decode(errors='replace')}")
        for name in ("smtp", "lmtp", "imap", "pop3"):
            lab.wait_for(f"the peers' {name}", lambda: self.answers(self.ports[name]))
        return self

    @staticmethod
    def answers(port):
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                return bool(s.recv(1))
        except OSError:
            return False

    def master(self, path):
        try:
            with open(os.path.join(self.dir, path)) as f:
                return int(f.read())
        except (OSError, ValueError):
            return None

    def pids(self, smtp=True):
        """The roots of the process trees; without `smtp` Dovecot's alone."""
        paths = ["run/master.pid"] + (["queue/pid/master.pid"] if smtp else [])
        return [pid for pid in map(self.master, paths) if pid]

    def mail_folder(self):
        return os.path.join(self.dir, "mail")

    def stop(self):
        if not self.running:
            return
        self.running = False
        roots = self.pids()
        for command in (["postfix", "-c", self.etc, "stop"], ["dovecot", "-c", self.config, "stop"]):
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        for pid in roots:
            try:
                lab.wait_for("the peers' end", lambda: not alive(pid), 10)
            except AssertionError:
                os.kill(pid, signal.SIGKILL)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def versions():
    """As Debian counts them, without the packaging's part."""
    found = []
    for package in ("postfix", "dovecot-core"):
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
        found.append(f"{package.split('-')[0].capitalize()} {done.stdout.split(':')[-1].split('+')[0].split('-')[0] or '?'}")
    return " + ".join(found)
