"""A private instance of Debian's Dovecot on free loopback ports: whoever gives the password is in, mail lies in Maildirs."""

import os
import shutil
import subprocess
import tempfile

import lab

PASSWORD = "correct-horse"


class Dovecot:
    def __init__(self, fsync="optimized"):
        self.dir = tempfile.mkdtemp(prefix="packetboat-dovecot-")
        os.chmod(self.dir, 0o755)
        self.ports = {name: lab.free_port() for name in ("imap", "pop3", "lmtp")}
        self.config = os.path.join(self.dir, "dovecot.conf")
        mail = os.path.join(self.dir, "mail")
        os.makedirs(mail)
        os.chmod(mail, 0o777)
        with open(self.config, "w") as f:
            f.write(f"""
base_dir = {self.dir}/run
state_dir = {self.dir}/state
instance_name = packetboat-lab
log_path = {self.dir}/log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_master_user_separator = *
mail_location = maildir:~/Maildir
mail_fsync = {fsync}
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
mail_max_userip_connections = 1000
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
}}
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={mail}/%n
}}
protocol lmtp {{
  postmaster_address = postmaster@box.test
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.ports["lmtp"]}
  }}
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {self.ports["imap"]}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {self.ports["pop3"]}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
""")
        self.process = None

    def __enter__(self):
        log = open(os.path.join(self.dir, "out"), "wb")
        self.process = subprocess.Popen(["dovecot", "-F", "-c", self.config], stdout=log, stderr=log)
        lab.wait_for("Dovecot", self.answers, 60)
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("Dovecot ended: " + self.log())
        import socket
        try:
            with socket.create_connection(("127.0.0.1", self.ports["imap"]), 5) as s:
                return s.recv(10)
        except OSError:
            return False

    def lmtp_socket(self):
        return os.path.join(self.dir, "run", "lmtp")

    def mails(self, user):
        """What lies in somebody's INBOX, as octets."""
        mails = []
        for part in ("new", "cur"):
            folder = os.path.join(self.dir, "mail", user, "Maildir", part)
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
                with open(os.path.join(folder, name), "rb") as f:
                    mails.append(f.read())
        return mails

    def log(self):
        text = ""
        for name in ("out", "log"):
            path = os.path.join(self.dir, name)
            if os.path.exists(path):
                with open(path, errors="replace") as f:
                    text += f.read()
        return text[-4000:]

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
