"""Gains in a row become one call, for their product is one number a channel; a sum behind them takes that as weights, and sines
before it are added up as they arise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from asmu_engine.cores.chain import Chain
from asmu_engine.cores.gain import AGain
from asmu_engine.cores.sine import ASine
from asmu_engine.cores.sum import ASum
from asmu_engine.rt.acore import ACore
from asmu_engine.rt.schedule import OUTPUT, Gather, Step

Chains: TypeAlias = dict[tuple[ACore, ...], Chain]


def join_steps(
    steps: Sequence[Step], output: Sequence[Gather], former: Mapping[tuple[ACore, ...], Chain]
) -> tuple[list[Step], Chains]:
    """Steps in which sines, gains in a row and a sum are one, and the chains that run in them; `former` ones are kept.

    A gain, or a sum, joins what is before it where it reads all of its outputs in place, and nobody else reads any.
    """
    readers = Counter(id(source) for step in steps for _, source, _ in step.gathers)
    readers.update(id(step.inputs) for step in steps)
    readers.update(id(source) for _, source, _ in output)
    readers[id(OUTPUT)] += 1  # the device
    rows: dict[int, list[Step]] = {}  # by the number of the last step, in run order
    ends: dict[int, int] = {}  # of a row that may go on, by the buffer in which it ends
    for number, step in enumerate(steps):
        row = [step]
        kind = type(step.core)  # what a plugin makes of one may do more
        joins = kind in (AGain, ASum) and readers[id(step.inputs)] == 1
        if joins and (before := ends.pop(id(step.inputs), None)) is not None:
            row = [*rows.pop(before), step]
        if kind in (ASine, AGain):
            ends[id(step.outputs)] = number
        rows[number] = row
    chains: Chains = {}
    return [step for row in rows.values() for step in _joined(row, former, chains)], chains


def _joined(row: Sequence[Step], former: Mapping[tuple[ACore, ...], Chain], chains: Chains) -> list[Step]:
    if len(row) == 1:
        return [*row]
    first, last = row[0], row[-1]
    sine = first.core if isinstance(first.core, ASine) else None
    total = last.core if isinstance(last.core, ASum) else None
    if sine is not None and total is None:
        return [first, *_joined(row[1:], former, chains)]
    cores = {step.core: tuple(step.nodes) for step in row}
    chain = former.get(tuple(cores))
    if chain is None:
        gains = [core for core in cores if isinstance(core, AGain)]
        chain = Chain(gains, [step.outputs for step in row[:-1]], sine=sine, total=total)
    chains[tuple(cores)] = chain
    nodes = {node: share / len(row) for step in row for node, share in step.nodes.items()}
    return [Step(last.core, chain.process, first.inputs, last.outputs, first.gathers, nodes, cores)]
