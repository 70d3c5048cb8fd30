"""The page of a command in a process of its own, asked as a program would."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import pytest


class Page:
    """The server of a command, as it has printed it."""

    def __init__(self, line):
        self.address = re.search(r"http://\S+", line)[0]
        self.base, _, self.token = self.address.partition("/?token=")

    def ask(self, path, *, token=True, **headers):
        """Ask for a path: the HTTP status, the type and the body."""
        if token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"{self.base}{path}", headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.status, answer.headers["content-type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["content-type"], error.read().decode()

    def json(self, path):
        return json.loads(self.ask(path)[2], parse_constant=pytest.fail)

    def until(self, wanted):
        """Ask for the status until it is as wanted. Each question waits for its answer."""
        while not wanted(status := self.json("/status")):
            pass
        return status

    def press(self, deed, **fields):
        """Press a button: the HTTP status and the answer."""
        body = json.dumps(fields).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.base}/api/{deed}", body, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
