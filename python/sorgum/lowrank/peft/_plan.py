"""What a merge does to which tensor of a checkpoint: all of it is decided, and checked, before anything is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.interop import bfloat16
from sorgum.interop.arrays import shown
from sorgum.lowrank.peft._adapter import Adapter, LowRank
from sorgum.lowrank.peft._checkpoint import Checkpoint
from sorgum.lowrank.peft._refusals import Argument
from sorgum.lowrank.peft._safetensors import HALF_AND_FULL

__all__ = ["Change", "Plan", "Term", "plan_of", "refuse_unless_finite"]

_AT_A_TIME = 1 << 20  # elements


class Term(NamedTuple):
    """The factors of an adapter and the adapter's weight."""

    factors: LowRank
    weight: float


class Change:
    """What becomes of one tensor.

    Attributes
    ----------
    replaced : array or None
        What stands in its place before anything is added.
    replaced_by : Argument or None
        The adapter that this is from.
    terms : list of Term
        What is added to it, as a weight.
    biases : list of Term
        Whose bias is added to it, as a bias.
    """

    def __init__(self) -> None:
        self.replaced: Array | None = None
        self.replaced_by: Argument | None = None
        self.terms: list[Term] = []
        self.biases: list[Term] = []


class Plan(NamedTuple):
    """Changes by the names of tensors, and the tensors of adapters that have no place in the checkpoint."""

    changes: dict[str, Change]
    unmatched: list[str]


def plan_of(base: Checkpoint, adapters: Sequence[tuple[Argument, Adapter, float]], strict: bool) -> Plan:
    """Return what adapters do to a checkpoint.

    Parameters
    ----------
    base : Checkpoint
    adapters : sequence of (Argument, Adapter, float)
        Each with its name and its weight.
    strict : bool
        Whether a tensor that has no place is refused.

    Returns
    -------
    Plan
    """
    plan = Plan({}, [])
    for argument, adapter, weight in adapters:
        for name, array in adapter.replaced.items():
            if _has_place(base, argument, plan, name, name, strict):
                _replace(base, argument, plan.changes.setdefault(name, Change()), name, array, weight)
        for module, factors in adapter.modules.items():
            name = f"{module}.weight"
            if not _has_place(base, argument, plan, name, module, strict):
                continue
            _add(base, argument, plan.changes.setdefault(name, Change()), name, Term(factors, weight))
            if factors.bias is not None:
                _add_bias(base, argument, plan.changes, f"{module}.bias", Term(factors, weight))
    for name, change in plan.changes.items():
        _refuse_unless_one_order(adapters, name, change)
    return plan


def _has_place(base: Checkpoint, argument: Argument, plan: Plan, name: str, what: str, strict: bool) -> bool:
    if name in base:
        return True
    if strict:
        alike = (known for known in base.home if known.endswith(f".{name}") or name.endswith(f".{known}"))
        hint = next((f" (the base has {shown(known)})" for known in alike), "")
        raise argument.refusal("name only modules and tensors of the base", f"{shown(what)}{hint}")
    plan.unmatched.append(what)
    return False


def _refuse_unless_float(base: Checkpoint, argument: Argument, name: str) -> None:
    dtype = base.tensor(name).dtype
    if dtype not in HALF_AND_FULL:
        rule = f"change tensors of type {', '.join(HALF_AND_FULL)}, which are not quantised"
        raise argument.refusal(rule, f"{dtype} for {name}")


def _replace(base: Checkpoint, argument: Argument, change: Change, name: str, array: Array, weight: float) -> None:
    _refuse_unless_float(base, argument, name)
    shape = base.tensor(name).shape
    if array.shape != shape:
        raise argument.refusal(f"replace {name} by a tensor of its shape {shape}", f"{array.shape}")
    if weight != 1:
        raise argument.refusal(f"have the weight 1, since it replaces {name}", f"{weight}")
    refuse_unless_finite(argument, name, array)
    if change.replaced is not None or change.terms or change.biases:
        raise argument.refusal("replace what no other adapter changes", name)
    change.replaced, change.replaced_by = array, argument


def _add(base: Checkpoint, argument: Argument, change: Change, name: str, term: Term) -> None:
    _refuse_unless_float(base, argument, name)
    A, B, kind = term.factors.A, term.factors.B, term.factors.kind
    shape = base.tensor(name).shape
    wanted = (B.shape[0], *A.shape[1:]) if kind == "linear" else (A.shape[1], B.shape[0])
    if shape != wanted:
        rule = f"have factors that fit {name} of shape {shape}"
        raise argument.refusal(rule, f"A {A.shape} and B {B.shape}, {kind}, for a shape of {wanted}")
    for part, array in (("A", A), ("B", B), ("magnitude", term.factors.magnitude)):
        if array is not None:
            refuse_unless_finite(argument, f"{part} of {name}", array)
    if change.replaced_by not in (None, argument):
        raise argument.refusal("change what no other adapter replaces", name)
    if not math.isfinite(term.weight * term.factors.scale):
        raise argument.refusal(f"have a finite scale times its weight in {name}", f"{term.factors.scale} {term.weight}")
    change.terms.append(term)


def _add_bias(base: Checkpoint, argument: Argument, changes: dict[str, Change], name: str, term: Term) -> None:
    if name not in base:
        raise argument.refusal("add to a bias that the base has", f"{name}")
    _refuse_unless_float(base, argument, name)
    bias = term.factors.bias
    assert bias is not None
    if base.tensor(name).shape != bias.shape:
        raise argument.refusal(f"have a bias of shape {base.tensor(name).shape} for {name}", f"{bias.shape}")
    refuse_unless_finite(argument, name, bias)
    changes.setdefault(name, Change()).biases.append(term)


def refuse_unless_finite(argument: Argument, name: str, array: Array) -> None:
    """Refuse an array with a NaN or an infinity, by its place."""
    flat = array.reshape(-1)
    for begin in range(0, flat.size, _AT_A_TIME):
        part = bfloat16.widened(flat[begin : begin + _AT_A_TIME])
        finite = np.isfinite(part)
        if not finite.all():
            at = int(np.argmin(finite))
            place = tuple(map(int, np.unravel_index(begin + at, array.shape)))
            raise argument.refusal(f"be finite in {name}", f"{part[at]} at {place}")


def _refuse_unless_one_order(adapters: Sequence[tuple[Argument, Adapter, float]], name: str, change: Change) -> None:
    """Refuse several adapters on one weight where the result would depend on their order."""
    argument = adapters[-1][0]
    scaled = [term for term in change.terms if term.factors.magnitude is not None]
    if scaled and (len(change.terms) > 1 or scaled[0].weight != 1):
        rule = f"change {name} alone and with the weight 1, since it has a magnitude (DoRA)"
        raise argument.refusal(
            rule, f"{len(change.terms)} adapters with weights {[term.weight for term in change.terms]}"
        )
    if len({term.factors.kind for term in change.terms}) > 1:
        raise argument.refusal(f"agree on how {name} lies", " and ".join(sorted(t.factors.kind for t in change.terms)))
