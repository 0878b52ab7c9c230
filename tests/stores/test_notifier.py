"""Whoever is configured gets the message; whoever cannot be reached is named, and nothing secret with it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from scorelake.settings import NotifySettings
from scorelake.stores import notifier

MESSAGE = {"subject": "churn", "status": "ALERT", "first": ["age: PSI 0.3 reaches 0.2"]}


class Chat:
    """Writes down what it is told, and answers with a code."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.code = 200
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                chat.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(chat.code)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on the test's screen."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    chat = Chat()
    monkeypatch.setenv("CHAT", f"http://127.0.0.1:{chat.server.server_port}/secret-path")
    yield chat
    chat.server.shutdown()
    chat.server.server_close()


def test_webhook_and_command_get_the_same_message(chat: Chat, tmp_path: Path) -> None:
    file = tmp_path / "told.json"
    write = f"import sys; open({str(file)!r}, 'w').write(sys.stdin.read())"
    assert notifier.send(NotifySettings(webhook="env:CHAT", command=(sys.executable, "-c", write)), MESSAGE) == []
    assert chat.told == [MESSAGE] == [json.loads(file.read_text())]


def test_nobody_configured_is_nobody_told() -> None:
    assert notifier.send(NotifySettings(), MESSAGE) == []


@pytest.mark.parametrize(
    ("webhook", "command", "problem"),
    [
        ("env:CHAT", (), "webhook: HTTPError"),
        ("env:NOT_SET", (), "webhook: secret env:NOT_SET: environment variable NOT_SET is not set"),
        ("env:FILE", (), "webhook: notify.webhook: expected the secret to be an http or https address"),
        ("", (sys.executable, "-c", "raise SystemExit(7)"), "command: it ended with exit code 7"),
        ("", ("/does/not/exist",), "command: FileNotFoundError"),
    ],
)
def test_what_did_not_arrive_is_told_without_secrets(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, webhook: str, command: tuple[str, ...], problem: str
) -> None:
    chat.code = 500
    monkeypatch.setenv("FILE", "file:///etc/secret-path")
    assert notifier.send(NotifySettings(webhook=webhook, command=command), MESSAGE) == [problem]


def test_one_channel_that_fails_does_not_silence_the_other(chat: Chat) -> None:
    settings = NotifySettings(webhook="env:CHAT", command=("/does/not/exist",))
    assert notifier.send(settings, MESSAGE) == ["command: FileNotFoundError"]
    assert chat.told == [MESSAGE]
