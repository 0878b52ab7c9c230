"""Tells people outside of the platform that something wants a look: a webhook, a command, or both."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping

from scorelake.errors import ConfigError
from scorelake.settings import NotifySettings, resolve_secret

_SECONDS = 20.0


def send(settings: NotifySettings, message: Mapping[str, object]) -> list[str]:
    """Hand the message to everyone configured, as one JSON object; why it did not reach somebody, empty when it did.

    Never raises for what happens outside: a night does not fail because a chat is down. No address and nothing that
    the other side answers is repeated, since both may hold a secret.
    """
    body = json.dumps(message).encode()
    return [f"{name}: {problem}" for name, attempt in _channels(settings, body) if (problem := _problem(attempt))]


def _channels(settings: NotifySettings, body: bytes) -> Iterator[tuple[str, Callable[[], None]]]:
    if settings.webhook:
        yield "webhook", lambda: _post(resolve_secret(settings.webhook), body)
    if settings.command:
        yield "command", lambda: _run(settings.command, body)


def _problem(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except ConfigError as error:
        return str(error)
    except subprocess.CalledProcessError as error:
        return f"it ended with exit code {error.returncode}"
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return None


def _post(address: str, body: bytes) -> None:
    if not address.startswith(("https://", "http://")):
        raise ConfigError("notify.webhook: expected the secret to be an http or https address")
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=_SECONDS):
        pass


def _run(command: tuple[str, ...], body: bytes) -> None:
    subprocess.run(command, input=body, check=True, timeout=_SECONDS, capture_output=True)
