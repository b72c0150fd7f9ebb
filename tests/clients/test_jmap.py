"""JMAP and HTTP of the real server with Python's own http.client, and its answers held against the tables of RFC 8620 and RFC 8621.

The tables below are a checker of our own, written from the RFCs; `test_jmapc.py` has a client library of somebody else.
"""

import base64
import hashlib
import hmac
import http.client
import imaplib
import json
import plistlib
import re
import smtplib
import struct
import time
import unittest
import xml.etree.ElementTree as ElementTree

import lab

ANN, BOB = "ann@here.test", "bob@here.test"
CORE = "urn:ietf:params:jmap:core"
USING = [CORE] + [f"urn:ietf:params:jmap:{n}" for n in ("mail", "submission", "quota", "vacationresponse", "blob", "mdn")]
USING.append("urn:packetboat:params:jmap:program")

ID = re.compile(r"^[A-Za-z0-9_-]{1,255}$")
UTC = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z$")
DATE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?(Z|[+-]\d\d:\d\d)$")


def text(value):
    return isinstance(value, str)


def truth(value):
    return isinstance(value, bool)


def ident(value):
    return text(value) and bool(ID.match(value))


def unsigned(value):
    return isinstance(value, int) and not truth(value) and 0 <= value < 2**53


def utc(value):
    return text(value) and bool(UTC.match(value))


def date(value):
    return text(value) and bool(DATE.match(value))


def only(*words):
    return lambda value: value in words


def null_or(check):
    return lambda value: value is None or check(value)


def list_of(check):
    return lambda value: isinstance(value, list) and all(check(one) for one in value)


def map_of(key, check):
    return lambda value: isinstance(value, dict) and all(key(k) and check(v) for k, v in value.items())


def is_true(value):
    return value is True


def anything(_):
    return True


def shape(table):
    """An object with exactly these properties."""
    return lambda value: isinstance(value, dict) and set(value) == set(table) and all(check(value[name]) for name, check in table.items())


ADDRESS = shape({"name": null_or(text), "email": text})
KEYWORD = re.compile(r"^[\x21-\x7e]{1,255}$")


def keyword(value):
    return bool(KEYWORD.match(value)) and value == value.lower() and not set('(){]%*"\\') & set(value)


# RFC 8621 §4.1.4
PART = {
    "partId": null_or(text), "blobId": null_or(ident), "size": unsigned, "name": null_or(text), "type": text, "charset": null_or(text),
    "disposition": null_or(text), "cid": null_or(text), "language": null_or(list_of(text)), "location": null_or(text),
}
# RFC 8621 §4.1.1 to §4.1.4: the default properties of Email/get (§4.2)
EMAIL = {
    "id": ident, "blobId": ident, "threadId": ident, "mailboxIds": map_of(ident, is_true), "keywords": map_of(keyword, is_true),
    "size": unsigned, "receivedAt": utc, "messageId": null_or(list_of(text)), "inReplyTo": null_or(list_of(text)),
    "references": null_or(list_of(text)), "sender": null_or(list_of(ADDRESS)), "from": null_or(list_of(ADDRESS)),
    "to": null_or(list_of(ADDRESS)), "cc": null_or(list_of(ADDRESS)), "bcc": null_or(list_of(ADDRESS)),
    "replyTo": null_or(list_of(ADDRESS)), "subject": null_or(text), "sentAt": null_or(date), "hasAttachment": truth, "preview": text,
    "bodyValues": map_of(text, shape({"value": text, "isEncodingProblem": truth, "isTruncated": truth})),
    "textBody": list_of(shape(PART)), "htmlBody": list_of(shape(PART)), "attachments": list_of(shape(PART)),
}
RIGHTS = ("mayReadItems", "mayAddItems", "mayRemoveItems", "maySetSeen", "maySetKeywords", "mayCreateChild", "mayRename", "mayDelete", "maySubmit")
# RFC 8621 §2
MAILBOX = {
    "id": ident, "name": lambda v: text(v) and v, "parentId": null_or(ident), "role": null_or(text), "sortOrder": unsigned,
    "totalEmails": unsigned, "unreadEmails": unsigned, "totalThreads": unsigned, "unreadThreads": unsigned,
    "myRights": shape({right: truth for right in RIGHTS}), "isSubscribed": truth,
}
# RFC 8621 §3, §6, §7, §8
THREAD = {"id": ident, "emailIds": list_of(ident)}
IDENTITY = {
    "id": ident, "name": text, "email": text, "replyTo": null_or(list_of(ADDRESS)), "bcc": null_or(list_of(ADDRESS)),
    "textSignature": text, "htmlSignature": text, "mayDelete": truth,
}
STATUS = shape({"smtpReply": text, "delivered": only("queued", "yes", "no", "unknown"), "displayed": only("unknown", "yes")})
ENVELOPED = shape({"email": text, "parameters": null_or(map_of(text, null_or(text)))})
SUBMISSION = {
    "id": ident, "identityId": ident, "emailId": ident, "threadId": ident,
    "envelope": null_or(shape({"mailFrom": ENVELOPED, "rcptTo": list_of(ENVELOPED)})), "sendAt": utc,
    "undoStatus": only("pending", "final", "canceled"), "deliveryStatus": null_or(map_of(text, STATUS)),
    "dsnBlobIds": list_of(ident), "mdnBlobIds": list_of(ident),
}
VACATION = {
    "id": only("singleton"), "isEnabled": truth, "fromDate": null_or(utc), "toDate": null_or(utc), "subject": null_or(text),
    "textBody": null_or(text), "htmlBody": null_or(text),
}
# RFC 8620 §5.1 to §5.6
GET = {"accountId": ident, "state": text, "list": anything, "notFound": list_of(ident)}
CHANGES = {
    "accountId": ident, "oldState": text, "newState": text, "hasMoreChanges": truth, "created": list_of(ident),
    "updated": list_of(ident), "destroyed": list_of(ident),
}
SET_ERROR = lambda value: isinstance(value, dict) and text(value.get("type")) and null_or(text)(value.get("description"))
SET = {
    "accountId": ident, "oldState": null_or(text), "newState": text, "created": null_or(map_of(text, lambda v: isinstance(v, dict))),
    "updated": null_or(map_of(ident, null_or(lambda v: isinstance(v, dict)))), "destroyed": null_or(list_of(ident)),
    "notCreated": null_or(map_of(text, SET_ERROR)), "notUpdated": null_or(map_of(text, SET_ERROR)), "notDestroyed": null_or(map_of(text, SET_ERROR)),
}
# `limit` where none was asked for: the server has one.
QUERY = {"accountId": ident, "queryState": text, "canCalculateChanges": truth, "position": unsigned, "ids": list_of(ident), "limit": unsigned}


class Client:
    """One account's HTTP."""

    def __init__(self, server, address, password=None, cookie=None):
        self.server, self.address = server, address
        basic = base64.b64encode(f"{address}:{password or server.password}".encode()).decode()
        self.headers = {"Cookie": cookie} if cookie else {"Authorization": f"Basic {basic}"}

    def ask(self, method, path, body=None, headers=(), host="localhost"):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.ports["http"], timeout=30)
        try:
            everything = {**self.headers, "Host": host, **dict(headers)}
            connection.request(method, path, body, everything)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def post(self, path, value):
        ours = {"Content-Type": "application/json", "X-Packetboat": "1", "Origin": "http://localhost"}
        return self.ask("POST", path, json.dumps(value), ours)

    def session(self):
        status, _, octets = self.ask("GET", "/.well-known/jmap")
        assert status == 200, octets
        return json.loads(octets)

    def calls(self, *calls):
        account = self.session()["primaryAccounts"]["urn:ietf:params:jmap:mail"]
        named = [[name, {"accountId": account, **arguments}, str(at)] for at, (name, arguments) in enumerate(calls)]
        status, _, octets = self.post("/jmap/api", {"using": USING, "methodCalls": named})
        assert status == 200, octets
        return [(name, answer) for name, answer, _ in json.loads(octets)["methodResponses"]]

    def call(self, name, arguments):
        (answered, answer), *_ = self.calls((name, arguments))
        assert answered == name, (name, answer)
        return answer


def code(secret, at=None):
    """RFC 6238 with the usual values."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.digest(key, struct.pack(">Q", int(at or time.time()) // 30), hashlib.sha1)
    offset = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[offset : offset + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


class Jmap(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = lab.Server(start_with=("ann", "bob"), also=("http",)).start()
        cls.ann, cls.bob = Client(cls.server, ANN), Client(cls.server, BOB)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def holds(self, table, value, what):
        self.assertIsInstance(value, dict, what)
        self.assertEqual(set(value), set(table), what)
        for name, check in table.items():
            self.assertTrue(check(value[name]), f"{what}: {name} = {value[name]!r}")

    def by_imap(self, mailbox, message, address=ANN):
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login(address, self.server.password)
            kind, _ = imap.append(mailbox, None, None, message)
            self.assertEqual(kind, "OK")

    def send(self, sender, to, message):
        with smtplib.SMTP("127.0.0.1", self.server.ports["smtp"], timeout=20) as smtp:
            smtp.sendmail(sender, [to], message)

    def mailbox(self, client, role):
        all_of_them = client.call("Mailbox/get", {"ids": None})["list"]
        return next(box["id"] for box in all_of_them if box["role"] == role)

    def subjects(self, client, **filter):
        found = client.calls(("Email/query", {"filter": filter}))[0][1]["ids"]
        return [email["subject"] for email in client.call("Email/get", {"ids": found, "properties": ["subject"]})["list"]]

    def test_jmap_answers_are_of_the_shapes_of_the_rfcs(self):
        session = self.ann.session()
        for name in ("capabilities", "accounts", "primaryAccounts", "username", "apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl", "state"):
            self.assertIn(name, session)
        for name in ("maxSizeUpload", "maxConcurrentUpload", "maxSizeRequest", "maxConcurrentRequests", "maxCallsInRequest", "maxObjectsInGet", "maxObjectsInSet"):
            self.assertTrue(unsigned(session["capabilities"][CORE][name]), name)
        self.by_imap("INBOX", (
            b"From: =?utf-8?q?B=C3=B6b?= <bob@there.test>\r\nTo: ann@here.test, team:a@b.test,c@d.test;\r\nSubject: parts\r\n"
            b"Date: Thu, 30 Oct 2014 06:12:00 +0100\r\nMessage-ID: <1@there.test>\r\nReferences: <0@there.test>\r\n"
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<b>Hi</b>\r\n"
            b"--x\r\nContent-Type: image/png; name=a.png\r\nContent-Disposition: attachment\r\nContent-ID: <c@d>\r\n\r\nx\r\n--x--\r\n"))
        self.by_imap("INBOX", b"\r\n")
        self.by_imap("Drafts", b"From: ann@here.test\r\nTo: bob@here.test\r\nSubject: sent by JMAP\r\n\r\nHello\r\n")
        query = self.ann.call("Email/query", {"sort": [{"property": "receivedAt", "isAscending": False}], "calculateTotal": True})
        self.holds({**QUERY, "total": unsigned, "collapseThreads": truth}, query, "Email/query")
        emails = self.ann.call("Email/get", {"ids": query["ids"], "fetchAllBodyValues": True})
        self.holds(GET, emails, "Email/get")
        self.assertGreaterEqual(len(emails["list"]), 3)
        for email in emails["list"]:
            self.holds(EMAIL, email, "Email")
        threads = self.ann.call("Thread/get", {"ids": [email["threadId"] for email in emails["list"]]})
        [self.holds(THREAD, thread, "Thread") for thread in threads["list"]]
        mailboxes = self.ann.call("Mailbox/get", {"ids": None})
        [self.holds(MAILBOX, box, "Mailbox") for box in mailboxes["list"]]
        self.holds(QUERY, self.ann.call("Mailbox/query", {}), "Mailbox/query")
        [self.holds(IDENTITY, one, "Identity") for one in self.ann.call("Identity/get", {"ids": None})["list"]]
        [self.holds(VACATION, one, "VacationResponse") for one in self.ann.call("VacationResponse/get", {"ids": None})["list"]]
        draft = next(email["id"] for email in emails["list"] if email["subject"] == "sent by JMAP")
        create = {"create": {"s": {"identityId": "main", "emailId": draft}}}
        sent = self.ann.call("EmailSubmission/set", create)
        self.holds(SET, sent, "EmailSubmission/set")
        self.assertTrue(sent["created"], sent)
        [self.holds(SUBMISSION, one, "EmailSubmission") for one in self.ann.call("EmailSubmission/get", {"ids": None})["list"]]
        lab.wait_for("it at bob's", lambda: "sent by JMAP" in self.subjects(self.bob))
        for kind in ("Mailbox", "Thread", "Email", "Identity", "EmailSubmission", "VacationResponse"):
            self.holds(CHANGES | ({"updatedProperties": anything} if kind == "Mailbox" else {}),
                       self.ann.call(f"{kind}/changes", {"sinceState": emails["state"]}), f"{kind}/changes")
        wrong = self.ann.calls(("Nothing/get", {}), ("Email/get", {"ids": 7}), ("Email/query", {"filter": {"nonsense": 1}}))
        self.assertEqual([answer["type"] for _, answer in wrong], ["unknownMethod", "invalidArguments", "unsupportedFilter"])

    def test_jmap_rules_and_vacation_are_done_when_mail_comes(self):
        made = self.bob.call("Mailbox/set", {"create": {"m": {"name": "Shops"}}})["created"]["m"]["id"]
        rule = {"name": "Shop", "if": [{"field": "from", "is": "@shop.test"}], "then": {"moveTo": made, "keywords": ["$flagged"]}}
        done = self.bob.call("MailRules/set", {"update": {"singleton": {"rules": [rule], "blocked": ["eve@x.test"]}}})
        self.assertEqual(done["updated"], {"singleton": None}, done)
        away = {"isEnabled": True, "subject": "Away", "textBody": "Back on Monday."}
        self.bob.call("VacationResponse/set", {"update": {"singleton": away}})
        self.send("news@shop.test", BOB, "From: news@shop.test\r\nTo: bob@here.test\r\nSubject: sale\r\nList-Id: <x>\r\n\r\nx\r\n")
        self.send("eve@x.test", BOB, "From: eve@x.test\r\nTo: bob@here.test\r\nSubject: spam\r\n\r\nx\r\n")
        self.send(ANN, BOB, "From: ann@here.test\r\nTo: bob@here.test\r\nSubject: question\r\n\r\nx\r\n")
        self.assertEqual(self.subjects(self.bob, inMailbox=made), ["sale"])
        self.assertEqual(self.subjects(self.bob, inMailbox=self.mailbox(self.bob, "junk")), ["spam"])
        lab.wait_for("the answer", lambda: "Away" in self.subjects(self.ann))
        sale = self.bob.call("Email/query", {"filter": {"inMailbox": made}})["ids"]
        events = lab.wait_for("the trace", lambda: self.bob.call("Trace/get", {"ids": sale})["list"][0]["events"])
        self.assertTrue(any('the rule "Shop"' in event["detail"] for event in events), events)
        # IMAP sees the same mailbox and flag.
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login(BOB, self.server.password)
            imap.select("Shops")
            self.assertEqual(imap.search(None, "FLAGGED")[1], [b"1"])
        self.bob.call("VacationResponse/set", {"update": {"singleton": {"isEnabled": False}}})
        self.bob.call("MailRules/set", {"update": {"singleton": {"rules": [], "blocked": []}}})

    def test_jmap_sign_in_with_a_code_and_a_new_password(self):
        self.server.account("cy", "first password")
        cy = "cy@here.test"
        sign_in = lambda **more: Client(self.server, cy).post("/api/sign-in", {"address": cy, **more})
        status, headers, _ = sign_in(password="first password")
        self.assertEqual(status, 200)
        page = Client(self.server, cy, cookie=headers["set-cookie"].split(";")[0])
        secret = json.loads(page.post("/api/totp/enrol", {"password": "first password"})[2])["secret"]
        _, headers, body = page.post("/api/totp/confirm", {"code": code(secret)})
        codes = json.loads(body)["recoveryCodes"]
        self.assertEqual(page.ask("GET", "/api/me")[0], 401)
        page = Client(self.server, cy, cookie=headers["set-cookie"].split(";")[0])
        status, _, body = sign_in(password="first password")
        self.assertEqual((status, json.loads(body)["needs"]), (401, "totp"))
        self.assertEqual(sign_in(password="first password", totp=code(secret, time.time() + 30))[0], 200)
        made = page.post("/api/app-passwords", {"name": "phone", "password": "first password"})
        self.assertEqual(made[0], 201, made)
        program = json.loads(made[2])["password"]
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            with self.assertRaisesRegex(imaplib.IMAP4.error, "Use an app password"):
                imap.login(cy, "first password")
            imap.login(cy, program)
        self.assertEqual(Client(self.server, cy, program).ask("GET", "/jmap/session")[0], 200)
        self.assertEqual(Client(self.server, cy, "first password").ask("GET", "/jmap/session")[0], 403)
        status, headers, _ = page.post("/api/password", {"current": "first password", "new": "second password"})
        self.assertEqual(status, 200)
        self.assertEqual(page.ask("GET", "/api/me")[0], 401)
        page = Client(self.server, cy, cookie=headers["set-cookie"].split(";")[0])
        self.assertEqual(page.ask("GET", "/api/me")[0], 200)
        self.assertEqual(sign_in(password="second password", totp=codes[0])[0], 200)
        self.assertEqual(sign_in(password="second password", totp=codes[0])[0], 401)

    def test_jmap_programs_find_their_settings(self):
        nobody = Client(self.server, ANN)
        nobody.headers = {}
        for host, path in (("autoconfig.here.test", "/mail/config-v1.1.xml?emailaddress=ann%40here.test"),
                           ("here.test", "/.well-known/autoconfig/mail/config-v1.1.xml")):
            status, headers, octets = nobody.ask("GET", path, host=host)
            self.assertEqual((status, headers["content-type"].split(";")[0]), (200, "application/xml"))
            servers = ElementTree.fromstring(octets).findall("./emailProvider/*[@type]")
            told = {(s.get("type"), s.findtext("socketType"), int(s.findtext("port"))) for s in servers}
            self.assertIn(("imap", "SSL", self.server.ports["imaps"]), told)
            self.assertIn(("smtp", "STARTTLS", self.server.ports["submission"]), told)
        ask = "<Autodiscover><Request><EMailAddress>ann@here.test</EMailAddress></Request></Autodiscover>"
        status, _, octets = nobody.ask("POST", "/autodiscover/autodiscover.xml", ask, {"Content-Type": "text/xml"}, host="autodiscover.here.test")
        self.assertEqual(status, 200)
        types = [e.text for e in ElementTree.fromstring(octets).iter() if e.tag.endswith("}Type")]
        self.assertEqual(sorted(set(types)), ["IMAP", "POP3", "SMTP"])
        policy = nobody.ask("GET", "/.well-known/mta-sts.txt", host="mta-sts.here.test")[2].decode()
        self.assertEqual(policy.split("\r\n")[:3], ["version: STSv1", "mode: enforce", "mx: mail.here.test"])
        status, _, octets = self.ann.post("/api/profile", {"password": self.server.password})
        self.assertEqual(status, 201, octets)
        path = json.loads(octets)["url"].split("localhost", 1)[1]
        status, _, octets = nobody.ask("GET", path)
        mail = plistlib.loads(octets)["PayloadContent"][0]
        self.assertEqual((mail["IncomingMailServerPortNumber"], mail["IncomingMailServerUsername"]), (self.server.ports["imaps"], ANN))
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login(ANN, mail["IncomingPassword"])
        self.assertEqual(nobody.ask("GET", path)[0], 404)

    def test_jmap_one_s_own_dialogue_is_shown(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.ports["http"], timeout=20)
        connection.request("GET", "/api/wire", headers={**self.ann.headers, "Host": "localhost"})
        stream = connection.getresponse()
        self.assertIn(b"watching", stream.fp.readline() + stream.fp.readline())
        with imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]) as imap:
            imap.login(ANN, self.server.password)
            imap.select("INBOX")
        seen = b""
        while b"SELECT" not in seen:
            seen += stream.fp.readline()
        connection.close()
        self.assertNotIn(self.server.password.encode(), seen)
        self.assertIn(b'"protocol":"imap"', seen)


if __name__ == "__main__":
    unittest.main()
