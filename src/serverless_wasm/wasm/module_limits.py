"""What a module may be made of, so that compiling it takes time in proportion to its size.

Numbers with their reasons; wasm/structure.py holds modules to them.
A default must never refuse what a compiler writes: beside each stands the most that was found in real guests.
"""

from __future__ import annotations

from dataclasses import dataclass

from serverless_wasm.limits import KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleLimits:
    """Measured with wasmtime 50 and the settings of wasm/engine.py; work is in microseconds of a core.

    Guests: Biome (Rust, 45 MB), esbuild (Go), CPython, Ruby, PostgreSQL, QuickJS, StarlingMonkey, pyodide.
    """

    types: int = 10_000
    """0.1 ms each, for the code that calls such functions; FFmpeg has 288."""
    imports: int = 10_000
    """pyodide has 548."""
    functions: int = 65_536
    """0.05 to 0.15 ms and 10 KiB each, however small; Biome has 35,823."""
    tables: int = 100
    """The engine's own limit; a guest has one or two."""
    memories: int = 100
    """The engine's own limit; a guest has one."""
    globals: int = 10_000
    """16 bytes in every instance; pyodide has 1,144."""
    exports: int = 20_000
    """0.1 ms for each function among them; pyodide has 8,560."""
    element_segments: int = 10_000
    """What is not copied into a table at the start costs every instance 0.1 us; compilers write one."""
    elements: int = 100_000
    """As many as a table may have (Limits.table_elements); a million take the compiler more than 6 GB."""
    data_segments: int = 100_000
    """The engine's own limit; Go's linker stops there, esbuild has 98,450."""
    custom_sections: int = 1_000
    """CPython with all that is for debugging has ten."""
    name_bytes: int = 4 * KIB
    """Of one name of an import or export; Ruby has one of 201."""
    parameters: int = 128
    """Of a function, each moved by a call of two bytes; C promises 127, PostgreSQL has 33."""
    results: int = 16
    """Of a function; calls can hand them on to each other. Biome has four."""
    expression_bytes: int = 64
    """Of a constant expression; each three bytes can take 10 us and 1 KiB. Compilers write 3 to 18."""
    locals: int = 5_000_000
    """Of all functions, 0.1 us each; Biome has 211,449."""
    function_locals: int = 10_000
    """Biome has 1,535; code that was not optimised has thousands."""
    function_bytes: int = 768 * KIB
    """The worst kinds take 1.7 KiB of memory for a byte; Biome has 379,195."""
    nesting: int = 30_000
    """Go opens a block for every place where a function may resume: esbuild has 3,289 in each other."""
    loop_nesting: int = 64
    """Its square times the variables is what loops cost; guests have 10 at most."""
    block_values: int = 5_000
    """What the blocks of a function take and leave; four bytes times its square of memory.
    StarlingMonkey has 1,254."""
    branch_targets: int = 100_000
    """Of all branch tables of a function; Biome has 26,482."""
    function_work: int = 15_000_000
    """Biome's heaviest function has 7,600,000."""
    work: int = 200_000_000
    """Of a whole module; Biome has 102,000,000, and takes 52 seconds of processor time."""
    base_work: int = 5_000_000
    """What the smallest module may cost, ..."""
    work_per_byte: int = 6
    """... and for each of its bytes; StarlingMonkey has 2.5, no guest more than 3.3 for a byte of code."""

    def allowed_work(self, size: int) -> int:
        """The work that a module of so many bytes may cost: bombs are small."""
        return min(self.work, self.base_work + self.work_per_byte * size)
