"""What one application may use, so that it cannot hurt a neighbour.

Numbers come in from the configuration; every room that spends something reads them here.
A limit without a reason beside its default does not belong in this file.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one application; sizes in bytes, times in seconds."""

    memory: int = 64 * MIB
    """Linear memory; Go starts with 18 MiB, Python components with 13 MiB."""
    table_elements: int = 100_000
    """Function table entries; a 700 KB module of 2018 has 2,859 functions."""
    timeout: float = 10.0
    """Wall time of an invocation, waits in host functions included."""
    cpu: float = 5.0
    """Processor time of an invocation; its waits are free."""
    fuel: int | None = None
    """Instructions of an invocation, roughly; None does not count them. A tight loop that is counted
    took 3 % longer (measured)."""
    concurrency: int = 100
    """Invocations at once; one more waits in the queue."""
    queue: int = 100
    """Requests that may wait for their turn; one more is answered 503."""
    queue_timeout: float = 1.0
    """How long a request may wait for its turn; then 503. Longer waits are better spent in the client."""
    rate: float | None = None
    """Requests a second, in bursts of as many; one more is answered 429. None does not count them."""
    host_calls: int = 100_000
    """Host function calls in an invocation; at 1-2 us each a fraction of a second."""
    request_body: int = 1 * MIB
    """Request body; the default of nginx's client_max_body_size."""
    response_body: int = 16 * MIB
    """Response body that a guest may set."""
    response_headers: int = 128
    """Response header fields; a browser needs a fraction of it."""
    response_header_bytes: int = 64 * KIB
    """Names and values of all response header fields together."""
    sockets: int = 8
    """Open TCP descriptors of an invocation."""
    application_sockets: int = 1_000
    """Open TCP descriptors of all invocations together, so that one application cannot take them all."""
    application_files: int = 1_000
    """Open files and folders of mounts and of /tmp, of all invocations together: as `application_sockets`."""
    socket_received: int = 64 * MIB
    """Bytes that a guest may receive on one descriptor."""
    socket_sent: int = 64 * MIB
    """Bytes that a guest may send on one descriptor."""
    connect_timeout: float = 2.0
    """To look a name up and to connect; a black hole answers no SYN (THREATS 2.4)."""
    socket_timeout: float = 5.0
    """For one read or write on a descriptor (THREATS G30)."""
    log_bytes: int = 64 * KIB
    """Log text of an invocation; what is beyond is dropped and counted."""
    log_lines: int = 100
    """Log records of an invocation; what is beyond is dropped and counted."""
    scratch: int = 16 * MIB
    """Scratch folder of an invocation; a name counts for 4 KiB beside what its file holds."""
    store_timeout: float = 5.0
    """For one operation on files or keys that are kept elsewhere; as `socket_timeout`."""
    file_size: int = 16 * MIB
    """One file that a guest writes into a store, and all that it has open there and not written yet: they are
    held in memory until they are whole."""
    module_size: int = 64 * MIB
    """The module itself; an interpreter compiled to WebAssembly has 20-30 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """What one HTTP connection may use; sizes in bytes, times in seconds."""

    header_timeout: float = 10.0
    """From the first byte of a request to the end of its header block, in total (THREATS C1); a new
    connection has as long to begin one. A header block is a packet or two."""
    body_timeout: float = 10.0
    """How long a body may stay behind `body_rate`, pauses included; TCP repeats what is lost after 1, 2
    and 4 seconds, so an honest client may well pause for 7."""
    body_rate: int = 240
    """Bytes a second that a body brings; Kestrel's default, a twentieth of what GPRS carries."""
    idle_timeout: float = 60.0
    """Between two requests of a connection."""
    write_timeout: float = 10.0
    """How long the reading of a response may stay behind `write_rate`; for the reason of `body_timeout`."""
    write_rate: int = 240
    """Bytes a second of a response that a client takes; for the reason of `body_rate`."""
    unsent: int = 256 * MIB
    """Bodies of responses that clients have not taken yet, of all connections together: sixteen of the
    largest that an application may make by default."""
    target: int = 8 * KIB
    """Request target; RFC 9112 section 3 recommends at least 8,000."""
    header_fields: int = 100
    """Header fields of a request."""
    header_bytes: int = 32 * KIB
    """The header block of a request, names, values and separators together."""
    connections: int = 10_000
    """Open connections; one more takes the place of the one that has kept us waiting longest. Each takes
    5 KiB while it is idle (measured)."""
