"""Adapters: what a directory of PEFT holds, and how to write one."""

from __future__ import annotations

import collections
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, floats_of
from sorgum.interop.arrays import kind_of, shown
from sorgum.lowrank._operands import finite_number
from sorgum.lowrank.peft._new_directory import NewDirectory
from sorgum.lowrank.peft._options import IRRELEVANT, Options, ranks_and_scales
from sorgum.lowrank.peft._refusals import Argument, json_object
from sorgum.lowrank.peft._safetensors import (
    HALF_AND_FULL,
    SafetensorsFile,
    dtype_name,
    header_bytes,
    laid_out,
)

__all__ = ["Adapter", "LowRank", "checked", "read_adapter", "read_adapter_of", "write_adapter"]

_PREFIX = "base_model.model."
_CONFIG, _TENSORS = "adapter_config.json", "adapter_model.safetensors"
_PARTS = {
    "A.weight": "A", "B.weight": "B", "embedding_A": "embedding_A", "embedding_B": "embedding_B", "B.bias": "bias",
    "magnitude_vector": "magnitude", "magnitude_vector.weight": "magnitude",
}  # fmt: skip
_KINDS = ("linear", "transposed", "embedding")


@dataclass(frozen=True, repr=False)
class LowRank:
    """What an adapter adds to one weight: scale * B A.

    Parameters
    ----------
    A : array of shape (r, in) or (r, in, k1, ...)
    B : array of shape (out, r)
    scale : float
    magnitude : array of shape (out,), optional
        DoRA: the norms that the rows of the merged weight get.
    bias : array of shape (out,), optional
        `scale` times this is added to the bias.
    kind : {"linear", "transposed", "embedding"}
        How the weight lies in a checkpoint. "linear": (out, in), or (out, in, k1, ...) of a convolution; "transposed":
        (in, out), as in GPT-2 (`fan_in_fan_out`); "embedding": (in, out), `in` being the number of tokens.
    """

    A: npt.NDArray[Any]
    B: npt.NDArray[Any]
    scale: float
    magnitude: npt.NDArray[Any] | None = None
    bias: npt.NDArray[Any] | None = None
    kind: str = "linear"

    def __repr__(self) -> str:
        """Return the shapes and the rest, not the numbers."""
        arrays = {name: getattr(self, name) for name in ("A", "B", "magnitude", "bias")}
        shapes = "".join(f"{name}.shape={np.shape(array)}, " for name, array in arrays.items() if array is not None)
        return f"LowRank({shapes}scale={self.scale}, kind={self.kind!r})"


@dataclass(frozen=True, repr=False)
class Adapter:
    """An adapter.

    Parameters
    ----------
    modules : dict of LowRank
        By the name of the module, such as "model.layers.0.self_attn.q_proj".
    replaced : dict of arrays
        Tensors that stand in the place of the base's, by the names there: what PEFT trained as a whole
        (`modules_to_save`, biases).
    config : dict
        As in `adapter_config.json`.
    """

    modules: Mapping[str, LowRank]
    replaced: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return how many modules and tensors there are: a model has hundreds."""
        return f"Adapter({len(self.modules)} modules, {len(self.replaced)} replaced)"


def read_adapter(directory: str | os.PathLike[str]) -> Adapter:
    """Return the adapter in a directory that PEFT's `save_pretrained` wrote.

    Parameters
    ----------
    directory : path
        With `adapter_config.json` and `adapter_model.safetensors`.

    Returns
    -------
    Adapter
        Its arrays lie in the mapped file and are read-only; bfloat16 has the type of ml_dtypes if that was imported.
        The scale of a module is alpha / r, with rsLoRA alpha / sqrt(r); `rank_pattern` and `alpha_pattern` may set r
        and alpha by module.

    Raises
    ------
    ValueError
        If the adapter is not of LoRA, sets an option that a merge cannot honour (docs/adapters.md lists all), has a
        tensor that is not known or lacks one, has shapes that do not fit each other, or its files are malformed.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from sorgum.lowrank import peft
    >>> factors = peft.LowRank(A=np.ones((2, 5), np.float32), B=np.ones((3, 2), np.float32), scale=0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     peft.write_adapter(os.path.join(folder, "adapter"), peft.Adapter({"layers.0.q": factors}))
    ...     adapter = peft.read_adapter(os.path.join(folder, "adapter"))
    >>> adapter
    Adapter(1 modules, 0 replaced)
    >>> adapter.modules["layers.0.q"]
    LowRank(A.shape=(2, 5), B.shape=(3, 2), scale=0.5, kind='linear')
    """
    return read_adapter_of(Argument("read_adapter", "directory"), directory)


def read_adapter_of(argument: Argument, directory: object) -> Adapter:
    """Return the adapter in a directory that is an argument of some function."""
    path = argument.directory(directory)
    for name in (_CONFIG, _TENSORS):
        if not os.path.isfile(os.path.join(path, name)):
            raise argument.refusal(f"have the files {_CONFIG} and {_TENSORS}", f"{path!r} without {name}")
    with open(os.path.join(path, _CONFIG), "rb") as file:
        config = json_object(argument, file.read(), _CONFIG)
    options = Options.of(argument, config)
    parts: dict[str, dict[str, Array]] = collections.defaultdict(dict)
    replaced: dict[str, Array] = {}
    with SafetensorsFile(argument, os.path.join(path, _TENSORS)) as file:
        for key, tensor in file.tensors.items():
            place, name = _place(argument, key, parts, replaced)
            if tensor.dtype not in HALF_AND_FULL:
                rule = f"have tensors of type {', '.join(HALF_AND_FULL)}"
                raise argument.refusal(rule, f"{tensor.dtype} for {shown(key)}")
            if name in place:
                raise argument.refusal("have one tensor for each purpose", f"a second one, {shown(key)}")
            place[name] = file.array(key)
    scales = ranks_and_scales(argument, options, parts)
    modules = {name: _module(argument, options, name, parts[name], *scales[name]) for name in parts}
    return Adapter(modules, replaced, config)


def checked(argument: Argument, adapter: Adapter) -> Adapter:
    """Return an adapter that anybody may have made, its arrays as arrays of types of `HALF_AND_FULL`."""
    for part in ("modules", "replaced", "config"):
        if not isinstance(getattr(adapter, part), Mapping):
            got = kind_of(getattr(adapter, part))
            raise TypeError(f"{argument.function}: {argument.name} must have a dict as {part}, got {got}")
    for name in (*adapter.modules, *adapter.replaced):
        _refuse_unless_text(argument, name)
    for name, factors in adapter.modules.items():
        if not isinstance(factors, LowRank):
            got = kind_of(factors)
            raise TypeError(f"{argument.function}: {argument.name} must have a LowRank for {name}, got {got}")
    modules = {name: _checked(argument, name, factors) for name, factors in adapter.modules.items()}
    replaced = {name: _array(argument, name, array) for name, array in adapter.replaced.items()}
    return Adapter(modules, replaced, adapter.config)


def _refuse_unless_text(argument: Argument, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{argument.function}: {argument.name} must have names that are strings, got {kind_of(name)}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise argument.refusal("have names that are text", shown(name)) from None


def _place(
    argument: Argument, key: str, parts: dict[str, dict[str, Array]], replaced: dict[str, Array]
) -> tuple[dict[str, Array], str]:
    """Return where a tensor of an adapter belongs, and by what name."""
    name = key.removeprefix(_PREFIX)
    module, mark, part = name.rpartition(".lora_")
    if mark and part in _PARTS:
        return parts[module], _PARTS[part]
    if mark or ".token_adapter." in name:
        raise argument.refusal("have tensors that are known", shown(key))
    return replaced, name.replace(".base_layer.", ".")


def _module(
    argument: Argument, options: Options, module: str, parts: dict[str, Array], rank: int, scale: float
) -> LowRank:
    """Return the factors of a module of PEFT, which has all the parts that the options speak of, and no others."""
    is_embedding = "embedding_A" in parts or "embedding_B" in parts
    wanted = ["embedding_A", "embedding_B"] if is_embedding else ["A", "B"]
    wanted += ["magnitude"] if options.use_dora else []
    wanted += ["bias"] if options.lora_bias and not is_embedding else []
    if parts.keys() != set(wanted):
        rule = f"have the parts {', '.join(wanted)} for {module}, as its options say"
        raise argument.refusal(rule, ", ".join(sorted(parts)))
    A, B = parts[wanted[0]], parts[wanted[1]]
    if A.shape[:1] != (rank,):
        raise argument.refusal(f"have factors of rank {rank} for {module}, as its options say", f"A of shape {A.shape}")
    kind = "embedding" if is_embedding else "transposed" if options.fan_in_fan_out and A.ndim == 2 else "linear"
    return _checked(argument, module, LowRank(A, B, scale, parts.get("magnitude"), parts.get("bias"), kind))


def _checked(argument: Argument, module: str, factors: LowRank) -> LowRank:
    A, B = (_array(argument, f"{name} of {module}", getattr(factors, name)) for name in "AB")
    if B.ndim == A.ndim > 2 and math.prod(B.shape[2:]) == 1:  # of a convolution, as PEFT keeps it
        B = B.reshape(B.shape[:2])
    if not (A.ndim >= 2 and B.ndim == 2 and A.shape[0] == B.shape[1] > 0):
        raise argument.refusal(
            f"have factors of shapes (r, in, ...) and (out, r) for {module}", f"{A.shape} and {B.shape}"
        )
    if factors.kind not in _KINDS or (A.ndim > 2 and factors.kind != "linear"):
        raise argument.refusal(f"have a kind of {', '.join(_KINDS)} for {module}", shown(factors.kind))
    scale = finite_number(argument.function, f"the scale of {module}", factors.scale)
    rows = [factors.magnitude, factors.bias]
    for i, name in enumerate(("magnitude", "bias")):
        if rows[i] is None:
            continue
        rows[i] = array = _array(argument, f"{name} of {module}", rows[i])
        if array.size != B.shape[0]:
            raise argument.refusal(f"have a {name} of shape ({B.shape[0]},) for {module}", f"{array.shape}")
        rows[i] = array.reshape(-1)
    return LowRank(A, B, scale, rows[0], rows[1], factors.kind)


def _array(argument: Argument, name: str, value: Any) -> Array:
    array = floats_of(argument.function, name, value)
    if dtype_name(array.dtype) is None:
        raise argument.refusal(f"have float16, bfloat16, float32 or float64 for {name}", f"{array.dtype}")
    return array


def write_adapter(directory: str | os.PathLike[str], adapter: Adapter, *, base_model: str | None = None) -> None:
    """Write an adapter as PEFT does, so that PEFT and whoever reads its directories can load it.

    Parameters
    ----------
    directory : path
        Where nothing is yet. It appears whole or not at all.
    adapter : Adapter
        Of `config` what does not matter to a merge is kept (docs/adapters.md lists it), and all else follows from the
        modules: r and lora_alpha are those of most modules, `rank_pattern` and `alpha_pattern` name the others.
    base_model : str, optional
        What `base_model_name_or_path` says.

    Raises
    ------
    ValueError
        If something is at `directory` already, shapes do not fit, or modules differ where PEFT has one option for all:
        in having a magnitude, in having a bias, in lying transposed.
    TypeError
        If an array is not of a floating-point type.

    Notes
    -----
    alpha is scale * r, rounded: alpha / r may differ from `scale` in the last place unless r is a power of two.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from sorgum.lowrank import peft
    >>> factors = peft.LowRank(A=np.ones((2, 5), np.float32), B=np.ones((3, 2), np.float32), scale=8.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     peft.write_adapter(os.path.join(folder, "adapter"), peft.Adapter({"q": factors}))
    ...     sorted(os.listdir(os.path.join(folder, "adapter")))
    ['adapter_config.json', 'adapter_model.safetensors']
    """
    argument = Argument("write_adapter", "adapter")
    if not isinstance(adapter, Adapter):
        raise TypeError(f"write_adapter: adapter must be an Adapter, got {kind_of(adapter)}")
    if base_model is not None and not isinstance(base_model, str):
        raise TypeError(f"write_adapter: base_model must be a string, got {kind_of(base_model)}")
    place = Argument("write_adapter", "directory")
    path = place.path(directory)
    adapter = checked(argument, adapter)
    config = _config_of(argument, adapter)
    if base_model is not None:
        config["base_model_name_or_path"] = base_model
    try:
        text = (json.dumps(config, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise argument.refusal("have a config that JSON holds", str(error)) from None
    ranks_and_scales(argument, Options.of(argument, config), adapter.modules)  # what is refused when it is read
    arrays = _tensors_of(argument, adapter)
    tensors = laid_out({name: (dtype_name(array.dtype) or "", array.shape) for name, array in arrays.items()})
    with NewDirectory(place, path) as new:
        with new.file(_CONFIG) as file:
            file.write(text)
        with new.file(_TENSORS) as file:
            file.write(header_bytes(tensors, {"format": "pt"}))
            for array in arrays.values():
                file.write(np.ascontiguousarray(array))


def _tensors_of(argument: Argument, adapter: Adapter) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for name in adapter.replaced:
        others: dict[str, Array] = {}
        if _place(argument, _PREFIX + name, collections.defaultdict(dict), others) != (others, name):
            raise argument.refusal("replace tensors whose names are not those of factors", shown(name))
    for module, factors in adapter.modules.items():
        A, B = (
            ("lora_embedding_A", "lora_embedding_B")
            if factors.kind == "embedding"
            else ("lora_A.weight", "lora_B.weight")
        )
        arrays[f"{module}.{A}"] = factors.A
        arrays[f"{module}.{B}"] = factors.B.reshape(factors.B.shape + (1,) * (factors.A.ndim - 2))
        if factors.magnitude is not None:
            shape = (1, -1) + (1,) * (factors.A.ndim - 2) if factors.A.ndim > 2 else (-1,)
            arrays[f"{module}.lora_magnitude_vector"] = factors.magnitude.reshape(shape)
        if factors.bias is not None:
            arrays[f"{module}.lora_B.bias"] = factors.bias
    return {_PREFIX + name: array for name, array in (arrays | dict(adapter.replaced)).items()}


def _config_of(argument: Argument, adapter: Adapter) -> dict[str, Any]:
    """Return the options that say what the modules are."""
    modules = adapter.modules
    config = {name: value for name, value in adapter.config.items() if name in IRRELEVANT}
    config |= {
        "peft_type": "LORA",
        "bias": "none",
        "use_rslora": False,
        "init_lora_weights": True,
        "inference_mode": True,
    }
    for option, values in (
        ("use_dora", {factors.magnitude is not None for factors in modules.values()}),
        ("lora_bias", {factors.bias is not None for factors in modules.values() if factors.kind != "embedding"}),
        ("fan_in_fan_out", {factors.kind == "transposed" for factors in modules.values() if _is_matrix(factors)}),
    ):
        if len(values) > 1:
            raise argument.refusal(f"have modules that agree in {option}", "some with and some without")
        config[option] = values == {True}
    ranks = {name: factors.A.shape[0] for name, factors in modules.items()}
    alphas = {name: factors.scale * ranks[name] for name, factors in modules.items()}
    for option, pattern, found in (("r", "rank_pattern", ranks), ("lora_alpha", "alpha_pattern", alphas)):
        usual = collections.Counter(found.values()).most_common(1)
        config[option] = usual[0][0] if usual else 8
        config[pattern] = {f"^{re.escape(name)}": value for name, value in found.items() if value != config[option]}
    config["target_modules"] = sorted(modules)
    config["modules_to_save"] = sorted(name[:-7] for name in adapter.replaced if name.endswith(".weight")) or None
    return config


def _is_matrix(factors: LowRank) -> bool:
    return factors.kind != "embedding" and factors.A.ndim == 2
