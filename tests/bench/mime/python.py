"""Reads the corpus that bench-mime wrote with Python's email package, everything decoded, and says MB/s.

python3 python.py FILE RATE_OF_OURS: exits with 1 when ours is not 20 times as fast.
"""

import email
import email.header
import email.policy
import email.utils
import struct
import sys
import time


def corpus(path):
    with open(path, "rb") as file:
        data = file.read()
    at, messages = 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        messages.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    return messages


def everything(octets):
    message = email.message_from_bytes(octets)
    count = 0
    for part in message.walk():
        for name, value in part.items():
            name = name.lower()
            if name in ("from", "to", "cc", "bcc", "sender", "reply-to"):
                count += len(email.utils.getaddresses([str(value)]))
            elif name == "date":
                count += email.utils.parsedate_to_datetime(value) is not None
            else:
                count += len(str(email.header.make_header(email.header.decode_header(value))))
        if not part.is_multipart():
            content = part.get_payload(decode=True)
            if part.get_content_maintype() == "text":
                content = content.decode(part.get_content_charset("us-ascii"), "replace")
            count += len(content)
            part.get_filename()
    return count


def main():
    messages = corpus(sys.argv[1])
    total = sum(map(len, messages))
    best = 0
    for work, name in ((everything, "everything"), (email.message_from_bytes, "parse alone")):
        took = []
        for _ in range(3):
            start = time.process_time()
            for octets in messages:
                work(octets)
            took.append(time.process_time() - start)
        rate = total / 1e6 / min(took)
        print(f"Python email: {name:<20} {rate:8.1f} MB/s")
        best = best or rate
    times = float(sys.argv[2]) / best
    print(f"everything: {times:.0f} times Python's email")
    sys.exit(times < 20)


main()
