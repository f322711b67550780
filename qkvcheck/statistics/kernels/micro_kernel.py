"""The micro-kernel: a small matrix product whose sums never leave the processor's registers.

Compiled loops keep one row of sums in the first-level cache and load and store it for every few multiplications;
with sums in registers the multipliers are the limit (measured: docs/performance.md). Numba has no way to say so in
Python, hence a few lines of LLVM: `ROWS` x 2 vectors of sums, one vector load a vector and one broadcast a row.

Numba keeps compiled code on disk until the file of the calling function changes, and does not look at this one: after a
change here, touch ``numba_.py`` or clear ``NUMBA_CACHE_DIR``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

ROWS = 6
_VECTORS = 2


def _lanes() -> int:
    """Return how many float32 numbers the machine's vectors hold."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx") else 4


LANES = _lanes()
COLUMNS = LANES * _VECTORS

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_ADDRESS = ir.IntType(64)
_FUSED = ("contract",)


def _make(*, add: bool) -> Any:
    def product(
        _context: Any, _a: Any, _b: Any, _sums: Any, _depth: Any, _stride: Any
    ) -> tuple[Any, Callable[..., Any]]:
        return types.void(*[types.intp] * 5), _generate(add)

    return intrinsic(product)


def _generate(add: bool) -> Callable[..., Any]:
    def code(context: Any, builder: Any, _signature: Any, arguments: tuple[Any, ...]) -> Any:
        a, b, sums, depth, stride = arguments
        before = builder.block
        loop, after = builder.append_basic_block("product"), builder.append_basic_block("store")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(_ADDRESS)
        running = [[builder.phi(_VECTOR) for _ in range(_VECTORS)] for _ in range(ROWS)]
        right = [_load(builder, b, builder.mul(k, _ADDRESS(COLUMNS)), v * LANES) for v in range(_VECTORS)]
        updated = []
        for row in range(ROWS):
            left = _broadcast(builder, a, builder.mul(k, _ADDRESS(ROWS)), row)
            updated.append(
                [
                    builder.fadd(builder.fmul(left, right[v], flags=_FUSED), running[row][v], flags=_FUSED)
                    for v in range(_VECTORS)
                ]
            )
        following = builder.add(k, _ADDRESS(1))
        k.add_incoming(_ADDRESS(0), before)
        k.add_incoming(following, loop)
        for row in range(ROWS):
            for v in range(_VECTORS):
                running[row][v].add_incoming(ir.Constant(_VECTOR, [0.0] * LANES), before)
                running[row][v].add_incoming(updated[row][v], loop)
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
        builder.position_at_end(after)
        for row in range(ROWS):
            for v in range(_VECTORS):
                place = _address(builder, sums, builder.mul(stride, _ADDRESS(row)), v * LANES, _VECTOR)
                value = updated[row][v]
                if add:
                    value = builder.fadd(value, builder.load(place, align=4))
                builder.store(value, place, align=4)
        return context.get_dummy_value()

    return code


def _address(builder: Any, base: Any, offset: Any, further: int, kind: Any) -> Any:
    """Return a pointer to the float32 number `offset + further` from an address."""
    size = _ADDRESS(4)
    place = builder.add(base, builder.mul(builder.add(offset, _ADDRESS(further)), size))
    return builder.inttoptr(place, kind.as_pointer())


def _load(builder: Any, base: Any, offset: Any, further: int) -> Any:
    return builder.load(_address(builder, base, offset, further, _VECTOR), align=4)


def _broadcast(builder: Any, base: Any, offset: Any, further: int) -> Any:
    number = builder.load(_address(builder, base, offset, further, _FLOAT), align=4)
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


store_product = _make(add=False)
"""``store_product(a, b, sums, depth, stride)``: addresses of a (depth, ROWS) and a (depth, COLUMNS) packed float32
array and of the sums (ROWS, stride), of which COLUMNS a row are set to the product a' b; `depth` is at least 1."""

add_product = _make(add=True)
"""The same, added to what the sums hold."""
