"""What Alpaca says when it does not do what it is asked: a status of HTTP, a code of its own and a sentence."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fairlead.practice.alpaca.http import Response

UNAUTHORIZED: Final = 40110000
FORBIDDEN: Final = 40310000
NOT_FOUND: Final = 40410000
NOT_UNIQUE: Final = 40010001
INVALID: Final = 42210000
TOO_MANY: Final = 42910000
INTERNAL: Final = 50010000


class Refusal(Exception):
    """An answer that is not what was hoped for.

    Parameters
    ----------
    status : int
        Of HTTP.
    code : int
        Alpaca's; its first three digits are mostly the status again. 0 for none: market data has none for keys.
    message : str
    more : any
        What else the body has.
    """

    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.more = more

    @property
    def body(self) -> dict[str, Any]:
        """What the client is sent."""
        return {**({"code": self.code} if self.code else {}), "message": str(self), **self.more}

    def response(self) -> Response:
        """Return it as an answer."""
        return Response.of(self.body, self.status)


def invalid(message: str, code: int = INVALID) -> Refusal:
    """Return the refusal of something that cannot be understood or done."""
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, code, message)


def forbidden(message: str, **more: Any) -> Refusal:
    """Return the refusal of something that may not be done."""
    return Refusal(HTTPStatus.FORBIDDEN, FORBIDDEN, message, **more)


def not_found(message: str) -> Refusal:
    """Return the refusal for want of it."""
    return Refusal(HTTPStatus.NOT_FOUND, NOT_FOUND, message)


def unauthorized() -> Refusal:
    """Return the refusal of keys."""
    return Refusal(HTTPStatus.UNAUTHORIZED, UNAUTHORIZED, "request is not authorized")
