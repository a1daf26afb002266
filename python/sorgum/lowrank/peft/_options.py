"""What the options of PEFT's LoraConfig mean to a merge: all that are set are used, known not to matter, or refused."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sorgum.interop.arrays import shown
from sorgum.lowrank.peft._refusals import Argument

__all__ = ["IRRELEVANT", "REFUSED", "USED", "Options", "ranks_and_scales"]

USED = (
    "peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "fan_in_fan_out",
    "lora_bias", "init_lora_weights",
)  # fmt: skip
"""These decide what is merged, or whether."""

IRRELEVANT = (
    "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",  # about files
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save", "bias",  # the
    # names of the adapter's tensors say where they belong and which of the base they replace
    "lora_dropout", "eva_config", "corda_config", "lora_ga_config", "runtime_config", "megatron_core",  # about training
    "qalora_group_size",  # of use_qalora
)  # fmt: skip
"""These change nothing that a merge computes."""

REFUSED = (
    "alora_invocation_tokens", "arrow_config", "ensure_weight_tying", "layer_replication", "loftq_config",
    "megatron_config", "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora",
)  # fmt: skip
"""These, where they are set, ask for what a merge of weights does not do; so may every option that is not known."""

# What leaves the weights of the base as they are. All others (pissa, olora, corda, loftq, lora_ga) change them before
# training: the factors belong to that other base until PEFT converts them (path_initial_model_for_weight_conversion).
_STARTS_FROM_THE_BASE = (True, False, "gaussian", "eva", "orthogonal")


class Options(NamedTuple):
    """The options of an adapter, checked."""

    rank: int
    alpha: float
    rank_pattern: dict[str, Any]
    alpha_pattern: dict[str, Any]
    use_rslora: bool
    use_dora: bool
    fan_in_fan_out: bool
    lora_bias: bool

    @classmethod
    def of(cls, argument: Argument, config: Mapping[str, Any]) -> Options:
        """Return the options of an `adapter_config.json`, or refuse one that is set and cannot be honoured."""
        kind = config.get("peft_type")
        if kind != "LORA":
            raise argument.refusal("be an adapter of peft_type 'LORA'", shown(kind))
        for name, value in config.items():
            if name in USED or name in IRRELEVANT or _is_unset(value):
                continue
            known = "which no merge into plain weights can honour" if name in REFUSED else "which is not known here"
            raise argument.refusal(f"not set the option {name}, {known}", shown(value))
        start = config.get("init_lora_weights", True)
        if not any(start is known or (isinstance(known, str) and start == known) for known in _STARTS_FROM_THE_BASE):
            rule = "have init_lora_weights that leave the base as it is (true, false, 'gaussian', 'eva', 'orthogonal'; "
            rule += "PEFT converts others by path_initial_model_for_weight_conversion)"
            raise argument.refusal(rule, shown(start))
        flags = [_flag(argument, config, name) for name in ("use_rslora", "use_dora", "fan_in_fan_out", "lora_bias")]
        patterns = [_pattern(argument, config, name) for name in ("rank_pattern", "alpha_pattern")]
        rank, alpha = (
            _rank(argument, "r", config.get("r", 8)),
            _number(argument, "lora_alpha", config.get("lora_alpha", 8)),
        )
        return cls(rank, alpha, patterns[0], patterns[1], *flags)


def ranks_and_scales(argument: Argument, options: Options, modules: Iterable[str]) -> dict[str, tuple[int, float]]:
    """Return the rank of every module and what B A is multiplied by.

    A key of a pattern is a regular expression; it belongs to the modules whose name, or the end of whose name behind a
    dot, it matches, and of several keys the first counts. One that matches nothing is refused: its author meant some.
    """
    modules = list(modules)
    rank_keys = _compiled(argument, "rank_pattern", options.rank_pattern, modules)
    alpha_keys = _compiled(argument, "alpha_pattern", options.alpha_pattern, modules)
    found = {}
    for module in modules:
        key = _first(rank_keys, module)
        rank = options.rank if key is None else _rank(argument, f"rank_pattern[{key!r}]", options.rank_pattern[key])
        key = _first(alpha_keys, module)
        alpha = (
            options.alpha if key is None else _number(argument, f"alpha_pattern[{key!r}]", options.alpha_pattern[key])
        )
        found[module] = rank, alpha / (math.sqrt(rank) if options.use_rslora else rank)
    return found


def _compiled(
    argument: Argument, option: str, pattern: Mapping[str, Any], modules: list[str]
) -> dict[str, re.Pattern[str]]:
    keys = {}
    for key in pattern:
        try:
            keys[key] = re.compile(rf"(.*\.)?({key})$")
        except (re.error, RecursionError, OverflowError) as error:
            rule = f"have keys of {option} that are regular expressions"
            raise argument.refusal(rule, f"{shown(key)}: {error}") from None
        if not any(keys[key].match(module) for module in modules):
            raise argument.refusal(f"have keys of {option} that match one of its modules", shown(key))
    return keys


def _first(keys: Mapping[str, re.Pattern[str]], module: str) -> str | None:
    return next((key for key, expression in keys.items() if expression.match(module)), None)


def _is_unset(value: Any) -> bool:
    return value is None or value is False or value in ([], {}, "")


def _flag(argument: Argument, config: Mapping[str, Any], name: str) -> bool:
    value = config.get(name, False)
    if not isinstance(value, bool):
        raise argument.refusal(f"have true or false as {name}", shown(value))
    return value


def _pattern(argument: Argument, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = config.get(name)
    if value is not None and not isinstance(value, dict):
        raise argument.refusal(f"have an object as {name}", shown(value))
    return value or {}


def _rank(argument: Argument, name: str, value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**31:
        raise argument.refusal(f"have a positive integer as {name}", shown(value))
    return value


def _number(argument: Argument, name: str, value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e300:
        raise argument.refusal(f"have a finite number as {name}", shown(value))
    return float(value)
