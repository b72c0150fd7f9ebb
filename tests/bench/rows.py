"""What we must reach, line by line, and the table that says whether we did.

A line names two measured values, how they compare, and the target. Ratios are always "how many times better than the peer".
"""

import statistics

# (where, title, metric, peer's metric, unit, better, kind, target)
# kind "ratio": ours must be `target` times better than the peer; "value": ours must not pass `target` itself.
MORE, LESS = "more", "less"
ROWS = [
    ("deliver", "SMTP to visible in the mailbox, 16 connections", "visible", "visible", "msg/s", MORE, "ratio", 6.0),
    ("deliver", "the same beside Dovecot's LMTP alone", "visible", "visible_lmtp", "msg/s", MORE, "ratio", 2.3),
    ("deliver", "LMTP to visible beside Dovecot's LMTP", "visible_lmtp", "visible_lmtp", "msg/s", MORE, "ratio", 2.3),
    ("deliver", "final 250, p99", "final_p99", "final_p99", "ms", LESS, "ratio", 2.0),
    ("deliver", "server CPU a message at 16 connections", "cpu", "cpu", "ms", LESS, "value", 0.5),
    ("syncs", "syncs a message at 16 connections", "syncs16", "syncs16", "", LESS, "value", 0.3),
    ("syncs", "syncs a message at 1 connection", "syncs1", "syncs1", "", LESS, "value", 1.05),
    ("boxes", "APPEND, pipelined, one mailbox", "append", "append", "msg/s", MORE, "ratio", 2.0),
    ("boxes", "disk octets for each octet sent", "disk", "disk", "", LESS, "value", 1.1),
    ("boxes", "SELECT, first", "select_first", "select_first", "ms", LESS, "ratio", 2.0),
    ("boxes", "FETCH FLAGS UID, all", "flags", "flags", "ms", LESS, "ratio", 2.0),
    ("boxes", "FETCH ENVELOPE, all, cold", "envelope_first", "envelope_first", "ms", LESS, "ratio", 2.0),
    ("boxes", "FETCH ENVELOPE, all, warm", "envelope", "envelope", "ms", LESS, "ratio", 2.0),
    ("boxes", "FETCH BODYSTRUCTURE, all, cold", "structure_first", "structure_first", "ms", LESS, "ratio", 2.0),
    ("boxes", "FETCH BODYSTRUCTURE, all, warm", "structure", "structure", "ms", LESS, "ratio", 2.0),
    ("boxes", "IMAP download, all bodies", "full", "full", "MB/s", MORE, "ratio", 2.0),
    ("boxes", "one body, p50", "body", "body", "ms", LESS, "ratio", 2.0),
    ("boxes", "one header, p50", "header", "header", "ms", LESS, "ratio", 2.0),
    ("boxes", "STORE one, p50", "store", "store", "ms", LESS, "ratio", 2.0),
    ("boxes", "one body, p99", "body_p99", "body_p99", "ms", LESS, "ratio", 2.0),
    ("boxes", "STORE one, p99", "store_p99", "store_p99", "ms", LESS, "ratio", 2.0),
    ("boxes", "APPEND 8 KB, p99", "append_8k_p99", "append_8k_p99", "ms", LESS, "ratio", 2.0),
    ("boxes", "STORE all", "store_all", "store_all", "ms", LESS, "ratio", 2.0),
    ("boxes", "APPEND 8 KB, p50", "append_8k", "append_8k", "ms", LESS, "ratio", 2.0),
    ("boxes", "COPY 1,000", "copy", "copy", "ms", LESS, "ratio", 2.0),
    ("boxes", "MOVE 1,000", "move", "move", "ms", LESS, "ratio", 2.0),
    ("boxes", "EXPUNGE 1,000", "expunge", "expunge", "ms", LESS, "ratio", 2.0),
    ("boxes", "UID EXPUNGE one, p50", "expunge_one", "expunge_one", "ms", LESS, "ratio", 2.0),
    ("boxes", "POP3 RETR, one by one", "pop1", "pop1", "MB/s", MORE, "ratio", 2.0),
    ("boxes", "POP3 RETR, eight ahead", "pop8", "pop8", "MB/s", MORE, "ratio", 2.0),
    ("boxes", "POP3 sign-in, STAT and UIDL", "pop_first", "pop_first", "ms", LESS, "ratio", 2.0),
    ("big", "into a mailbox of 100,000, 16 connections", "visible", "visible", "msg/s", MORE, "ratio", 2.0),
    ("big", "server CPU a message into it", "cpu", "cpu", "ms", LESS, "value", 0.5),
    ("big", "that CPU, times that of a fresh mailbox", "slower", "slower", "", LESS, "value", 1.2),
    ("big", "syncs a message into it", "syncs", "syncs", "", LESS, "value", 0.3),
    ("big", "SELECT of 100,000, first", "select_first", "select_first", "ms", LESS, "ratio", 2.0),
    ("big", "SELECT of 100,000", "select", "select", "ms", LESS, "ratio", 2.0),
    ("big", "FETCH FLAGS UID of 100,000", "flags", "flags", "ms", LESS, "ratio", 2.0),
    ("big", "FETCH ENVELOPE of 100,000, cold", "envelope_first", "envelope_first", "ms", LESS, "ratio", 2.0),
    ("big", "FETCH ENVELOPE of 100,000, warm", "envelope", "envelope", "ms", LESS, "ratio", 2.0),
    ("big", "FETCH BODYSTRUCTURE of 100,000, cold", "structure_first", "structure_first", "ms", LESS, "ratio", 2.0),
    ("big", "FETCH BODYSTRUCTURE of 100,000, warm", "structure", "structure", "ms", LESS, "ratio", 2.0),
    ("big", "one body of 100,000, p50", "body", "body", "ms", LESS, "ratio", 2.0),
    ("big", "STORE one of 100,000, p50", "store", "store", "ms", LESS, "ratio", 2.0),
    ("big", "STORE all of 100,000", "store_all", "store_all", "ms", LESS, "ratio", 2.0),
    ("big", "APPEND 8 KB to 100,000, p50", "append_8k", "append_8k", "ms", LESS, "ratio", 2.0),
    ("big", "COPY 1,000 of 100,000", "copy", "copy", "ms", LESS, "ratio", 2.0),
    ("big", "MOVE 1,000 of 100,000", "move", "move", "ms", LESS, "ratio", 2.0),
    ("big", "EXPUNGE 1,000 of 100,000", "expunge", "expunge", "ms", LESS, "ratio", 2.0),
    ("big", "UID EXPUNGE one of 100,000, p50", "expunge_one", "expunge_one", "ms", LESS, "ratio", 2.0),
    ("search", "SEARCH TEXT, 10k", "text_10k", "text_10k", "ms", LESS, "ratio", 50.0),
    ("search", "SEARCH SUBJECT, 10k", "subject_10k", "subject_10k", "ms", LESS, "ratio", 2.0),
    ("search", "SEARCH FROM, 10k", "from_10k", "from_10k", "ms", LESS, "ratio", 2.0),
    ("search", "SEARCH HEADER, 10k", "header_10k", "header_10k", "ms", LESS, "ratio", 2.0),
    ("search", "SORT ARRIVAL, 10k", "arrival_10k", "arrival_10k", "ms", LESS, "ratio", 2.0),
    ("search", "SORT SUBJECT, 10k, first", "by_subject_first_10k", "by_subject_first_10k", "ms", LESS, "ratio", 2.0),
    ("search", "SORT SUBJECT, 10k", "by_subject_10k", "by_subject_10k", "ms", LESS, "ratio", 2.0),
    ("search", "THREAD REFERENCES, 10k, first", "thread_first_10k", "thread_first_10k", "ms", LESS, "ratio", 2.0),
    ("search", "THREAD REFERENCES, 10k", "thread_10k", "thread_10k", "ms", LESS, "ratio", 2.0),
    ("search", "SEARCH TEXT, 100k", "text_100k", "text_100k", "ms", LESS, "value", 100.0),
    ("search", "SEARCH SUBJECT, 100k", "subject_100k", "subject_100k", "ms", LESS, "value", 20.0),
    ("search", "SEARCH FROM, 100k", "from_100k", "from_100k", "ms", LESS, "value", 20.0),
    ("search", "SEARCH HEADER, 100k", "header_100k", "header_100k", "ms", LESS, "ratio", 2.0),
    ("search", "SORT ARRIVAL, 100k", "arrival_100k", "arrival_100k", "ms", LESS, "ratio", 2.0),
    ("search", "SORT SUBJECT, 100k, first", "by_subject_first_100k", "by_subject_first_100k", "ms", LESS, "ratio", 2.0),
    ("search", "SORT SUBJECT, 100k", "by_subject_100k", "by_subject_100k", "ms", LESS, "ratio", 2.0),
    ("search", "THREAD REFERENCES, 100k, first", "thread_first_100k", "thread_first_100k", "ms", LESS, "value", 300.0),
    ("search", "THREAD REFERENCES, 100k", "thread_100k", "thread_100k", "ms", LESS, "value", 50.0),
    ("search", "search index, for each hundred octets sent", "size", "size", "", LESS, "value", 5.0),
    ("frequent", "SEARCH TEXT, a word in all messages, 10k", "all_10k", "all_10k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, a word in a tenth of them, 10k", "tenth_10k", "tenth_10k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, a fragment of the word in all, 10k", "fragment_10k", "fragment_10k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, a fragment of a word in a tenth, 10k", "tenth_fragment_10k", "tenth_fragment_10k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, a word in a fiftieth, letters beyond ASCII, 10k", "umlaut_10k", "umlaut_10k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, what is nowhere, 10k", "nowhere_10k", "nowhere_10k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, a word in all messages, 100k", "all_100k", "all_100k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, a word in a tenth of them, 100k", "tenth_100k", "tenth_100k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, a fragment of the word in all, 100k", "fragment_100k", "fragment_100k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, a fragment of a word in a tenth, 100k", "tenth_fragment_100k", "tenth_fragment_100k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, a word in a fiftieth, letters beyond ASCII, 100k", "umlaut_100k", "umlaut_100k", "ms", LESS, "ratio", 0.1),
    ("frequent", "SEARCH TEXT, what is nowhere, 100k", "nowhere_100k", "nowhere_100k", "ms", LESS, "ratio", 0.1),
    ("mixed", "mixed load, 10 clients", "ops10", "ops10", "ops/s", MORE, "ratio", 2.0),
    ("mixed", "mixed load, 10 clients, p99", "p99_10", "p99_10", "ms", LESS, "ratio", 2.0),
    ("mixed", "mixed load, 50 clients", "ops50", "ops50", "ops/s", MORE, "ratio", 2.0),
    ("mixed", "mixed load, 50 clients, p99", "p99_50", "p99_50", "ms", LESS, "ratio", 2.0),
    ("logins", "IMAP sign-ins, plain, warm", "imap", "imap", "/s", MORE, "ratio", 2.0),
    ("logins", "IMAP sign-ins, TLS, warm", "imaps", "imaps", "/s", MORE, "ratio", 2.0),
    ("logins", "POP3 sign-ins, plain, warm", "pop3", "pop3", "/s", MORE, "ratio", 2.0),
    ("logins", "server CPU of an IMAP sign-in, plain", "imap_cpu", "imap_cpu", "ms", LESS, "ratio", 2.0),
    ("logins", "server CPU of an IMAP sign-in, TLS", "imaps_cpu", "imaps_cpu", "ms", LESS, "ratio", 2.0),
    ("idle", "memory (PSS) with nobody there", "base", "base", "MB", LESS, "value", 15.0),
    ("idle", "memory (PSS) after fifty first sign-ins", "warm", "warm", "MB", LESS, "value", 15.0),
    ("idle", "memory of an idle IMAP connection, plain", "plain_kb", "plain_kb", "KB", LESS, "value", 6.0),
    ("idle", "memory of an idle IMAP connection, TLS", "tls_kb", "tls_kb", "KB", LESS, "value", 25.0),
    ("relay", "relay, smtp-source to smtp-sink, 16 connections", "relay", "relay", "msg/s", MORE, "ratio", 3.0),
    ("push", "delivery to IDLE, p50", "push_p50", "push_p50", "ms", LESS, "value", 1.5),
    ("background", "mixed load while the search index is made, times as long", "indexing_ops", "", "", LESS, "value", 1.1),
    ("background", "deliveries while the search index is made, times as long", "indexing_sent", "", "", LESS, "value", 1.1),
    ("background", "final reply, p99, while the search index is made, times as long", "indexing_p99", "", "", LESS, "value", 1.1),
    ("background", "mixed load while segments are rewritten, times as long", "cleaning_ops", "", "", LESS, "value", 1.1),
    ("background", "deliveries while segments are rewritten, times as long", "cleaning_sent", "", "", LESS, "value", 1.1),
    ("background", "final reply, p99, while segments are rewritten, times as long", "cleaning_p99", "", "", LESS, "value", 1.1),
    ("push", "delivery to IDLE, p99", "push_p99", "push_p99", "ms", LESS, "value", 5.0),
]


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


class Values:
    """Everything measured: lists of values by (medium, part, side, metric); their medians count."""

    def __init__(self):
        self.lists = {}

    def add(self, medium, part, side, **values):
        for metric, value in values.items():
            if value is not None:
                self.lists.setdefault((medium, part, side, metric), []).append(value)

    def get(self, medium, part, side, metric):
        found = self.lists.get((medium, part, side, metric))
        return statistics.median(found) if found else None


def judge(ours, theirs, better, kind, target):
    """(ratio, reached); `None` where a value is missing."""
    ratio = None
    if ours is not None and theirs is not None and ours > 0 and theirs > 0:
        ratio = ours / theirs if better == MORE else theirs / ours
    if kind == "value":
        return ratio, None if ours is None else ours <= target
    return ratio, None if ratio is None else ratio >= target


def table(values, medium):
    """The lines measured on this medium, and how many were reached of how many."""
    lines = ["| metric | ours | Postfix + Dovecot | ratio | target | reached |", "|---|---:|---:|---:|---:|---|"]
    reached = measured = 0
    for part, title, metric, peer_metric, unit, better, kind, target in ROWS:
        ours, theirs = values.get(medium, part, "ours", metric), values.get(medium, part, "peers", peer_metric)
        if ours is None and theirs is None:
            continue
        ratio, good = judge(ours, theirs, better, kind, target)
        measured += 1
        reached += bool(good)
        wanted = f"{target:g}x" if kind == "ratio" else f"{target:g} {unit}".strip()
        unit = f" {unit}" if unit else ""
        cells = [
            title, number(ours) + unit, number(theirs) + unit, "-" if ratio is None else f"{number(ratio)}x",
            ("≥ " if kind == "ratio" else "≤ ") + wanted, {True: "yes", False: "**no**", None: "not measured"}[good],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines, reached, measured
