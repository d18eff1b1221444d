"""The keys and values of a wasm-workers-server program: all of them go in, all of them come back.

An application's first namespace comes in; texts go out, and what the program changed is kept.
It must never write what the program left as it was: two requests at once would undo each other.
"""

from __future__ import annotations

from collections.abc import Mapping

from serverless_wasm.abi.base import Invocation
from serverless_wasm.errors import BadResponse, CapabilityError, HostLimit, Unsaved
from serverless_wasm.storage.kv.namespace import MANY


class Snapshot:
    """What was there when a request began; `pairs` is empty for an application that was granted nothing."""

    def __init__(self, invocation: Invocation, pairs: Mapping[str, str]) -> None:
        self._invocation = invocation
        self.pairs = pairs

    @classmethod
    async def of(cls, invocation: Invocation) -> Snapshot:
        """Reads all keys; raises HostLimit when they are more than MANY, or cannot be had."""
        if not invocation.grants.key_value:
            return cls(invocation, {})
        namespace = invocation.grants.key_value[0]
        try:
            keys, more = await namespace.keys(b"", None, MANY)
            values = await namespace.get_many(keys)
        except CapabilityError as error:
            invocation.tell_refusal(error)
            raise HostLimit(f"key_value: {error}") from None
        if more is not None:
            raise HostLimit(f"key_value: more than {MANY} keys, which this contract hands over all at once")
        pairs = zip(keys, values, strict=True)
        return cls(invocation, {_text(key): _text(value) for key, value in pairs if value is not None})

    async def keep(self, pairs: Mapping[str, str]) -> None:
        """Writes what differs from what was there; raises Unsaved if that fails, BadResponse for no text."""
        changed = {key: value for key, value in pairs.items() if self.pairs.get(key) != value}
        removed = [key for key in self.pairs if key not in pairs]
        if not self._invocation.grants.key_value or not (changed or removed):
            return
        namespace = self._invocation.grants.key_value[0]
        try:
            await namespace.set_many([(key.encode(), value.encode()) for key, value in changed.items()])
            await namespace.delete_many([key.encode() for key in removed])
        except CapabilityError as error:
            self._invocation.tell_refusal(error)
            raise Unsaved(str(error)) from None
        except UnicodeEncodeError:
            raise BadResponse("kv: half a surrogate pair") from None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
