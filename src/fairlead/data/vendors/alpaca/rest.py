"""Questions to Alpaca by REST: each is asked once, has an end in time, and leaves the loop alone.

`alpaca-py` knows addresses, headers and errors. What it does on its own is switched off: it would ask again after a 429 or a
504, with an order as with a question, and it would wait for an answer for ever.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Literal

from fairlead.core.errors import ConfigurationError

if TYPE_CHECKING:
    from alpaca.common.rest import RESTClient

Method = Literal["GET", "POST", "PATCH", "DELETE"]
REMEDY: Final = 'Install the extra: pip install "fairlead[alpaca]".'
_SHOWN: Final = 300
_ORDER_CODES: Final = ("403", "422")


class FailureKind(StrEnum):
    """What became of a question that has no good answer."""

    NOT_SENT = "not_sent"
    """It never left: nobody has heard of it."""
    UNANSWERED = "unanswered"
    """It may have arrived; what came back, if anything, says nothing about that."""
    PACING = "pacing"
    """Too much was asked."""
    ACCESS = "access"
    """Keys or account are not accepted."""
    MISSING = "missing"
    """There is no such thing."""
    REFUSED = "refused"
    """It was understood, and refused."""


class RestFailure(Exception):
    """A question that has no good answer. It never leaves an adapter: each seam translates it.

    Parameters
    ----------
    kind : FailureKind
    text : str
        The reason, as Alpaca gives it where it does.
    code : str
        Alpaca's number of the reason; empty if there is none.
    """

    def __init__(self, kind: FailureKind, text: str, code: str = "") -> None:
        super().__init__(text)
        self.kind, self.text, self.code = kind, text, code


class Rest:
    """A way to one of Alpaca's addresses.

    Parameters
    ----------
    base_url, api_key, api_secret : str
    timeout_s : float
        Seconds that a question may take in all.
    connect_s : float
        Seconds that it may take to reach the server.
    workers : int
        Most questions under way at once.
    heard : callable
        Called whenever an answer came, whatever it says.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        api_secret: str,
        *,
        timeout_s: float = 10.0,
        connect_s: float = 5.0,
        workers: int = 4,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = _client(base_url, api_key, api_secret, (connect_s, timeout_s))
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="fairlead-alpaca")
        self._heard = heard

    async def ask(self, method: Method, path: str, fields: Mapping[str, Any] | None = None, *, version: str = "v2") -> Any:
        """Ask, and return the answer as plain data; None if it is empty.

        Raises
        ------
        RestFailure
        """
        future = self._pool.submit(self.ask_now, method, path, fields, version=version)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await asyncio.wrap_future(future)
        except TimeoutError as exc:
            # What still waits for a thread can be taken back, and then it has not been sent.
            kind = FailureKind.NOT_SENT if future.cancel() else FailureKind.UNANSWERED
            raise RestFailure(kind, f"no answer within {self._timeout_s:g} s") from exc
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if not future.cancelled() or task is None or task.cancelling():
                raise
            # Not the caller was cancelled but the question, by `close`, while it waited for a thread.
            raise RestFailure(FailureKind.NOT_SENT, "the connection was closed") from exc
        except RestFailure as exc:
            if exc.kind not in {FailureKind.NOT_SENT, FailureKind.UNANSWERED}:
                self._heard()
            raise
        self._heard()
        return answer

    def ask_now(self, method: Method, path: str, fields: Mapping[str, Any] | None = None, *, version: str = "v2") -> Any:
        """Ask as `ask` does, and wait for it here."""
        from alpaca.common.exceptions import APIError  # noqa: PLC0415  an extra
        from requests.exceptions import RequestException  # noqa: PLC0415  comes with it

        try:
            return self._client._request(method, path, dict(fields or {}) or None, api_version=version)  # noqa: SLF001
        except APIError as exc:
            raise _of_answer(exc) from exc
        except RequestException as exc:
            raise _of_line(exc) from exc

    def close(self) -> None:
        """Take no more questions; those under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client._session.close()  # noqa: SLF001  the client has no way to close it


def _client(base_url: str, api_key: str, api_secret: str, timeouts: tuple[float, float]) -> RESTClient:
    try:
        from alpaca.common.rest import RESTClient  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise ConfigurationError(f"Alpaca needs the package {exc.name}. {REMEDY}") from exc

    class OneTry(RESTClient):
        """Asks once, and not for ever."""

        def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:
            # With no attempts left the client raises a 429 or a 504 instead of asking again.
            del retry
            return super()._one_request(method, url, {**opts, "timeout": timeouts}, 0)

    return OneTry(base_url.rstrip("/").removesuffix("/v2"), api_key, api_secret)


def _of_answer(exc: Any) -> RestFailure:
    """Return what an answer of 400 and above means."""
    status = int(exc.status_code or 0)
    text, code = _reason(str(exc))
    text = text or f"HTTP {status}"
    if status == 429:
        return RestFailure(FailureKind.PACING, text, code)
    # A 403 is also the answer to an order that the account cannot bear; its code tells the two apart.
    if status == 401 or (status == 403 and not code.startswith(_ORDER_CODES)):
        return RestFailure(FailureKind.ACCESS, text, code)
    if status == 404:
        return RestFailure(FailureKind.MISSING, text, code)
    if 400 <= status < 500 and status != 408:
        return RestFailure(FailureKind.REFUSED, text, code)
    return RestFailure(FailureKind.UNANSWERED, f"HTTP {status}: {text}", code)


def _reason(body: str) -> tuple[str, str]:
    try:
        told = json.loads(body)
    except ValueError:
        return body.strip()[:_SHOWN], ""
    if not isinstance(told, dict):
        return body.strip()[:_SHOWN], ""
    return str(told.get("message", body))[:_SHOWN], str(told.get("code", ""))


def _of_line(exc: Exception) -> RestFailure:
    """Return what it means that the line failed: whether the question was on its way already."""
    from requests.exceptions import ConnectTimeout, ReadTimeout  # noqa: PLC0415
    from urllib3.exceptions import NewConnectionError  # noqa: PLC0415

    cause = exc.args[0] if exc.args else None
    if isinstance(exc, ConnectTimeout) or isinstance(getattr(cause, "reason", None), NewConnectionError):
        return RestFailure(FailureKind.NOT_SENT, "the server cannot be reached")
    if isinstance(exc, ReadTimeout):
        return RestFailure(FailureKind.UNANSWERED, "no answer in time")
    if isinstance(exc, ValueError):
        return RestFailure(FailureKind.UNANSWERED, "the answer cannot be read")
    return RestFailure(FailureKind.UNANSWERED, f"the line broke: {type(exc).__name__}")
