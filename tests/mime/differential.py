#!/usr/bin/env python3
"""Our reading of messages against Python's `email` (policy.default), over generated and mutated messages.

    tests/mime/differential.py [--count N] [--seed N] [--show CLASS]

Every message is a function of its seed. Where the two readers differ, `explain` must name why with one of the classes of
disagreements.tsv (who is right, and by which RFC); what nothing explains is printed with its seed, and the run fails.
The reader is crates/message/examples/read_messages.rs, built if need be; READ_MESSAGES names another.
"""

import argparse
import base64
import collections
import datetime
import email
import email.header
import email.policy
import json
import os
import pathlib
import quopri
import random
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

WORDS = ["Hello", "Grüße", "日本語", "naïve", "a", "Ω", "the", "quick", "brown", "fox", "x=y", "re:", "[list]", "100%", "☺"]
ASCII = ["Hello", "world", "a", "the", "quick", "brown", "fox", "x=y", "re:", "[list]", "100%", "it's", "end."]
CHARSETS = ["utf-8", "iso-8859-1", "windows-1252", "koi8-r", "iso-2022-jp", "us-ascii"]


# -- messages ---------------------------------------------------------------------------------------------------------


def encodable(text, charset):
    return text.encode(charset, "ignore").decode(charset)


def encoded_word(r, text):
    charset = r.choice(["utf-8", "iso-8859-1", "UTF-8", "koi8-r"])
    octets = encodable(text, charset).encode(charset)
    if r.random() < 0.5:
        return f"=?{charset}?B?{base64.b64encode(octets).decode()}?="
    body = "".join(chr(o) if chr(o).isascii() and chr(o).isalnum() else "_" if o == 32 else f"={o:02X}" for o in octets)
    return f"=?{charset}?{r.choice('Qq')}?{body}?="


def unstructured(r):
    out = []
    for _ in range(r.randint(1, 6)):
        word = r.choice(WORDS)
        out.append(word if word.isascii() and r.random() < 0.8 else encoded_word(r, word + r.choice(["", " two"])))
    text = out[0]
    for word in out[1:]:
        text += r.choice([" ", " ", " ", "  ", "\r\n ", "\r\n\t"]) + word
    return text


def phrase(r):
    kind = r.randrange(5)
    if kind == 0:
        return " ".join(r.choice(["Ann", "Bob", "Cat", "Dr"]) for _ in range(r.randint(1, 3)))
    if kind == 1:
        return '"%s"' % r.choice(["Doe, Ann", "a \\\"b\\\" c", "x@y", "A. B.", "semi;colon"])
    if kind == 2:
        return encoded_word(r, r.choice(["Grüße", "Änne Müller", "日本"]))
    if kind == 3:
        return encoded_word(r, "Ä") + " " + encoded_word(r, "Ö")
    return ""


def address(r):
    local = r.choice(["ann", "bob.b", "a+b", "x_y", '"quoted local"', "postmaster"])
    spec = f"{local}@{r.choice(['here.test', 'sub.there.test', 'x.test', '[192.0.2.1]'])}"
    name = phrase(r)
    text = f"{name} <{spec}>" if name or r.random() < 0.4 else spec
    if r.random() < 0.1:
        text += " (a comment)"
    return text


def addresses(r):
    out = [address(r) for _ in range(r.randint(1, 4))]
    if r.random() < 0.1:
        out.append(f"friends: {', '.join(address(r) for _ in range(r.randint(0, 2)))};")
    return r.choice([", ", ",\r\n ", ","]).join(out)


def date(r):
    when = datetime.datetime(1990, 1, 1) + datetime.timedelta(seconds=r.randrange(40 * 365 * 86400))
    zone = r.choice(["+0000", "-0800", "+0530", "GMT", "EST", "+1400"])
    day = f"{when:%a, }" if r.random() < 0.8 else ""
    year = f"{when:%Y}" if r.random() < 0.9 else f"{when:%y}"
    seconds = f":{when:%S}" if r.random() < 0.9 else ""
    return f"{day}{when.day}{r.choice([' ', '  '])}{when:%b} {year} {when:%H:%M}{seconds} {zone}{r.choice(['', '', ' (zone)'])}"


def file_name(r):
    kind = r.randrange(5)
    if kind == 0:
        return f'="{r.choice(["cat.png", "two words.txt", "a;b.txt", "x.tar.gz"])}"'
    if kind == 1:
        return "=cat.png"
    if kind == 2:
        return "*=utf-8''%E2%98%BA%20x.txt"
    if kind == 3:
        return "*0*=utf-8''%E2%98%BA; {0}*1=\"rest.txt\""
    return "*=iso-8859-1'en'%E4.txt"


def text_body(r, charset):
    lines = []
    for _ in range(r.randint(0, 6)):
        line = encodable(" ".join(r.choice(WORDS) for _ in range(r.randint(0, 9))), charset)
        lines.append(r.choice(["", "", "> ", "From ", "--", "."]) + line)
    return "\r\n".join(lines) + r.choice(["", "\r\n"])


def encode_body(r, octets, header):
    kind = r.randrange(5)
    if kind == 0:
        header.append("Content-Transfer-Encoding: " + r.choice(["base64", "BASE64", "base64 (c)"] if r.random() < 0.3 else ["base64"]))
        lines = base64.encodebytes(octets).replace(b"\n", b"\r\n")
        return lines
    if kind == 1:
        header.append("Content-Transfer-Encoding: quoted-printable")
        return quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    if octets.isascii():
        if r.random() < 0.5:
            header.append("Content-Transfer-Encoding: 7bit")
        return octets
    header.append("Content-Transfer-Encoding: " + r.choice(["8bit", "binary"]))
    return octets


def entity(r, depth, header):
    """Header lines are added to `header`; the body is returned."""
    kind = r.random()
    if depth > 0 and kind < 0.45:
        sub = r.choice(["mixed", "alternative", "related", "digest", "signed", "report", "x-odd"])
        boundary = r.choice(["a", "b", "aa", "=_x", "----=_NextPart", "b b", "q'"]) + str(depth)
        quoted = '"' if not boundary.isalnum() or r.random() < 0.5 else ""
        header.append(f"Content-Type: multipart/{sub}; boundary={quoted}{boundary}{quoted}")
        out = r.choice([b"", b"", b"preamble\r\n"])
        for _ in range(r.randint(1, 3)):
            inner = []
            body = entity(r, depth - 1, inner)
            out += f"--{boundary}{r.choice(['', '', '', ' '])}\r\n".encode() + join(inner, body) + b"\r\n"
        return out + f"--{boundary}--\r\n".encode() + r.choice([b"", b"", b"epilogue\r\n"])
    if depth > 0 and kind < 0.52:
        header.append("Content-Type: message/rfc822")
        return message(r, depth - 1)
    if kind < 0.56:
        header.append("Content-Type: message/delivery-status")
        return b"Reporting-MTA: dns; x.test\r\n\r\nFinal-Recipient: rfc822; a@x.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    if kind < 0.72:
        main = r.choice(["application/octet-stream", "image/png", "application/pdf", "audio/basic"])
        name = file_name(r)
        where = r.randrange(3)
        if where:
            header.append(f"Content-Type: {main}" + (f"; name{name.format('name')}" if where == 1 else ""))
            if where == 2:
                header.append(f"Content-Disposition: attachment;\r\n filename{name.format('filename')}")
        else:
            header.append(f"Content-Type: {main}")
        header.append("Content-Transfer-Encoding: base64")
        return base64.encodebytes(r.randbytes(r.randint(0, 120))).replace(b"\n", b"\r\n")
    charset = r.choice(CHARSETS)
    if r.random() < 0.85:
        quoted = r.choice(["", '"'])
        header.append(f"Content-Type: text/{r.choice(['plain', 'plain', 'html', 'x-odd'])}; charset={quoted}{charset}{quoted}")
    else:
        charset = "us-ascii"
    return encode_body(r, text_body(r, charset).encode(charset), header)


def join(header, body):
    return "\r\n".join(header + ["", ""] if header else [""]).encode() + (b"" if header else b"\r\n") + body


def message(r, depth):
    header = [f"From: {address(r)}", f"To: {addresses(r)}", f"Subject: {unstructured(r)}", f"Date: {date(r)}"]
    if r.random() < 0.3:
        header.append(f"Cc: {addresses(r)}")
    if r.random() < 0.3:
        header.append(f"X-Odd: {unstructured(r)}")
    if r.random() < 0.8:
        header.append("MIME-Version: 1.0")
    body = entity(r, depth, header)
    r.shuffle(header)
    return join(header, body)


TOKENS = [b"\r\n", b"\n", b" ", b"\t", b'"', b"(", b")", b"<", b">", b";", b",", b"=", b"?=", b"=?", b"--", b"\xe4", b"\x00", b":", b"--a1\r\n", b"!!", b"Content-Type: text/html\r\n"]


def mutate(r, octets):
    for _ in range(r.randint(1, 3)):
        lines = octets.split(b"\r\n")
        at = r.randrange(len(lines))
        kind = r.randrange(9)
        if kind == 0:
            octets = octets.replace(b"\r\n", b"\n")
        elif kind == 1:
            octets = b"\r\n".join(lines[:at] + lines[at + 1 :])
        elif kind == 2:
            octets = b"\r\n".join(lines[:at] + lines[at : at + 1] + lines[at:])
        elif kind == 3:
            octets = octets[: r.randrange(len(octets) + 1)]
        elif kind == 4:
            octets = b"\r\n".join(lines[:at] + [b""] + lines[at:])
        elif kind == 5:
            place = r.randrange(len(octets) + 1)
            octets = octets[:place] + octets[place + r.randint(1, 8) :]
        elif kind == 6:
            place = r.randrange(len(octets) + 1)
            octets = octets[:place] + r.choice(TOKENS) + octets[place:]
        elif kind == 7:
            other = r.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
            octets = b"\r\n".join(lines)
        elif octets:
            place = r.randrange(len(octets))
            octets = octets[:place] + bytes([octets[place] ^ 1 << r.randrange(8)]) + octets[place + 1 :]
    return octets


def generate(seed):
    r = random.Random(seed)
    octets = message(r, r.randint(0, 3))
    return mutate(r, octets) if r.random() < 0.4 else octets


# -- Python's reading -------------------------------------------------------------------------------------------------


def python_parts(part, parent, out):
    index = len(out)
    content_type = part.get_content_type()
    entry = {"parent": parent, "type": content_type, "part": part, "content": None, "text": None, "name": None, "kind": "Leaf"}
    out.append(entry)
    try:
        entry["name"] = part.get_filename()
    except Exception as error:
        entry["name"] = error
    if part.is_multipart() and content_type != "message/delivery-status":
        entry["kind"] = "Multipart" if content_type.startswith("multipart/") else "Message"
        for child in part.get_payload():
            python_parts(child, index, out)
        return
    if part.is_multipart():
        # Groups of fields that Python makes messages of.
        entry["content"] = b"".join(bytes(group) for group in part.get_payload())
        return
    try:
        entry["content"] = part.get_payload(decode=True)
    except Exception as error:
        entry["content"] = error
    if part.get_content_maintype() == "text":
        try:
            entry["text"] = part.get_content()
        except Exception as error:
            entry["text"] = error


def python_field(name, value):
    lower = name.lower()
    if lower in ("from", "to", "cc", "sender", "reply-to"):
        return [[a.display_name, a.username, a.domain] for a in value.addresses]
    if lower == "date":
        when = value.datetime
        if when is None:
            return None
        return int((when if when.tzinfo else when.replace(tzinfo=datetime.timezone.utc)).timestamp())
    return str(value)


def python_read(octets):
    """What Python reads, or the exception it raises."""
    parts = []
    try:
        found = email.message_from_bytes(octets, policy=email.policy.default)
        python_parts(found, -1, parts)
    except Exception as error:
        return error
    fields = []
    for name, value in found.raw_items():
        lower = name.lower()
        try:
            fields.append([lower, python_field(lower, found.policy.header_fetch_parse(name, value)), value])
        except Exception as error:
            fields.append([lower, error, value])
    return {"message": found, "parts": parts, "fields": fields}


# -- comparing --------------------------------------------------------------------------------------------------------


def lines(text):
    return text.replace("\r\n", "\n").rstrip("\n")


def disagreements(ours, theirs):
    """(what, ours, theirs, context)"""
    out = []
    if isinstance(theirs, Exception):
        return [("message", None, theirs, None)]
    shape = lambda parts: [(p["parent"], p["type"], p["kind"]) for p in parts]
    if shape(ours["parts"]) != shape(theirs["parts"]):
        out.append(("tree", shape(ours["parts"]), shape(theirs["parts"]), theirs))
    else:
        for mine, other in zip(ours["parts"], theirs["parts"]):
            content = mine["content"].encode("latin-1")
            if other["type"] == "message/delivery-status" and other["part"].is_multipart():
                # Python makes messages of its groups: only their words can be compared.
                content, other["content"] = content.split(), other["content"].split()
            if other["kind"] == "Leaf" and content != other["content"]:
                out.append(("content", content, other["content"], (other["part"], theirs["message"])))
            elif mine["text"] is not None and (isinstance(other["text"], Exception) or lines(mine["text"]) != lines(other["text"] or "")):
                out.append(("text", mine["text"], other["text"], (other["part"], theirs["message"])))
            if (mine["name"] or None) != (other["name"] or None):
                out.append(("name", mine["name"], other["name"], (other["part"], theirs["message"])))
    names = lambda fields: [f[0] for f in fields]
    if names(ours["fields"]) != names(theirs["fields"]):
        out.append(("fields", names(ours["fields"]), names(theirs["fields"]), theirs))
    else:
        for mine, other in zip(ours["fields"], theirs["fields"]):
            if mine[0].startswith("content-") or mine[0] == "mime-version":
                continue
            if mine[1] != other[1]:
                what = {"date": "date"}.get(mine[0], "people" if isinstance(mine[1], list) else "words")
                out.append((what, mine[1], other[1], other[2]))
    return out


def squeezed(text):
    return re.sub(r"\s+", "", text)


def explain_people(mine, other, raw):
    """Names and addresses; `raw` is the field as it stands."""
    if any(re.search("[\udc80-\udcff]", text) for person in other for text in person):
        return "eight-bit-field"
    plain = lambda people: [[squeezed(name), local, domain] for name, local, domain in people]
    if plain(mine) == plain(other):
        return "adjacent-words-in-phrase" if re.search(r"\?=\s+=\?", raw) else "phrase-blanks"
    if email.policy.default.header_fetch_parse("to", raw).defects:
        return "address-malformed"
    without_names = lambda people: [p[1:] for p in people]
    if without_names(mine) == without_names(other):
        differing = [(a[0], b[0]) for a, b in zip(mine, other) if squeezed(a[0]) != squeezed(b[0])]
        if all(b == "" and f"({a})" in raw for a, b in differing):
            return "comment-as-name"
    return explain_words("", "", raw)


def defects(message):
    return {type(defect).__name__ for part in message.walk() for defect in part.defects}


def has_adjacent_boundaries(octets):
    return re.search(rb"(?m)^(--[^\r\n]*?)[ \t]*\r?\n\1[ \t]*\r?$", octets)


def has_part_after_end(octets):
    ends = re.finditer(rb"(?m)^(--[^\r\n]+)--[ \t]*\r?$", octets)
    return any(re.search(rb"(?m)^" + re.escape(end[1]) + rb"[ \t]*\r?$", octets[end.end() :]) for end in ends)


def explain_tree(mine, other, octets):
    """Which parts there are, and of what types."""
    differing = [(a, b) for a, b in zip(mine, other) if a != b]
    if len(mine) == len(other):
        of = lambda t: re.split("[^!#-'*+.0-9A-Z^-~-]", t.partition("/")[2].lower())[0]
        if all(of(b[1]) == a[1].partition("/")[2] for a, b in differing):
            return "content-type-with-more"
        if all(a[1:] == ("text/plain", "Leaf") and b[1].startswith("multipart/") for a, b in differing):
            return "multipart-without-parts"
        if all(a[1] == "text/plain" and not re.match("[!#-'*+.0-9A-Z^-~-]+/[!#-'*+.0-9A-Z^-~-]+$", b[1], re.I) for a, b in differing):
            return "content-type-unreadable"
    # A type with a stray mark is none, and then there are no parts.
    if any(not re.match("[!#-'*+.0-9A-Z^-~-]+/[!#-'*+.0-9A-Z^-~-]+$", b[1], re.I) for a, b in differing):
        return "content-type-unreadable"
    if any(a[1].startswith("message/") and a[2] == "Leaf" and b[2] == "Message" for a, b in differing):
        return "message-of-another-kind"
    if re.search(rb"(?i)boundary=[^\";\s]+\s+[^\s;]", re.sub(rb"\r?\n(?![ \t])", b";", octets)):
        return "boundary-not-quoted"
    if has_adjacent_boundaries(octets):
        return "empty-part"
    if has_part_after_end(octets):
        return "part-after-end"
    return None


def explain_part(what, mine, other, part, found):
    """The content, text or name of one part."""
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    payload = part.get_payload()
    if part.get_content_type() == "message/delivery-status":
        return "status-groups"
    if what == "content" and isinstance(payload, str):
        if re.match("(base64|quoted-printable|[78]bit|binary)\\s*[(;]", encoding):
            return "encoding-with-comment"
        if re.match("(base64|quoted-printable|[78]bit|binary)[^-a-z0-9]", encoding):
            return "encoding-with-more"
        if encoding == "base64":
            if re.search("=[^=]*[A-Za-z0-9+/]", payload):
                return "base64-behind-padding"
            if len(re.sub("[^A-Za-z0-9+/]", "", payload)) % 4 == 1:
                return "base64-lone-digit"
        if encoding == "quoted-printable" and re.search("=(?![0-9A-Fa-f]{2}|[ \t]*\r?\n)", payload):
            return "quoted-printable-broken"
        if encoding == "quoted-printable" and re.search("[ \t]+(\r?\n|$)", payload):
            return "quoted-printable-blanks"
        if re.search(rb"^From ", mine):
            return "from-line-in-header"
        if mine.startswith(b":"):
            return "header-line-malformed"
    if what == "content" and mine.rstrip() == other.rstrip() and "CloseBoundaryNotFoundDefect" in defects(found):
        return "boundary-not-closed"
    if what == "text" and re.search("[\x80-\x9f]", other):
        return "latin-1-is-windows-1252"
    if what == "text" and "\ufffd" in other + mine:
        return "charset-guessed"
    if what == "text" and part["content-type"] is not None and (part["content-type"].defects or re.search("charset=[^\"A-Za-z]", part.as_string())):
        return "parameter-malformed"
    if what == "name":
        if squeezed(mine or "") == squeezed(other or ""):
            return "parameter-blanks"
        headers = [part[name] for name in ("content-type", "content-disposition") if part[name] is not None]
        if any(header.defects for header in headers) or other is None or "\ufffd" in other:
            return "parameter-malformed"
    return None


def explain_words(mine, other, raw):
    """An unstructured field."""
    words = r"=\?[-!#$%&'*+0-9A-Z^_`a-z{|}~]+\?([Bb]\?([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?|[Qq]\?([!-<>@-~]|=[0-9A-Fa-f]{2})*)\?="
    rest = re.sub(words, " ", raw)
    if "=?" in rest or "?=" in rest:
        return "encoded-word-malformed"
    if re.search(r"\S=\?[^?\s]+\?[BbQq]\?[^?\s]*\?=|\?=[^\s=]", raw):
        return "encoded-word-joined"
    if "\ufffd" in other:
        return "charset-guessed"
    if re.search("[\x80-\x9f]", other):
        return "latin-1-is-windows-1252"
    if squeezed(mine) == squeezed(other):
        return "field-blanks"
    return None


def explain(what, mine, other, context, octets):
    """The class of a disagreement; None when nothing explains it."""
    if isinstance(other, Exception):
        return "python-fails"
    if re.search(rb"\r(?!\n)", octets):
        return "bare-cr"
    if what in ("tree", "fields"):
        found = context["message"]
        if defects(found) & {"MissingHeaderBodySeparatorDefect", "FirstHeaderLineIsContinuationDefect"}:
            return "header-line-malformed"
        if what == "fields":
            return "from-line-in-header" if re.search(rb"(?m)^From ", octets) else None
        return explain_tree(mine, other, octets)
    if what in ("content", "text", "name"):
        if defects(context[0]) & {"MissingHeaderBodySeparatorDefect", "FirstHeaderLineIsContinuationDefect"}:
            return "header-line-malformed"
        return explain_part(what, mine, other, context[0], context[1])
    if what == "people":
        return explain_people(mine, other, context)
    if what == "date":
        well = r"\s*([A-Za-z]{3},\s*)?\d{1,2}\s+[A-Za-z]{3}\s+\d{2,4}\s+\d\d:\d\d(:\d\d)?\s+([+-][01]\d[0-5]\d|GMT|EST)\s*(\([^()]*\)\s*)?$"
        return None if other is not None and re.match(well, context) else "date-malformed"
    if re.search("[\udc80-\udcff]", other):
        return "eight-bit-field"
    return explain_words(mine, other, context)


def reader():
    named = os.environ.get("READ_MESSAGES")
    if named:
        return named
    subprocess.run(["cargo", "build", "--quiet", "--locked", "-p", "message", "--example", "read_messages"], cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return str(target / "debug/examples/read_messages")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--count", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=1, help="of the first message")
    arguments.add_argument("--show", help="print the disagreements of this class")
    wanted = arguments.parse_args()
    known = {}
    for line in (HERE / "disagreements.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        name, right, why, rfc = line.split("\t")
        known[name] = right
    seeds = range(wanted.seed, wanted.seed + wanted.count)
    messages = [generate(seed) for seed in seeds]
    stdin = b"".join(b"%d\n%s" % (len(m), m) for m in messages)
    answers = subprocess.run([reader()], input=stdin, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    assert len(answers) == len(messages), f"{len(answers)} answers to {len(messages)} messages"
    classes = collections.Counter()
    unexplained = 0
    for seed, octets, answer in zip(seeds, messages, answers):
        for what, mine, other, context in disagreements(json.loads(answer), python_read(octets)):
            name = explain(what, mine, other, context, octets)
            classes[name or f"UNEXPLAINED {what}"] += 1
            assert name is None or name in known, f"{name} is not in disagreements.tsv"
            if name is None or name == wanted.show:
                unexplained += name is None
                if unexplained <= 20 or name:
                    print(f"seed {seed}: {what} ({name})\n  ours:     {mine!r}\n  Python's: {other!r}")
    for name, count in sorted(classes.items()):
        print(f"{count:6}  {name}  {known.get(name, '')}")
    print(f"{len(messages)} messages, {sum(classes.values())} disagreements, {unexplained} unexplained")
    sys.exit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
