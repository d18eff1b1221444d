"""Where things are that are not beside the configuration file: modules, files of guests, keys and values.

Checked tables come in; the values that the rooms below open go out.
It must never open one: whether a store is there is found out by who needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from serverless_wasm.storage.files.stores import Place
from serverless_wasm.storage.kv.namespace import KeyValueSettings
from serverless_wasm.storage.mounts import Mount
from serverless_wasm.stores import Remote, Store, covering

if TYPE_CHECKING:
    from serverless_wasm.config.schema import ApplicationTable, FileTable
    from serverless_wasm.config.store_tables import KeyValueTable, StoreTable

DEFAULT = "default"
"""The store of keys that needs no table."""
_STATE = ".serverless-wasm"
"""The folder, beside the configuration file, of what nobody chose a place for."""
_PATHS = ("ca", "service_account")
"""The options of a store that are paths."""


class Places:
    """The places that one file names; relative paths start at its folder."""

    def __init__(self, folder: Path, file: FileTable) -> None:
        self._folder = folder
        self._stores = tuple(self._store(name, table) for name, table in file.stores.items())
        self._keys = {name: self._key_value(name, table) for name, table in file.key_value.items()}
        url = self._database(f"{_STATE}/default.db")
        self._keys.setdefault(DEFAULT, KeyValueSettings(name=DEFAULT, url=url))

    def module(self, table: ApplicationTable) -> Path | Remote:
        """Where a module is: at a URL, beside the file or, if it is only there, in the working directory.

        Symbolic links are not followed here, so that a reload sees one that was switched.
        """
        written = table.file_path
        if "://" in written:
            return self._remote(written)
        beside = self._folder / written
        with suppress(OSError):  # not allowed to look, a name too long, no working directory
            if not beside.exists() and (here := Path(written).absolute()).exists():
                return here
        return beside

    def mounts(self, table: ApplicationTable) -> tuple[Mount, ...]:
        """The folders that WASI guests find."""
        return tuple(
            Mount(name=name, path=self._folder / mount.path, write=mount.write)
            for name, mount in table.mounts.items()
        )

    def key_value(self, table: ApplicationTable) -> tuple[KeyValueSettings, ...]:
        """The stores that an application is granted, which are known."""
        return tuple(self._keys[name] for name in dict.fromkeys(table.key_value))

    def files(self, table: ApplicationTable) -> tuple[Place, ...]:
        """The places whose files an application is granted."""
        return tuple(
            Place(name=name, where=self._where(place.url), write=place.write, quota=place.quota)
            for name, place in table.files.items()
        )

    def _where(self, url: str) -> Path | Remote:
        if "://" not in url:
            return self._folder / url
        return Path(urlsplit(url).path) if url.startswith("file:") else self._remote(url)

    def _remote(self, url: str) -> Remote:
        return Remote(url=url, store=covering(url, self._stores))

    def _store(self, name: str, table: StoreTable) -> Store:
        options: Mapping[str, str] = table.model_dump(exclude_none=True, exclude={"url", "anonymous"})
        paths = {key: str(self._folder / options[key]) for key in _PATHS if key in options}
        return Store(name=name, url=table.url, options={**options, **paths}, anonymous=table.anonymous)

    def _key_value(self, name: str, table: KeyValueTable) -> KeyValueSettings:
        scheme, _, rest = table.url.partition("://")
        url = self._database(rest[1:]) if scheme == "sqlite" else table.url
        return KeyValueSettings(name=name, url=url, shared=table.shared, quota=table.quota, value=table.value)

    def _database(self, path: str) -> str:
        """Three slashes begin a relative path, four an absolute one."""
        return f"sqlite:///{self._folder / path}"
