"""Why an HTTP request of a guest has no answer: one word of RFC 9209 for each failure there is.

Whatever the network, TLS and the policy raise comes in; an Unanswered goes out.
It must never keep an exception of a library: the word is for the guest, the sentence for the log.
"""

from __future__ import annotations

import errno
import ssl

from serverless_wasm.errors import CapabilityError, NotPermitted, TooLarge

_ERRNOS = {
    errno.ECONNREFUSED: "connection_refused",
    errno.EHOSTUNREACH: "destination_ip_unroutable",
    errno.ENETUNREACH: "destination_ip_unroutable",
    errno.EADDRNOTAVAIL: "destination_ip_unroutable",
    errno.EMFILE: "connection_limit_reached",
    errno.ENFILE: "connection_limit_reached",
    errno.ENOBUFS: "connection_limit_reached",
    errno.ENOMEM: "connection_limit_reached",
}


class Unanswered(Exception):
    """A request without all of an answer; `kind` is a proxy error type (RFC 9209 section 2.3)."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


FAILURES = (OSError, CapabilityError, Unanswered)
"""All that the network may raise."""


def unanswered(error: OSError | CapabilityError | Unanswered) -> Unanswered:
    """What it means for the request."""
    if isinstance(error, Unanswered):
        return error
    if isinstance(error, OSError):
        return Unanswered(_kind(error), error.strerror or type(error).__name__)
    if isinstance(error, NotPermitted):
        return Unanswered("http_request_denied", str(error))
    if isinstance(error, TooLarge):
        return Unanswered("connection_limit_reached", str(error))
    return Unanswered("http_request_error", str(error))


def _kind(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls_certificate_error"
    if isinstance(error, ssl.SSLEOFError):
        return "connection_terminated"
    if isinstance(error, ssl.SSLError):
        return "tls_alert_received" if "ALERT" in (error.reason or "") else "tls_protocol_error"
    if isinstance(error, TimeoutError):
        return "connection_timeout"
    return _ERRNOS.get(error.errno or 0, "connection_terminated")
