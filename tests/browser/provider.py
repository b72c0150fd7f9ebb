"""A provider elsewhere for the browser: a mail server that takes tokens of a scripted token server (tests/clients/test_oauth.py).

Says where they are, then does what stands in each line of its input: {"pending": N}, {"refuses": {grant type: error}}; and says
what was asked of the token server meanwhile.
"""

import contextlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import lab
from test_oauth import Provider

DOMAIN = "gone.test"


class Cleanups(contextlib.ExitStack):
    addCleanup = contextlib.ExitStack.callback


with Cleanups() as ends:
    provider = Provider(ends, lives=62, email=f"ann@{DOMAIN}")
    provider.pending = 10**9
    server = ends.enter_context(lab.Server(domain=DOMAIN, extra=provider.options(), accounts=("ann", "dan"), password="the old one"))
    print(json.dumps({**server.ports, "issuer": provider.issuer, "password": "the old one"}), flush=True)
    for line in sys.stdin:
        for name, value in json.loads(line).items():
            setattr(provider, name, value)
        kinds = [form.get("grant_type", "").rsplit(":")[-1] for path, form in provider.asked if path == "/token"]
        print(json.dumps({kind: kinds.count(kind) for kind in set(kinds)}), flush=True)
