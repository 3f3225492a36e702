"""How the server says no: the error bodies that clients of the field read, for every route.

Shapes: `{"error", "detail", "body", "errors"}` for a refusal and for a fault of ours, `{"detail": [{loc, msg, type}]}`
for a body whose values cannot be used, `{"detail": "Not Found"}` for a path that is not there.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse

from modules.core.errors import (
    AtelierError,
    InvalidImage,
    InvalidModelFile,
    InvalidOption,
    InvalidRequest,
    NoModel,
    NotFound,
    QueueFull,
    StorageFailed,
    UnknownName,
)
from modules.web.http.headers import SAFE_HEADERS

log = logging.getLogger(__name__)

STATUS_OF: Mapping[type[AtelierError], int] = {
    NotFound: 404,
    UnknownName: 404,
    InvalidImage: 422,
    InvalidOption: 422,
    InvalidModelFile: 422,
    QueueFull: 503,
    NoModel: 503,
    StorageFailed: 503,
}
RETRY_AFTER = {"Retry-After": "10"}


class KnownFault(Exception):
    """What clients of the field know as a 500 with a certain exception's class: an unknown setting, a failed job."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        super().__init__(text)


def refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer in the shape of a raised HTTPException; clients read `detail`."""
    return _answer(status, "HTTPException", sentence, f"{status}: {sentence}", headers)


def invalid(problems: Sequence[Mapping[str, Any]]) -> JSONResponse:
    """422 in FastAPI's shape: what is wrong where. The value itself is left out: it may be huge, or no JSON at all."""
    kept = [{key: problem[key] for key in ("loc", "msg", "type") if key in problem} for problem in problems]
    return JSONResponse({"detail": kept}, status_code=422)


def install(app: FastAPI) -> None:
    """Let these shapes answer for every exception of this application."""
    app.add_exception_handler(HTTPException, _raised)
    app.add_exception_handler(RequestValidationError, _unusable_body)
    app.add_exception_handler(InvalidRequest, _unusable_request)
    app.add_exception_handler(AtelierError, _atelier)
    app.add_exception_handler(KnownFault, _known_fault)
    app.add_exception_handler(Exception, _fault)


def fault(error: Exception) -> JSONResponse:
    """500 in the field's shape: the class in `error`, the text in `errors`."""
    return _answer(500, type(error).__name__, "", str(error), None)


async def _known_fault(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, KnownFault)
    return _answer(500, error.kind, "", str(error), None)


def _answer(status: int, kind: str, detail: Any, errors: str, headers: Mapping[str, str] | None) -> JSONResponse:
    content = {"error": kind, "detail": detail, "body": "", "errors": errors}
    return JSONResponse(content, status_code=status, headers=dict(headers or {}))


async def _raised(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, "HTTPException", error.detail, str(error), error.headers)


async def _unusable_body(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors())


async def _unusable_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidRequest)
    return invalid([{"loc": ["body", one.field], "msg": one.message, "type": "value_error"} for one in error.problems])


async def _atelier(request: Request, error: Exception) -> JSONResponse:
    status = next((code for kind, code in STATUS_OF.items() if isinstance(error, kind)), 500)
    if status == 500:
        return fault(error)
    return refusal(status, str(error), RETRY_AFTER if status == 503 else None)


async def _fault(request: Request, error: Exception) -> JSONResponse:
    """A bug: Starlette sends this from outside every layer of ours, so it brings the headers along."""
    log.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
    answer = fault(error)
    answer.headers.update({**SAFE_HEADERS, "X-Process-Time": "0"})
    return answer
