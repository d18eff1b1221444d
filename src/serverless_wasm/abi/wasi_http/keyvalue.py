"""Every interface through which a component reaches stores of keys and values.

Those of the files beside this one come in; one tuple of them goes out.
It must never have functions of its own.
"""

from __future__ import annotations

from serverless_wasm.abi.wasi_http.keyvalue_atomics import ATOMICS
from serverless_wasm.abi.wasi_http.keyvalue_batch import BATCH
from serverless_wasm.abi.wasi_http.keyvalue_spin import SPIN
from serverless_wasm.abi.wasi_http.keyvalue_store import STORE

KEYVALUE = (STORE, ATOMICS, BATCH, SPIN)
