"""An Internet of our own: a network namespace with real addresses and real ports, DNS signed from its own root (unbound proves it,
ldns signs it), an authority for certificates, and mail servers that behave, dawdle or lie.

Only the thread that enters a `World` is in its namespace, with all the processes and threads that it starts from then on.
"""

import ctypes
import hashlib
import http.server
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading

import lab

# Where `ip` and `unbound` are, also for who is not root.
os.environ["PATH"] += os.pathsep + "/usr/sbin"
NEW_NET = 0x40000000
NETWORK = "192.0.2."
SIGNED, UNSIGNED, BROKEN = "test.", "plain.", "broken."


def libc(name, *arguments):
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


class World:
    """The namespace, its DNS and its authority. Records are added until `start_dns`."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="packetboat-internet-")
        self.zones = {SIGNED: [], UNSIGNED: [], BROKEN: [], "arpa.": [], ".": []}
        self.last = 50
        self.resolver = None
        self.closing = []
        self.outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        libc("unshare", NEW_NET)
        for command in ("link set lo up", f"addr add {NETWORK}1/24 dev lo", "-6 addr add 2001:db8::1/128 dev lo", "-6 addr add 2001:db8::2/128 dev lo"):
            lab.client("ip", *command.split())
        # A SYN that nobody answers is given up after seconds here, not after two minutes.
        with open("/proc/sys/net/ipv4/tcp_syn_retries", "w") as f:
            f.write("1")
        self.authority = self.certificate("authority")

    def close(self):
        for thing in reversed(self.closing):
            thing.close()
        if self.resolver:
            self.resolver.kill()
            self.resolver.wait()
        libc("setns", self.outside, NEW_NET)
        os.close(self.outside)
        shutil.rmtree(self.dir, ignore_errors=True)

    def keep(self, thing):
        self.closing.append(thing)
        return thing

    def address(self):
        self.last += 1
        return f"{NETWORK}{self.last}"

    # ---- certificates

    def certificate(self, *names, trusted=True):
        """(certificate, key) of the authority for these names, or of nobody."""
        base = os.path.join(self.dir, f"{names[0]}-{trusted}")
        cert, key = base + ".pem", base + ".key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                   "-keyout", key, "-out", cert, "-subj", f"/CN={names[0]}"]
        if names[0] != "authority":
            command += ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names), "-addext", "basicConstraints=critical,CA:FALSE"]
            if trusted:
                command += ["-CA", self.authority[0], "-CAkey", self.authority[1]]
        lab.client(*command)
        return cert, key

    # ---- names

    def record(self, name, kind, value, ttl=300):
        """In the zone that the name is in: `test.` is signed, `plain.` is not, what DNS says of `broken.` proves nothing."""
        name = name.rstrip(".") + "."
        zone = next(zone for zone in self.zones if name.endswith("." + zone) or zone == ".")
        self.zones[zone].append(f"{name} {ttl} IN {kind} {value}")

    def mx(self, domain, *hosts):
        for preference, host in enumerate(hosts, 1):
            self.record(domain, "MX", f"{preference * 10} {host}.")

    def txt(self, name, text):
        pieces = [text[at : at + 250] for at in range(0, len(text), 250)]
        self.record(name, "TXT", " ".join('"' + piece.replace('"', '\\"') + '"' for piece in pieces))

    def tlsa(self, host, certificate):
        """3 1 1 of its key, as OpenSSL sees it."""
        key = subprocess.run(["openssl", "x509", "-in", certificate[0], "-noout", "-pubkey"], capture_output=True, check=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
        self.record(f"_25._tcp.{host}", "TLSA", f"3 1 1 {hashlib.sha256(der).hexdigest()}")

    def write_zone(self, zone, lines):
        path = os.path.join(self.dir, (zone.rstrip(".") or "root") + ".zone")
        with open(path, "w") as f:
            f.write("\n".join([f"{zone} 300 IN SOA ns.root. postmaster.root. 1 3600 900 86400 60", f"{zone} 300 IN NS ns.root.", *lines]) + "\n")
        return path

    def sign(self, zone, lines):
        """(signed zone file, DS record)"""
        path = self.write_zone(zone, lines)
        made = subprocess.run(["ldns-keygen", "-r", "/dev/urandom", "-a", "ECDSAP256SHA256", "-k", zone], cwd=self.dir, capture_output=True, text=True, check=True)
        key = os.path.join(self.dir, made.stdout.strip())
        lab.client("ldns-signzone", "-o", zone, path, key)
        with open(key + ".ds") as f:
            return path + ".signed", f.read().strip()

    def start_dns(self):
        test, ds = self.sign(SIGNED, self.zones[SIGNED])
        broken, _ = self.sign(BROKEN, self.zones[BROKEN])
        plain = self.write_zone(UNSIGNED, self.zones[UNSIGNED])
        arpa = self.write_zone("arpa.", self.zones["arpa."])
        parents = [f"{zone} 300 IN NS ns.root." for zone in (SIGNED, BROKEN, UNSIGNED, "arpa.")]
        stranger = f"{BROKEN} 300 IN DS 4711 13 2 {'ab' * 32}"
        root, anchor = self.sign(".", [*self.zones["."], *parents, ds, stranger, f"ns.root. 300 IN A {NETWORK}2"])
        files = {".": root, SIGNED: test, BROKEN: broken, UNSIGNED: plain, "arpa.": arpa}
        zones = "".join(f'auth-zone:\n name: "{zone}"\n zonefile: "{path}"\n for-downstream: no\n for-upstream: yes\n fallback-enabled: no\n'
                        for zone, path in files.items())
        ours = "".join(f' local-zone: "{name}" nodefault\n' for name in ("test.", "2.0.192.in-addr.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa."))
        config = os.path.join(self.dir, "unbound.conf")
        with open(config, "w") as f:
            f.write(f'server:\n interface: 127.0.0.1\n do-daemonize: no\n username: ""\n chroot: ""\n directory: "{self.dir}"\n pidfile: ""\n'
                    f' use-syslog: no\n logfile: ""\n num-threads: 1\n module-config: "validator iterator"\n trust-anchor: "{anchor}"\n{ours}'
                    f'remote-control:\n control-enable: no\n{zones}')
        self.resolver = subprocess.Popen(["unbound", "-c", config], stdout=subprocess.DEVNULL, stderr=open(os.path.join(self.dir, "unbound.log"), "wb"))
        lab.wait_for("unbound", self.answers)

    def answers(self):
        if self.resolver.poll() is not None:
            with open(os.path.join(self.dir, "unbound.log")) as f:
                raise AssertionError("unbound ended:\n" + f.read())
        question = b"\x12\x34\x01\x20\x00\x01" + bytes(6) + lab.Dns.name("test") + b"\0\x06\0\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            try:
                s.sendto(question, ("127.0.0.1", 53))
                flags = s.recv(4096)[3]
            except OSError:
                return False
        # AD: the chain from our root is proven.
        return flags & 0x2F == 0x20

    def silence_dns(self, silent):
        self.resolver.send_signal(signal.SIGSTOP if silent else signal.SIGCONT)


class Got:
    """A message as a peer took it."""

    def __init__(self, sender, recipients, text, tls, client):
        self.sender, self.recipients, self.text, self.tls, self.client = sender, recipients, text, tls, client


class Peer(threading.Thread):
    """A mail server. It behaves, but for `how`: what it says to `greeting`, a command's word, or `end` (the final dot), as octets or a
    function of (peer, line); None cuts the connection. `pause` is between the octets of every reply."""

    def __init__(self, world, name, port=25, certificate=None, pause=0, implicit=False, address=None, extensions=(b"8BITMIME", b"SIZE 1000000"), **how):
        super().__init__(daemon=True)
        self.name_, self.how, self.pause, self.implicit, self.extensions = name, how, pause, implicit, extensions
        self.ip = address or world.address()
        self.heard, self.got, self.connections = [], [], 0
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*certificate)
        self.socket = socket.create_server((self.ip, port), family=socket.AF_INET6 if ":" in self.ip else socket.AF_INET, backlog=64)
        world.record(name, "AAAA" if ":" in self.ip else "A", self.ip)
        world.keep(self)
        self.start()

    def close(self):
        # What waits in accept() is only woken by this.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def run(self):
        while True:
            try:
                connection, peer = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.session, args=(connection, peer[0]), daemon=True).start()

    def session(self, connection, client):
        try:
            Session(self, connection, client).run()
        except (OSError, ValueError):
            pass
        finally:
            connection.close()


class Session:
    def __init__(self, peer, connection, client):
        self.peer, self.connection, self.client = peer, connection, client
        self.sender, self.recipients = None, []
        if peer.implicit:
            self.secure()
        else:
            self.file = connection.makefile("rb")

    def secure(self):
        self.connection = self.peer.tls.wrap_socket(self.connection, server_side=True)
        self.file = self.connection.makefile("rb")

    def is_secure(self):
        return isinstance(self.connection, ssl.SSLSocket)

    def say(self, octets):
        if not self.peer.pause:
            return self.connection.sendall(octets)
        for at in range(len(octets)):
            self.connection.sendall(octets[at : at + 1])
            threading.Event().wait(self.peer.pause)

    def answer(self, word, line, usual):
        """Says it; False when the connection is cut."""
        reply = self.peer.how.get(word, usual)
        if callable(reply):
            reply = reply(self.peer, line)
        if reply is None:
            return False
        self.say(reply)
        return reply

    def ehlo(self):
        offered = [self.peer.name_.encode(), *self.peer.extensions]
        if self.peer.tls and not self.is_secure():
            offered.append(b"STARTTLS")
        return b"".join(b"250-" + word + b"\r\n" for word in offered) + b"250 PIPELINING\r\n"

    def run(self):
        if not self.answer("greeting", b"", b"220 " + self.peer.name_.encode() + b" ESMTP\r\n"):
            return
        while line := self.file.readline(4096):
            self.peer.heard.append(line)
            word = line.strip().split(b" ")[0].upper().decode("latin-1")
            usual = {"EHLO": self.ehlo(), "QUIT": b"221 bye\r\n", "DATA": b"354 go on\r\n" if self.recipients else b"503 5.5.1 for whom?\r\n", "STARTTLS": b"220 go on\r\n", "AUTH": b"235 welcome\r\n"}
            reply = self.answer(word, line, usual.get(word, b"250 ok\r\n"))
            if not reply or word == "QUIT":
                return
            if not self.after(word, line, reply):
                return

    def after(self, word, line, reply):
        if word == "STARTTLS" and reply.startswith(b"220"):
            self.secure()
            self.sender, self.recipients = None, []
        elif word == "MAIL":
            self.sender, self.recipients = line.strip(), []
        elif word == "RCPT" and reply.startswith(b"2"):
            self.recipients.append(line[line.index(b"<") + 1 : line.index(b">")].decode())
        elif word == "DATA" and reply.startswith(b"354"):
            return self.data()
        return True

    def data(self):
        text = b"\r\n"
        while not text.endswith(b"\r\n.\r\n"):
            line = self.file.readline(1 << 20)
            if not line:
                return False
            text += line
        got = Got(self.sender, self.recipients, text[2:-3], self.connection.version() if self.is_secure() else None, self.client)
        reply = self.peer.how.get("end", b"250 taken\r\n")
        if callable(reply):
            reply = reply(self.peer, text)
        # Kept before it is said, as it should be; and liars keep it too.
        if reply is None or reply.startswith(b"2"):
            self.peer.got.append(got)
        if reply is not None:
            self.say(reply)
        return reply is not None


class Hole:
    """An address whose port 25 takes no connection and refuses none: its queue is full, and nobody empties it."""

    def __init__(self, world, name):
        self.ip = world.address()
        self.socket = socket.socket()
        self.socket.bind((self.ip, 25))
        self.socket.listen(0)
        self.plugs = []
        for _ in range(3):
            plug = socket.socket()
            plug.setblocking(False)
            plug.connect_ex((self.ip, 25))
            self.plugs.append(plug)
        world.record(name, "A", self.ip)
        world.keep(self)

    def close(self):
        for each in (*self.plugs, self.socket):
            each.close()


class PolicyHost(threading.Thread):
    """`https://mta-sts.DOMAIN/.well-known/mta-sts.txt`"""

    def __init__(self, world, domain, policy, trusted=True):
        super().__init__(daemon=True)
        name = f"mta-sts.{domain}"
        ip = world.address()
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                found = self.path == "/.well-known/mta-sts.txt"
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(policy)))
                self.end_headers()
                self.wfile.write(policy.encode())

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

        self.server = Quiet((ip, 443), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*world.certificate(name, trusted=trusted))
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        world.record(name, "A", ip)
        world.txt(f"_mta-sts.{domain}", "v=STSv1; id=20261129")
        world.keep(self)
        self.start()

    def run(self):
        self.server.serve_forever(poll_interval=0.05)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Office(lab.Server):
    """Our own server in that world: port 25 at an address of its own, submission and IMAP on loopback."""

    def __init__(self, world, domain, name, more="", outbound="", accounts=("ann",)):
        self.world, self.name_, self.more, self.outbound = world, name, more, outbound
        self.ip = world.address()
        self.cert = world.certificate(name)
        world.record(name, "A", self.ip)
        world.record(".".join(reversed(self.ip.split("."))) + ".in-addr.arpa", "PTR", name + ".")
        super().__init__(domain=domain, accounts=accounts)

    def write_config(self, *_):
        with open(self.config, "w") as f:
            f.write(f'''hostname = "{self.name_}"
data_dir = "{self.dir}/data"
domains = ["{self.domain}"]
[listen]
smtp = ["{self.ip}:25"]
submission = ["127.0.0.1:0"]
imap = ["127.0.0.1:0"]
[tls]
certificate = "{self.cert[0]}"
private_key = "{self.cert[1]}"
[auth]
plaintext = "loopback"
[dns]
servers = ["127.0.0.1:53"]
[outbound]
ca_file = "{self.world.authority[0]}"
source_addresses = ["{self.ip}", "2001:db8::1"]
{self.outbound}
{self.more}
''')
