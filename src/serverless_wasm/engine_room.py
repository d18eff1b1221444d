"""The engine, and all that is made once for it: its scheduler, its ABIs, its loader.

Parts of a release come in; programs ready to run go out.
It must never be closed while a deployment that was loaded in it still answers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from weakref import WeakValueDictionary

from serverless_wasm.abi import Abis
from serverless_wasm.application import Program
from serverless_wasm.config.configuration import ApplicationConfig, Configuration
from serverless_wasm.errors import LinkError, ModuleError
from serverless_wasm.release import Part
from serverless_wasm.storage.handles import Handles
from serverless_wasm.storage.mounts import Mounts
from serverless_wasm.storage.scratch import sweep
from serverless_wasm.wasm.artifacts import Artifact, Cache
from serverless_wasm.wasm.code import Code, load_code
from serverless_wasm.wasm.engine import (
    DEFAULT_SLOTS,
    MAPPINGS_PER_MODULE,
    MAPPINGS_PER_SLOT,
    MAPPINGS_RESERVED,
    Engine,
    EngineSettings,
    available_slots,
)
from serverless_wasm.wasm.modules import Shapes
from serverless_wasm.wasm.scheduler import Cells, Scheduler

FEW_MODULES = 1024
"""A number that the engine has room for anyway, also while a reload has them loaded twice."""
USUAL_MAPPINGS = 262_144
"""What operators set vm.max_map_count to; enough for 10,000 slots and 90,000 modules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSettings:
    """What of a configuration the engine is made of; deployments with the same settings share a room."""

    engine: EngineSettings
    memory: int | None

    @classmethod
    def of(cls, configuration: Configuration) -> RoomSettings:
        """The settings that serve every application of the configuration."""
        limits = [item.limits for item in configuration.applications]
        engine = EngineSettings(
            slots=configuration.slots,
            table_elements=max(item.table_elements for item in limits),
            fuel=configuration.counts_fuel,
            stack=configuration.stack,
            modules=_room_for(len({str(item.file_path) for item in configuration.applications})),
        )
        return cls(engine=engine, memory=configuration.memory)


def _room_for(modules: int) -> int:
    """Rounded up by a third at most: a reload of a few more shares the room, and old ones stay for a while.

    None for a thousand, which MAPPINGS_RESERVED has room for.
    """
    if modules <= FEW_MODULES:
        return 0
    step = 1 << (modules.bit_length() - 2)
    return -(-modules // step) * step


def _mappings(slots: int, modules: int) -> int:
    """What to write for vm.max_map_count, so that all fit."""
    needed = MAPPINGS_RESERVED + MAPPINGS_PER_MODULE * modules + MAPPINGS_PER_SLOT * slots
    return max(USUAL_MAPPINGS, needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of one part: a program, or the reason why there is none."""

    config: ApplicationConfig
    number: int
    module: Code | None = None
    program: Program | None = None
    error: str = ""


class EngineRoom:
    """Loads programs for one engine; raises EngineError when that cannot start here.

    `running` is told, in its first item, the number of the application whose guest runs at this moment.
    """

    def __init__(self, settings: RoomSettings, cache: Cache, running: Cells | None = None) -> None:
        self.settings = settings
        self.engine = Engine(settings.engine)
        self.scheduler = Scheduler(self.engine, settings.memory, running)
        self._abis = Abis(self.scheduler)
        self._cache = cache
        self._shapes = Shapes()
        self._modules: WeakValueDictionary[Artifact, Code] = WeakValueDictionary()
        self._scratch = str(Path(gettempdir()) / f"serverless-wasm-{os.geteuid()}")
        sweep(self._scratch)  # what workers that were killed have left behind

    @property
    def notices(self) -> tuple[str, ...]:
        """What the operator should know of this engine, in sentences."""
        wanted, modules = self.settings.engine.slots, self.settings.engine.modules
        usual = wanted or available_slots(None)
        if usual <= self.engine.slots:
            return ()
        beside = f" beside up to {modules} modules" if modules else ""
        sentence = (
            f"slots: {self.engine.slots} instead of {usual}, "
            f"because vm.max_map_count is too low for more{beside}; "
            f"write: sysctl -w vm.max_map_count={_mappings(wanted or DEFAULT_SLOTS, modules)}"
        )
        return (sentence,)

    def load(self, part: Part) -> Loaded:
        """Loads, detects and links; whatever goes wrong is told in the result's `error`."""
        config, module = part.config, None
        if part.artifact is None:
            return Loaded(config=config, number=part.number, error=part.error)
        try:
            module = self._module(part.artifact)
            abi = self._abis.detect(module, config.abi)
            if config.reuse > 1 and not abi.reuses:
                raise LinkError(f"reuse is for components, and this is {abi.name}; leave it out")
            linked = abi.link(module, config.function or abi.entry, config.limits, config.variables)
            program = Program(abi=abi, linked=linked)
        except ModuleError as error:
            return Loaded(config=config, number=part.number, module=module, error=str(error))
        missing = "; ".join(self.mounts(config).missing())
        return Loaded(
            config=config,
            number=part.number,
            module=module,
            program=None if missing else program,
            error=missing,
        )

    def mounts(self, config: ApplicationConfig) -> Mounts:
        """The folders that the application's guests find."""
        scratch = config.limits.scratch if config.tmp else None
        handles = Handles(config.limits.application_files)
        return Mounts(mounts=config.mounts, scratch=scratch, parent=self._scratch, handles=handles)

    def _module(self, artifact: Artifact) -> Code:
        """The module, one for all programs that run it, for as long as one of them lives."""
        module = self._modules.get(artifact)
        if module is None:
            module = self._modules[artifact] = load_code(self.engine, self._cache, artifact, self._shapes)
        return module

    def close(self) -> None:
        """Stops the ticker and frees the engine."""
        self.scheduler.admission.shelf.close()
        self._abis.close()
        self.engine.close()
