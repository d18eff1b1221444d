"""wasi:http/types, `error-code`: what can go wrong with a message, and what it becomes.

Failures of net/client come in, and error codes of guests; error codes of guests, and statuses, go out.
It must never tell a guest more than the code: why the network failed may name hosts that it cannot know.
"""

from __future__ import annotations

import errno
from typing import Any

from serverless_wasm.abi.wasi_http.interface import borrow, function
from serverless_wasm.abi.wasi_http.io_error import IoError
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.net.unanswered import Unanswered
from serverless_wasm.wasm.components.types import STRING, U8, U16, U32, U64, Option, Record, Variant

ErrorCode = tuple[str, Any]

_DNS = Record((("rcode", Option(STRING)), ("info-code", Option(U16))))
_ALERT = Record((("alert-id", Option(U8)), ("alert-message", Option(STRING))))
_FIELD_SIZE = Record((("field-name", Option(STRING)), ("field-size", Option(U32))))

ERROR_CODE = Variant(
    (
        ("DNS-timeout", None),
        ("DNS-error", _DNS),
        ("destination-not-found", None),
        ("destination-unavailable", None),
        ("destination-IP-prohibited", None),
        ("destination-IP-unroutable", None),
        ("connection-refused", None),
        ("connection-terminated", None),
        ("connection-timeout", None),
        ("connection-read-timeout", None),
        ("connection-write-timeout", None),
        ("connection-limit-reached", None),
        ("TLS-protocol-error", None),
        ("TLS-certificate-error", None),
        ("TLS-alert-received", _ALERT),
        ("HTTP-request-denied", None),
        ("HTTP-request-length-required", None),
        ("HTTP-request-body-size", Option(U64)),
        ("HTTP-request-method-invalid", None),
        ("HTTP-request-URI-invalid", None),
        ("HTTP-request-URI-too-long", None),
        ("HTTP-request-header-section-size", Option(U32)),
        ("HTTP-request-header-size", Option(_FIELD_SIZE)),
        ("HTTP-request-trailer-section-size", Option(U32)),
        ("HTTP-request-trailer-size", _FIELD_SIZE),
        ("HTTP-response-incomplete", None),
        ("HTTP-response-header-section-size", Option(U32)),
        ("HTTP-response-header-size", _FIELD_SIZE),
        ("HTTP-response-body-size", Option(U64)),
        ("HTTP-response-trailer-section-size", Option(U32)),
        ("HTTP-response-trailer-size", _FIELD_SIZE),
        ("HTTP-response-transfer-coding", Option(STRING)),
        ("HTTP-response-content-coding", Option(STRING)),
        ("HTTP-response-timeout", None),
        ("HTTP-upgrade-failed", None),
        ("HTTP-protocol-error", None),
        ("loop-detected", None),
        ("configuration-error", None),
        ("internal-error", Option(STRING)),
    )
)

_STATUSES = {
    "DNS-timeout": 504,
    "destination-unavailable": 503,
    "connection-timeout": 504,
    "connection-read-timeout": 504,
    "connection-write-timeout": 504,
    "connection-limit-reached": 503,
    "HTTP-request-denied": 403,
    "HTTP-request-length-required": 411,
    "HTTP-request-body-size": 413,
    "HTTP-request-method-invalid": 400,
    "HTTP-request-URI-invalid": 400,
    "HTTP-request-URI-too-long": 414,
    "HTTP-request-header-section-size": 431,
    "HTTP-request-header-size": 431,
    "HTTP-request-trailer-section-size": 431,
    "HTTP-request-trailer-size": 431,
    "HTTP-response-timeout": 504,
    "configuration-error": 500,
    "internal-error": 500,
}
"""What RFC 9209 section 2.3 recommends, where it is not 502."""

_KINDS: dict[str, ErrorCode] = {
    "connection_limit_reached": ("connection-limit-reached", None),
    "connection_read_timeout": ("connection-read-timeout", None),
    "connection_refused": ("connection-refused", None),
    "connection_terminated": ("connection-terminated", None),
    "connection_timeout": ("connection-timeout", None),
    "connection_write_timeout": ("connection-write-timeout", None),
    "destination_ip_unroutable": ("destination-IP-unroutable", None),
    "dns_error": ("DNS-error", (None, None)),
    "dns_timeout": ("DNS-timeout", None),
    "http_protocol_error": ("HTTP-protocol-error", None),
    "http_request_body_size": ("HTTP-request-body-size", None),
    "http_request_denied": ("HTTP-request-denied", None),
    "http_request_error": ("HTTP-protocol-error", None),
    "http_response_body_size": ("HTTP-response-body-size", None),
    "http_response_header_section_size": ("HTTP-response-header-section-size", None),
    "http_response_incomplete": ("HTTP-response-incomplete", None),
    "tls_alert_received": ("TLS-alert-received", (None, None)),
    "tls_certificate_error": ("TLS-certificate-error", None),
    "tls_protocol_error": ("TLS-protocol-error", None),
}


class HttpFailure(OSError):
    """Ends an operation on a stream with an error code, for `http-error-code`."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(errno.EIO, code[0])
        self.code = code


def code_of(error: Unanswered) -> ErrorCode:
    """What a guest is told of a request without an answer."""
    return _KINDS[error.kind]


def status_of(code: ErrorCode) -> int:
    """The status that tells a client of it."""
    return _STATUSES.get(code[0], 502)


def http_error_code(world: World, error: IoError) -> ErrorCode | None:
    return error.cause.code if isinstance(error.cause, HttpFailure) else None


FUNCTIONS = (
    function("http-error-code", http_error_code, ("err", borrow(IoError)), gives=Option(ERROR_CODE)),
)
