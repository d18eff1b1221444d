"""The engine, and all that is made once for it: its scheduler, its ABIs, its loader.

Parts of a release come in; programs ready to run go out.
It must never be closed while a deployment that was loaded in it still answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakValueDictionary

from serverless_wasm.abi import Abis
from serverless_wasm.application import Program
from serverless_wasm.config.configuration import ApplicationConfig, Configuration
from serverless_wasm.errors import ModuleError
from serverless_wasm.release import Part
from serverless_wasm.wasm.artifacts import Artifact, Cache
from serverless_wasm.wasm.engine import Engine, EngineSettings
from serverless_wasm.wasm.modules import Module, load_module
from serverless_wasm.wasm.scheduler import Cell, Scheduler


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
        )
        return cls(engine=engine, memory=configuration.memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of one part: a program, or the reason why there is none."""

    config: ApplicationConfig
    number: int
    module: Module | None = None
    program: Program | None = None
    error: str = ""


class EngineRoom:
    """Loads programs for one engine; raises EngineError when that cannot start here.

    `running` is told, in its first item, the number of the application whose guest runs at this moment.
    """

    def __init__(self, settings: RoomSettings, cache: Cache, running: Cell | None = None) -> None:
        self.settings = settings
        self.engine = Engine(settings.engine)
        self.scheduler = Scheduler(self.engine, settings.memory, running)
        self._abis = Abis(self.scheduler)
        self._cache = cache
        self._modules: WeakValueDictionary[Artifact, Module] = WeakValueDictionary()

    @property
    def notices(self) -> tuple[str, ...]:
        """What the operator should know of this engine, in sentences."""
        wanted = self.settings.engine.slots
        if not wanted or wanted <= self.engine.slots:
            return ()
        sentence = (
            f"slots: {self.engine.slots} instead of {wanted}, because vm.max_map_count is too low for more; "
            "write: sysctl -w vm.max_map_count=262144"
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
            program = Program(abi=abi, linked=abi.link(module, config.function, config.limits))
        except ModuleError as error:
            return Loaded(config=config, number=part.number, module=module, error=str(error))
        return Loaded(config=config, number=part.number, module=module, program=program)

    def _module(self, artifact: Artifact) -> Module:
        """The module, one for all programs that run it, for as long as one of them lives."""
        module = self._modules.get(artifact)
        if module is None:
            module = self._modules[artifact] = load_module(self.engine, self._cache, artifact)
        return module

    def close(self) -> None:
        """Stops the ticker and frees the engine."""
        self._abis.close()
        self.engine.close()
