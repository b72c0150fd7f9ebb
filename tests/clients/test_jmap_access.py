"""JMAPACCESS (RFC 9698): the address that IMAP names is one under which the same mail answers, also behind a proxy that ends TLS."""

import base64
import imaplib
import json
import ssl
import unittest
import urllib.parse
import urllib.request

import lab

imaplib.Commands["GETJMAPACCESS"] = ("AUTH", "SELECTED")


def named(server):
    """What IMAP says of JMAP: announced or not, and where."""
    client = imaplib.IMAP4("127.0.0.1", server.ports["imap"])
    client.login("ann@here.test", server.password)
    _, words = client.capability()
    announced = b"JMAPACCESS" in words[0].split()
    where = None
    if announced:
        client._simple_command("GETJMAPACCESS")
        where = client.untagged_responses["JMAPACCESS"][0].decode().strip('"')
    client.logout()
    return announced, where


def session(where, port, server, proxied, account="ann@here.test"):
    """The session resource there, asked as who follows that address would; the proxy is played here."""
    url = urllib.parse.urlparse(where)
    basic = base64.b64encode(f"{account}:{server.password}".encode()).decode()
    headers = {"Host": url.netloc, "Authorization": f"Basic {basic}"}
    if proxied:
        headers["X-Forwarded-Proto"] = "https"
    scheme = "http" if proxied else "https"
    context = None if proxied else ssl._create_unverified_context()
    request = urllib.request.Request(f"{scheme}://127.0.0.1:{port}{url.path}", headers=headers)
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        return json.load(answer)


class JmapAccess(unittest.TestCase):
    def test_the_listener_is_named_where_nothing_is_said(self):
        with lab.Server(accounts=("ann",), also=("https",)) as server:
            announced, where = named(server)
            self.assertTrue(announced)
            self.assertEqual(where, f"https://mail.here.test:{server.ports['https']}/.well-known/jmap")
            self.assertEqual(session(where, server.ports["https"], server, False)["username"], "ann@here.test")

    def test_behind_a_proxy_it_is_what_the_operator_says(self):
        url = "https://jmap.here.test/.well-known/jmap"
        with lab.Server(accounts=("ann",), also=("http",), extra=f'[imap]\njmap_url = "{url}"') as server:
            self.assertEqual(named(server), (True, url))
            told = session(url, server.ports["http"], server, True)
            self.assertEqual(told["username"], "ann@here.test")
            self.assertTrue(told["apiUrl"].startswith("https://jmap.here.test/"), told["apiUrl"])

    def test_without_either_nothing_is_announced(self):
        with lab.Server(accounts=("ann",), also=("http",)) as server:
            self.assertEqual(named(server), (False, None))
