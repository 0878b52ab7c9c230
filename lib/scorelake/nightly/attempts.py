"""One step, tried again where that may help: after failures that heal by themselves, and for drops that are late."""

from __future__ import annotations

import errno
import logging
import re
import threading
from collections.abc import Callable
from datetime import datetime

from scorelake import runs, troubles
from scorelake.errors import ScorelakeError
from scorelake.runs import Outcome
from scorelake.settings import NightSettings

log = logging.getLogger("scorelake.nightly")

_HEALING_NUMBERS = {errno.EIO, errno.ESTALE, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAGAIN, errno.EBUSY}
_HEALING_CLASSES = {"OperationalError", "Py4JNetworkError"}
_HEALING_TEXTS = re.compile(
    r"java\.net\.\w+Exception|SocketTimeout|UnknownHost|FetchFailed|ExecutorLost|Connection (reset|refused|timed out)"
    r"|SlowDown|RateLimit|Too Many Requests|Service Unavailable|TEMPORARILY_UNAVAILABLE|database is locked"
)
"""How networks, storage, lost workers and busy servers show themselves in the texts of other libraries' errors."""


def attempt(action: Callable[[], Outcome], policy: NightSettings, stop: threading.Event) -> tuple[Outcome, int]:
    """The outcome of `action` and how many attempts it took; an error becomes an outcome by its exit code.

    Pauses end early when `stop` is set, and there is no attempt after that.
    """
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(may_heal),
        stop=tenacity.stop_after_attempt(1 + policy.retries) | tenacity.stop_when_event_set(stop),
        wait=tenacity.wait_exponential(multiplier=policy.backoff.total_seconds()),
        sleep=tenacity.sleep_using_event(stop),
        before_sleep=_tell,
        reraise=True,
    )
    outcome = _caught(lambda: retrying(action))
    return outcome, int(retrying.statistics.get("attempt_number", 1))


def with_late_drops(
    action: Callable[[], Outcome], policy: NightSettings, stop: threading.Event, until: datetime
) -> Outcome:
    """`action`, again every `look_every` while what it needs is missing, at most until the instant `until`, UTC."""
    outcome = action()
    while outcome.missing and not outcome.failed and runs.wall_clock() < until and not stop.is_set():
        log.info("waiting for a late drop until %s: %s", until, outcome.missing[0])
        stop.wait(policy.look_every.total_seconds())
        outcome = action()
    return outcome


def may_heal(error: BaseException) -> bool:
    """Whether the same call may succeed a little later: networks, storage, lost workers.

    What we raise says what is wrong and stays so, unless it was raised from something that passes.
    """
    if isinstance(error, ScorelakeError):
        return error.__cause__ is not None and may_heal(error.__cause__)
    return any(_is_passing(one) for one in troubles.causes(error))


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError) and error.errno in _HEALING_NUMBERS:
        return True
    return type(error).__name__ in _HEALING_CLASSES or _HEALING_TEXTS.search(str(error)) is not None


def _tell(state: object) -> None:
    error = state.outcome.exception()  # type: ignore[attr-defined]
    pause = state.next_action.sleep  # type: ignore[attr-defined]
    log.warning("%s; trying again in %.0f s", troubles.told(error), pause)


def _caught(action: Callable[[], Outcome]) -> Outcome:
    try:
        return action()
    except ScorelakeError as error:
        message = (str(error),)
        if error.exit_code == 3:
            return Outcome(missing=message)
        return Outcome(refused=message) if error.exit_code == 4 else Outcome(failed=message)
    except Exception as error:
        log.exception("a step failed")
        return Outcome(failed=(troubles.told(error),))
