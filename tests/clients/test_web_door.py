"""The web face of a server as it is delivered: whom it connects to for people, and who is let in."""

import base64
import http.client
import http.server
import imaplib
import json
import re
import socket
import struct
import threading
import time
import unittest

import lab

A, AAAA = lab.Dns.A, 28
# Where nothing of a private network may be reached: loopback, 10/8, 172.16/12, 192.168/16, link-local, carrier's, unique local, mapped, nothing.
ADDRESSES = [
    "127.0.0.1", "[::1]", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "[fd00::1]", "[fe80::1]",
    "[::ffff:127.0.0.1]", "[::]", "localhost",
]
# As browsers and old programs write loopback and what lies behind translators.
ODD = [
    "127.1", "2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "0", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "[2001:0:7f00:1::]", "198.18.0.1", "224.0.0.1", "[ff02::1]", "a.localhost",
]
NAMES = {
    "loop.elsewhere.test": [(A, bytes([127, 0, 0, 1]))],
    "ten.elsewhere.test": [(A, bytes([10, 0, 0, 1]))],
    "link.elsewhere.test": [(A, bytes([169, 254, 169, 254]))],
    "six.elsewhere.test": [(AAAA, socket.inet_pton(socket.AF_INET6, "::1"))],
    "unique.elsewhere.test": [(AAAA, socket.inet_pton(socket.AF_INET6, "fd00::1"))],
    "mapped.elsewhere.test": [(AAAA, socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1"))],
    "nat64.elsewhere.test": [(AAAA, socket.inet_pton(socket.AF_INET6, "64:ff9b::7f00:1"))],
}


class Caught(threading.Thread):
    """Listens on loopback, by IPv4 and IPv6, and counts who comes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET6)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(("::", 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]
        self.count = 0
        self.start()

    def run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            peer.close()


class Browser:
    """What a browser says, and its cookie."""

    def __init__(self, server, host=None):
        self.port = server.ports["http"]
        self.host = host or f"127.0.0.1:{self.port}"
        self.cookie = None

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        ours = {"Host": self.host, "Origin": f"http://{self.host}", "X-Packetboat": "1", "Content-Type": "application/json"}
        if self.cookie:
            ours["Cookie"] = self.cookie
        ours.update({name.replace("_", "-"): value for name, value in headers.items()})
        connection.request(method, path, json.dumps(body) if isinstance(body, (dict, list)) else body, {k: v for k, v in ours.items() if v})
        answer = connection.getresponse()
        octets = answer.read()
        told = dict((name.lower(), value) for name, value in answer.getheaders())
        connection.close()
        return answer.status, told, octets

    def sign_in(self, password, address="ann@here.test"):
        status, told, octets = self.ask("POST", "/api/sign-in", {"address": address, "password": password})
        if status == 200:
            self.cookie = told["set-cookie"].split(";")[0]
        return status, told, octets


class WebDoor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dns = lab.Dns({(name, kind): [octets] for name, found in NAMES.items() for kind, octets in found})
        extra = f'[dns]\nservers = ["127.0.0.1:{cls.dns.port}"]\n'
        cls.server = lab.Server(accounts=("ann", "bob", "cy"), also=("http",), extra=extra)
        cls.server.start()
        cls.browser = Browser(cls.server)
        status, _, octets = cls.browser.sign_in(cls.server.password)
        assert status == 200, octets
        cls.looking = Browser(cls.server)
        assert cls.looking.sign_in(cls.server.password, "cy@here.test")[0] == 200
        cls.caught = Caught()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.server.__exit__(None, None, None)
        cls.dns.close()
        cls.caught.socket.close()

    def test_no_host_of_a_private_network_is_connected_to(self):
        # So often others are asked for one account, and no more.
        hosts = (ADDRESSES + list(NAMES) + ODD)[:39]
        for number, host in enumerate(hosts):
            scheme = ("imap", "pop3s", "imaps", "pop3")[number % 4]
            wanted = {"server": f"{scheme}://{host}:{self.caught.port}", "login": "ann", "password": "x"}
            status, _, octets = self.looking.ask("POST", "/api/links/look", wanted)
            self.assertEqual(status, 422, (host, octets))
        self.assertEqual(self.caught.count, 0)

    def jmap(self, *calls):
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
        status, _, octets = self.browser.ask("POST", "/jmap/api", {"using": using, "methodCalls": list(calls)})
        self.assertEqual(status, 200, octets)
        return [answer for _, answer, _ in json.loads(octets)["methodResponses"]]

    def test_nothing_that_a_message_or_a_page_names_leads_to_a_private_network(self):
        account = json.loads(self.browser.ask("GET", "/api/me")[2])["accountId"]
        hosts = ADDRESSES + list(NAMES) + ODD
        pictures = "".join(f'<img width=99 height=99 src="{scheme}://{host}:{self.caught.port}/a.png">' for host in hosts for scheme in ("http", "https"))
        inbox = self.jmap(["Mailbox/query", {"accountId": account, "filter": {"role": "inbox"}}, "0"])[0]["ids"][0]
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login("ann@here.test", self.server.password)
            mails = [f"Subject: pictures\r\nContent-Type: text/html\r\n\r\n{pictures}\r\n"]
            for host in hosts:
                leave = f"List-Unsubscribe: <https://{host}:{self.caught.port}/leave>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
                mails.append(f"Subject: list {host}\r\n{leave}\r\nx\r\n")
            for mail in mails:
                self.assertEqual(imap.append("INBOX", None, None, mail.encode())[0], "OK")
        found = self.jmap(["Email/query", {"accountId": account, "filter": {"inMailbox": inbox}}, "0"],
                          ["Email/get", {"accountId": account, "#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"}, "properties": ["subject"]}, "1"])
        seen = 0
        for email in found[1]["list"]:
            if email["subject"] == "pictures":
                html = json.loads(self.browser.ask("GET", f"/api/html/{account}/{email['id']}?pictures=1")[2])["html"]
                for address in re.findall(r"/api/picture\?[^\"' ]*", html):
                    status, _, octets = self.browser.ask("GET", address.replace("&amp;", "&"))
                    self.assertEqual(status, 502, octets)
                    seen += 1
            else:
                status, _, octets = self.browser.ask("POST", "/api/unsubscribe", {"emailId": email["id"]})
                self.assertIn(status, (409, 502), (email, octets))
        self.assertGreater(seen, len(hosts))
        # The address of a picture is ours, and nobody else makes one.
        self.assertEqual(self.browser.ask("GET", f"/api/picture?u=aHR0cDovLzEyNy4wLjAuMS8&s={'0' * 64}")[0], 404)
        for number, host in enumerate(hosts[:15]):
            new = {"deviceClientId": f"d{number}", "url": f"https://{host}:{self.caught.port}/push"}
            self.jmap(["PushSubscription/set", {"create": {"p": new}}, "0"])
        time.sleep(1)
        self.assertEqual(self.caught.count, 0)

    def test_dns_names_no_server_of_a_private_network(self):
        for service, host in (("_imaps", "loop"), ("_imap", "ten"), ("_pop3s", "mapped"), ("_submissions", "loop"), ("_submission", "six")):
            name = f"{service}._tcp.srv.elsewhere.test"
            self.dns.records[(name, 33)] = [struct.pack(">HHH", 0, 1, self.caught.port) + lab.Dns.name(f"{host}.elsewhere.test")]
            self.dns.names.add(name)
        status, _, octets = self.browser.ask("POST", "/api/links/discover", {"address": "ann@srv.elsewhere.test"})
        told = json.loads(octets)
        self.assertEqual((status, told["incoming"], told["submission"]), (200, None, None), told)
        refused = [step for step in told["steps"] if "may not be reached" in step["found"]]
        self.assertEqual(len(refused), 5, told)
        self.assertEqual(self.caught.count, 0)

    def test_an_app_password_opens_mail_and_no_page(self):
        made = json.loads(self.server.run("account", "app-password", "add", "bob@here.test", "--name", "phone", "--json").stdout)
        password = made["password"]
        status, told, octets = Browser(self.server).sign_in(password, "bob@here.test")
        self.assertEqual((status, json.loads(octets)["needs"]), (401, "own-password"))
        self.assertNotIn("set-cookie", told)
        basic = "Basic " + base64.b64encode(f"bob@here.test:{password}".encode()).decode()
        by_program = lambda method, path, body=None: Browser(self.server).ask(method, path, body, Authorization=basic, Origin=None, X_Packetboat=None)
        self.assertEqual(by_program("GET", "/jmap/session")[0], 200)
        for method, path, body in (
            ("GET", "/api/sessions", None), ("GET", "/api/app-passwords", None), ("GET", "/api/totp", None), ("GET", "/api/links", None),
            ("GET", "/api/wire", None), ("POST", "/api/app-passwords/revoke", {"name": "phone"}), ("POST", "/api/sessions/revoke", {"others": True}),
            ("POST", "/api/password", {"current": password, "new": "long enough"}), ("POST", "/api/profile", {"password": password}),
            ("POST", "/api/totp/enrol", {"password": password}), ("POST", "/api/links/discover", {"address": "a@b.test"}),
        ):
            self.assertEqual(by_program(method, path, body)[0], 403, path)
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:submission", "urn:packetboat:params:jmap:program"]
        account = json.loads(by_program("GET", "/api/me")[2])["accountId"]
        calls = [["Identity/get", {"accountId": account}, "0"], ["Identity/set", {"accountId": account}, "1"], ["MailRules/set", {"accountId": account}, "2"]]
        answers = json.loads(by_program("POST", "/jmap/api", {"using": using, "methodCalls": calls})[2])["methodResponses"]
        self.assertEqual([answer.get("type", name) for name, answer, _ in answers], ["Identity/get", "forbidden", "forbidden"])
        # What it opened ends at once when it is taken back.
        stream = http.client.HTTPConnection("127.0.0.1", self.browser.port, timeout=10)
        stream.request("GET", "/jmap/eventsource/?types=*&closeafter=no&ping=0", headers={"Authorization": basic})
        events = stream.getresponse()
        self.assertEqual((events.status, events.readline()), (200, b": hello\n"))
        begun = time.monotonic()
        self.server.run("account", "app-password", "remove", "bob@here.test", "--name", "phone")
        try:
            events.read()
        except http.client.IncompleteRead:
            pass
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(by_program("GET", "/jmap/session")[0], 401)

    def test_guessing_gets_slow_whatever_the_door(self):
        # A proxy on this machine says who asks.
        basic = lambda password: "Basic " + base64.b64encode(f"bob@here.test:{password}".encode()).decode()
        doors = {
            "198.51.100.1": lambda: Browser(self.server).ask("POST", "/api/sign-in", {"address": "bob@here.test", "password": "no"}, X_Forwarded_For="198.51.100.1")[0],
            "203.0.113.1": lambda: Browser(self.server).ask("GET", "/jmap/session", Authorization=basic("no"), Origin=None, X_Forwarded_For="203.0.113.1")[0],
        }
        for door, knock in doors.items():
            begun = time.monotonic()
            self.assertEqual({knock() for _ in range(4)}, {401}, door)
            # Two are free, then one second, then two.
            self.assertGreater(time.monotonic() - begun, 1.5, door)
        self.assertEqual(Browser(self.server).ask("GET", "/jmap/session", Authorization=basic(self.server.password), Origin=None)[0], 200)

    def test_a_link_to_a_private_network_is_not_kept(self):
        wanted = {"address": "ann@loop.elsewhere.test", "server": f"imap://loop.elsewhere.test:{self.caught.port}", "login": "ann",
                  "password": "x", "folders": [], "collect": True}
        status, _, octets = self.browser.ask("POST", "/api/links", wanted)
        self.assertIn(status, (422, 429), octets)
        _, _, octets = self.browser.ask("GET", "/api/links")
        self.assertEqual(json.loads(octets)["links"], [])
        self.assertEqual(self.caught.count, 0)

    def test_another_name_is_not_this_server(self):
        for host in ("evil.test", f"evil.test:{self.browser.port}", "here.test.evil.test", "127.0.0.1.evil.test"):
            status, _, octets = Browser(self.server, host).ask("GET", "/api/me", Cookie=self.browser.cookie)
            self.assertEqual(status, 421, (host, octets))
            status, _, _ = Browser(self.server, host).ask("GET", "/")
            self.assertEqual(status, 421, host)

    def test_what_comes_from_another_page_does_nothing(self):
        foreign = [
            {"Origin": "http://evil.test"},
            {"Origin": "null"},
            {"Origin": None, "X_Packetboat": None},
            {"Origin": "http://evil.test", "X_Packetboat": None, "Content_Type": "text/plain"},
            {"Origin": "http://evil.test", "X_Packetboat": None, "Content_Type": "application/x-www-form-urlencoded"},
            # The same host, another port: the cookie comes along, for a browser that is one site.
            {"Origin": "http://127.0.0.1:1"},
        ]
        for headers in foreign:
            for path in ("/api/sign-out", "/api/sessions/revoke", "/api/password", "/jmap/api", "/api/links/look"):
                status, _, octets = self.browser.ask("POST", path, {"others": True}, **headers)
                self.assertIn(status, (403, 415), (headers, path, octets))
        status, _, octets = self.browser.ask("GET", "/api/me")
        self.assertEqual((status, json.loads(octets)["address"]), (200, "ann@here.test"), "still signed in")
        status, told, _ = self.browser.ask("OPTIONS", "/jmap/api", Origin="http://evil.test", Access_Control_Request_Method="POST")
        self.assertFalse([name for name in told if name.startswith("access-control")], (status, told))

    def test_a_cookie_is_for_this_server_and_this_program_alone(self):
        _, told, _ = Browser(self.server).sign_in(self.server.password)
        words = {word.strip().split("=")[0].lower() for word in told["set-cookie"].split(";")[1:]}
        self.assertLessEqual({"httponly", "samesite"}, words)
        self.assertIn("SameSite=Strict", told["set-cookie"])
        self.assertNotIn("secure", words, "on loopback without TLS a browser would not send it back")
        proxied = Browser(self.server)
        _, told, _ = proxied.ask("POST", "/api/sign-in", {"address": "ann@here.test", "password": self.server.password},
                                 X_Forwarded_Proto="https", Origin=f"https://{proxied.host}")
        self.assertIn("Secure", told.get("set-cookie", ""), "behind a proxy that ends TLS")


class Trial(unittest.TestCase):
    """Where loopback is admitted, and nothing else: a redirect leads no further."""

    def test_a_redirect_to_a_private_network_is_not_followed(self):
        caught = Caught()

        class Elsewhere(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{caught.port}/.well-known/x")
                self.end_headers()

            def log_message(self, *_):
                pass

        elsewhere = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        port = elsewhere.server_address[1]
        with lab.Server(accounts=("ann",), also=("http",), extra="[links]\nprivate_addresses = true") as server:
            browser = Browser(server)
            self.assertEqual(browser.sign_in(server.password)[0], 200)
            wanted = {"address": "ann@elsewhere.test", "server": "imaps://elsewhere.test:993", "clientId": "c",
                      "deviceUrl": f"http://127.0.0.1:{port}/device", "tokenUrl": f"http://127.0.0.1:{port}/token"}
            status, _, octets = browser.ask("POST", "/api/links/grants", wanted)
            self.assertEqual(status, 422, octets)
        elsewhere.shutdown()
        self.assertEqual(caught.count, 0, "what gives out tokens leads nowhere else")


if __name__ == "__main__":
    unittest.main()
