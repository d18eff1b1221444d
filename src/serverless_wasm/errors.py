"""Every error of the service, so that each failure has one name, one status and one code.

Error
├─ ConfigError              operator: the file has mistakes, every one of them listed
├─ EngineError              operator: the engine cannot start here (version, address space, mappings)
├─ ReloadRefused            operator: a new configuration was not taken, for every reason listed
├─ SourceError              operator: an artifact is missing or unreadable
├─ ModuleError              developer: the module cannot be run
│  ├─ CompileError            not WebAssembly, not valid, or uses a feature that is off
│  ├─ LinkError               imports or exports do not fit the ABI; names every one
│  └─ UnknownAbi              no contract between guest and host matches
├─ InvocationError          guest: one invocation ended badly
│  ├─ GuestTrap               the guest trapped, or passed a window outside its memory
│  ├─ StackExhausted          the guest recursed beyond its stack
│  ├─ MemoryExceeded          the guest cannot start within its memory limit
│  ├─ HostLimit               the guest spent a budget: host calls, body, headers
│  ├─ BadResponse             the guest set no response, or one that HTTP forbids
│  │  └─ BadStatus              a CGI program whose Status is no status
│  ├─ GuestExit               the guest ended itself, and said that it failed
│  ├─ Unsaved                 a file that it had left open could not be put into its store
│  ├─ DeadlineExceeded        the guest did not finish in time
│  ├─ CpuExceeded             the guest used up its processor time
│  ├─ FuelExhausted           the guest used up its instructions
│  ├─ Overloaded              no slot and no place in the queue came free
│  ├─ RateLimited             more requests a second than the application takes
│  ├─ Unavailable             the application could not be loaded
│  └─ OutOfService            the application has taken workers down again and again
├─ RequestError             caller: the request cannot be served
│  ├─ BadRequest              the bytes are not a request of RFC 9112
│  ├─ NotFound                no route
│  ├─ MethodNotAllowed        a route, but not for this method
│  ├─ RequestTimeout          head or body did not arrive in time
│  ├─ BodyTooLarge            more body than the application takes
│  ├─ TargetTooLong           a request target beyond the limit
│  ├─ ExpectationFailed       an expectation other than 100-continue
│  ├─ HeadersTooLarge         a header block beyond the limits
│  ├─ MethodUnknown           a method that no server implements
│  ├─ CodingUnknown           a transfer coding other than chunked
│  └─ VersionNotSupported     neither HTTP/1.1 nor HTTP/1.0
└─ CapabilityError          guest asked the host for something
   ├─ NotPermitted            the policy refuses
   ├─ NotThere                no such descriptor or key
   ├─ TooLarge                no room left
   └─ Failed                  the backend or the network failed

`status` is what the client sees, `code` the word in its body, `outcome` the word in the log.
An exception outside this tree is a fault of ours: 500, logged with its traceback, never shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class Error(Exception):
    """The root: everything that this package raises on purpose."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a configuration file: where it is, what is there, what to write."""

    file: str
    line: int
    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: found {self.found}, expected {self.expected}"


class ConfigError(Error):
    """The configuration has mistakes; `problems` holds every one, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class EngineError(Error):
    """The WebAssembly engine cannot start on this machine; the text says what to change."""

    @classmethod
    def of_threads(cls, error: RuntimeError) -> EngineError:
        """Of a thread that could not be started; raises an `error` about anything else again."""
        if "start new thread" not in str(error):
            raise error
        return cls("no thread can be started; raise the limit of this user: ulimit -u 4096")


class ReloadRefused(Error):
    """A new configuration cannot replace the one that is being served; `reasons` holds every one."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons


class SourceError(Error):
    """An artifact is missing, unreadable, or not a file."""


class ModuleError(Error):
    """A module that cannot be run; raised when it is loaded, never during a request."""


class CompileError(ModuleError):
    """Not WebAssembly, not valid, or in need of a feature that is switched off."""


class LinkError(ModuleError):
    """The module's imports or exports do not fit its ABI; the text names every one."""


class UnknownAbi(ModuleError):
    """No contract between guest and host matches the module's imports."""


class InvocationError(Error):
    """An invocation ended badly; each subclass is one outcome of the log."""

    code: ClassVar[str] = "guest_fault"
    outcome: ClassVar[str] = "trap"


class GuestTrap(InvocationError):
    """The guest executed a trap, or handed the host a window outside its memory."""


class StackExhausted(InvocationError):
    """The guest recursed beyond its stack."""

    outcome = "stack"


class MemoryExceeded(InvocationError):
    """The guest cannot be given the memory it starts with."""

    outcome = "oom"


class HostLimit(InvocationError):
    """The guest spent a budget that the host counts: host calls, response body, headers."""

    outcome = "host_limit"


class BadResponse(InvocationError):
    """The guest returned without a response, or set one that HTTP forbids (RFC 9110)."""

    outcome = "bad_response"


class BadStatus(BadResponse):
    """A CGI program wrote a Status that is none (WAGI: 502)."""

    status = 502


class GuestExit(InvocationError):
    """The guest ended itself, by `proc_exit` of WASI; any `exit_code` but 0 says that it failed."""

    outcome = "exit"

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code = exit_code


class Unsaved(InvocationError):
    """The guest ended well, but a file that it had left open could not be put into its store."""

    outcome = "unsaved"


class DeadlineExceeded(InvocationError):
    """The guest did not finish before its deadline, waits in host functions included."""

    status = 504
    code = "guest_deadline"
    outcome = "deadline"


class CpuExceeded(InvocationError):
    """The guest used up its processor time; what it waited for does not count."""

    status = 504
    code = "guest_deadline"
    outcome = "cpu"


class FuelExhausted(InvocationError):
    """The guest used up the instructions that its application may execute in an invocation."""

    status = 504
    code = "guest_deadline"
    outcome = "fuel"


class Overloaded(InvocationError):
    """No slot and no place in the queue came free in time; `retry_after` is in seconds."""

    status = 503
    code = "unavailable"
    outcome = "overloaded"
    retry_after = 1


class RateLimited(InvocationError):
    """More requests a second than the application takes; `retry_after` is in seconds (RFC 6585 section 4)."""

    status = 429
    code = "rate_limited"
    outcome = "rate_limited"

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Unavailable(InvocationError):
    """The application could not be loaded; the reason was logged when the service started."""

    status = 503
    code = "unavailable"
    outcome = "link"


class OutOfService(InvocationError):
    """The application has taken workers down again and again; a reload puts it back into service."""

    status = 503
    code = "unavailable"
    outcome = "worker_lost"


class RequestError(Error):
    """The caller's request cannot be served."""

    status = 400
    code = "bad_request"


class BadRequest(RequestError):
    """The bytes are not a request, or have more than one reading (RFC 9112)."""


class NotFound(RequestError):
    """No route matches the host and path."""

    status = 404
    code = "not_found"


class MethodNotAllowed(RequestError):
    """The path has a route, but not for this method; `allow` lists those it has."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, allow: tuple[str, ...]) -> None:
        super().__init__(f"allowed: {', '.join(allow)}")
        self.allow = allow


class RequestTimeout(RequestError):
    """The head or the body did not arrive before its deadline."""

    status = 408
    code = "request_timeout"


class BodyTooLarge(RequestError):
    """The request body is larger than the application takes."""

    status = 413
    code = "body_too_large"


class TargetTooLong(RequestError):
    """The request target is longer than the server takes."""

    status = 414
    code = "target_too_long"


class ExpectationFailed(RequestError):
    """The request expects something other than 100-continue (RFC 9110 section 10.1.1)."""

    status = 417
    code = "expectation_failed"


class HeadersTooLarge(RequestError):
    """The header block has too many fields or too many bytes (RFC 6585 section 5)."""

    status = 431
    code = "headers_too_large"


class MethodUnknown(RequestError):
    """The method is one that the server does not implement."""

    status = 501
    code = "method_unknown"


class CodingUnknown(RequestError):
    """The body has a transfer coding that the server does not implement (RFC 9112 section 6.1)."""

    status = 501
    code = "coding_unknown"


class VersionNotSupported(RequestError):
    """The request speaks neither HTTP/1.1 nor HTTP/1.0."""

    status = 505
    code = "version_not_supported"


class CapabilityError(Error):
    """The host refuses or fails a guest's request; `abi_code` is what the guest sees."""

    abi_code: ClassVar[int] = -1


class NotPermitted(CapabilityError):
    """The policy does not grant what the guest asked for."""


class NotThere(CapabilityError):
    """The descriptor is not open, or the key has no value."""


class TooLarge(CapabilityError):
    """The guest has used all the room it has: descriptors, bytes."""

    abi_code = -2


class Failed(CapabilityError):
    """The backend or the network failed."""


def forget_frames(error: BaseException) -> None:
    """Lets go of where an error came from: frames that know it would keep the guest and its request.

    The garbage collector comes late, and counts a body of a megabyte as nothing.
    """
    found: BaseException | None = error
    while found is not None:
        found.__traceback__, found = None, found.__context__
