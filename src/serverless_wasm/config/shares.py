"""What one of several workers may use, where the operator wrote what the service may use.

A Configuration and a number of workers come in; the Configuration of each worker goes out.
It must never make a share nothing: an application that may run at all may run in every worker.
"""

from __future__ import annotations

from dataclasses import replace

from serverless_wasm.config.configuration import ApplicationConfig, Configuration
from serverless_wasm.limits import Limits
from serverless_wasm.wasm.admission import machine_memory


def share(configuration: Configuration, workers: int) -> Configuration:
    """The same configuration with an even share of all that is counted for the whole service.

    Shares are rounded up, so that many workers may together use a little more. Limits of a single
    invocation are as they were.
    """
    if workers <= 1:
        return configuration
    shares: dict[Limits, Limits] = {}  # one for all that have the same: there may be thousands
    return replace(
        configuration,
        door=replace(
            configuration.door,
            connections=_part(configuration.door.connections, workers),
            unsent=_part(configuration.door.unsent, workers),
        ),
        memory=_part(configuration.memory or machine_memory(), workers),
        applications=tuple(_application(item, workers, shares) for item in configuration.applications),
    )


def _application(config: ApplicationConfig, workers: int, shares: dict[Limits, Limits]) -> ApplicationConfig:
    if config.limits not in shares:
        shares[config.limits] = _limits(config.limits, workers)
    return replace(config, limits=shares[config.limits])


def _limits(limits: Limits, workers: int) -> Limits:
    return replace(
        limits,
        concurrency=_part(limits.concurrency, workers),
        queue=_part(limits.queue, workers),
        application_sockets=_part(limits.application_sockets, workers),
        application_files=_part(limits.application_files, workers),
        rate=limits.rate / workers if limits.rate else None,
    )


def _part(whole: int, workers: int) -> int:
    return -(-whole // workers)
