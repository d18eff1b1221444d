"""All interfaces that components are offered, in one table.

Nothing comes in; the table goes out.
What is not in it is named to whoever deploys a component that asks for it.
"""

from __future__ import annotations

from serverless_wasm.abi.wasi_http import (
    fields,
    http_errors,
    incoming,
    outgoing,
    outgoing_handler,
    outgoing_request,
)
from serverless_wasm.abi.wasi_http.cli import CLI
from serverless_wasm.abi.wasi_http.clocks import MONOTONIC_CLOCK, WALL_CLOCK
from serverless_wasm.abi.wasi_http.config import CONFIG
from serverless_wasm.abi.wasi_http.filesystem import FILESYSTEM_TYPES, PREOPENS
from serverless_wasm.abi.wasi_http.interface import Interface
from serverless_wasm.abi.wasi_http.io_error import ERROR
from serverless_wasm.abi.wasi_http.keyvalue import KEYVALUE
from serverless_wasm.abi.wasi_http.logging import LOGGING
from serverless_wasm.abi.wasi_http.poll import POLL
from serverless_wasm.abi.wasi_http.random import INSECURE, INSECURE_SEED, RANDOM
from serverless_wasm.abi.wasi_http.sockets_names import IP_NAME_LOOKUP
from serverless_wasm.abi.wasi_http.sockets_tcp import TCP, TCP_CREATE_SOCKET
from serverless_wasm.abi.wasi_http.sockets_types import INSTANCE_NETWORK, NETWORK
from serverless_wasm.abi.wasi_http.sockets_udp import UDP, UDP_CREATE_SOCKET
from serverless_wasm.abi.wasi_http.streams import STREAMS

HTTP_TYPES = Interface(
    "wasi:http/types",
    (
        *fields.FUNCTIONS, *http_errors.FUNCTIONS, *incoming.FUNCTIONS, *outgoing.FUNCTIONS,
        *outgoing_request.FUNCTIONS, *outgoing_handler.FUNCTIONS,
    ),
)  # fmt: skip
INTERFACES = (
    ERROR, POLL, STREAMS,
    MONOTONIC_CLOCK, WALL_CLOCK,
    RANDOM, INSECURE, INSECURE_SEED,
    *CLI,
    FILESYSTEM_TYPES, PREOPENS,
    NETWORK, INSTANCE_NETWORK, IP_NAME_LOOKUP, TCP, TCP_CREATE_SOCKET, UDP, UDP_CREATE_SOCKET,
    HTTP_TYPES, outgoing_handler.OUTGOING_HANDLER,
    *CONFIG, LOGGING, *KEYVALUE,
)  # fmt: skip
