"""CGI: WASI commands that read a request and write a response (RFC 3875, docs/abi/cgi.md).

A request becomes arguments, environment and standard input; standard output becomes the response.
It decides nothing: abi/wasi and storage say what a guest may reach, cgi_head what a head may say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from serverless_wasm.abi.answer import Answer
from serverless_wasm.abi.base import Invocation, run_guest
from serverless_wasm.abi.cgi_environment import arguments, environment, path_info, script_name
from serverless_wasm.abi.cgi_routes import EXPORT, SubRoute, find, parse
from serverless_wasm.abi.command import Collected, Start, body_of, program, run
from serverless_wasm.abi.core import ENTRY, CoreAbi
from serverless_wasm.abi.wasi.descriptors import Output
from serverless_wasm.abi.wasi.functions import NAMESPACE as WASI
from serverless_wasm.errors import BadResponse
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Response
from serverless_wasm.wasm.code import Code
from serverless_wasm.wasm.linker import LinkedModule
from serverless_wasm.wasm.modules import Module


@dataclass(frozen=True)
class RoutedModule(LinkedModule):
    """One that names its sub-routes; `link` makes the function of one callable."""

    link: Callable[[str], LinkedModule]

    @cached_property
    def known(self) -> list[tuple[SubRoute, ...]]:
        """What it has named, once it has."""
        return []


class CgiAbi(CoreAbi):
    """Runs WASI commands, which export `_start`, as CGI programs.

    One that the configuration calls so may import functions of `env` as well.
    """

    name = "cgi"
    entry = "_start"
    streams = True

    def link(
        self, code: Code, function: str, limits: Limits, variables: Mapping[bytes, bytes]
    ) -> LinkedModule:
        """Resolves a module, and makes it name its sub-routes if it can; raises LinkError."""
        linked = super().link(code, function, limits, variables)
        if function != self.entry or not isinstance(code, Module) or code.export(EXPORT) != ENTRY:
            return linked

        def link(function: str) -> LinkedModule:
            return CoreAbi.link(self, code, function, limits, variables)

        return RoutedModule(linked.module, linked.recipe, linked.plan, linked.kept, linked.namespaces, link)

    def speaks(self, module: Module) -> bool:
        """Whether it is a command, and all imports are of WASI."""
        is_command = module.export(self.entry) is not None
        return is_command and all(wanted.module == WASI for wanted in module.imports)

    async def run(self, linked: LinkedModule, invocation: Invocation) -> Response:
        """Runs one invocation to its end; its response may begin before that (Invocation.begin)."""
        body = await body_of(invocation)
        request, grants, route = invocation.request, invocation.grants, invocation.grants.route
        if isinstance(linked, RoutedModule):
            found = find(await self._routes(linked, invocation), path_info(request, route))
            if found is not None:
                linked, route = found.linked, script_name(route) + found.path
        start = Start(
            body=body,
            arguments=arguments(request, route, grants.arguments),
            environment=environment(request, route, len(body)),
        )
        answer = Answer(invocation)
        invocation.process = program(invocation, start, Output(answer))
        try:
            await run(self._scheduler, linked, invocation)
            return answer.finish()
        except (asyncio.CancelledError, Exception) as error:
            answer.fail(BadResponse("cut short") if isinstance(error, asyncio.CancelledError) else error)
            raise

    async def _routes(self, linked: RoutedModule, invocation: Invocation) -> tuple[SubRoute, ...]:
        """What the module has named, in the course of its first request."""
        if not linked.known:
            printed = Collected(invocation.grants.limits.response_header_bytes)
            invocation.process = program(invocation, Start(), Output(printed))
            await run_guest(self._scheduler, linked.link(EXPORT), invocation)
            invocation.close()
            linked.known.append(parse(bytes(printed.data), linked.link))
        return linked.known[0]
