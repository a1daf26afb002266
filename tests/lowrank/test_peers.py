"""merge beside PEFT's merge_and_unload, where PEFT is installed."""

from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum._data.golden_lowrank import numbers

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")


def merged_by_peft(w: Any, a: Any, b: Any, alpha: float, **options: Any) -> Any:
    """Return the weight of a linear layer, and the adapter's parameters as PEFT holds them, after merge_and_unload."""
    layer = torch.nn.Linear(w.shape[1], w.shape[0], bias=False).to(w.dtype)
    layer.weight.data = w.clone()
    config = peft.LoraConfig(r=a.shape[0], lora_alpha=alpha, target_modules=["0"], **options)
    model = peft.get_peft_model(torch.nn.Sequential(layer), config, autocast_adapter_dtype=False)
    parts = model.base_model.model[0]
    parts.lora_A["default"].weight.data = a.clone()
    parts.lora_B["default"].weight.data = b.clone()
    return model.merge_and_unload()[0].weight.data


def tensors(dtype: Any) -> tuple[Any, Any, Any]:
    w, a, b = (
        torch.from_numpy(numbers(shape, np.dtype(np.float32), scale, seed=i))
        for i, (shape, scale) in enumerate((((300, 200), 0.02), ((16, 200), 0.1), ((300, 16), 0.02)))
    )
    return w.to(dtype), a.to(dtype), b.to(dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rounding_as_peft_rounds(dtype: str) -> None:
    """Two roundings, which agree but where float32 and float64 round the difference otherwise."""
    w, a, b = tensors(getattr(torch, dtype))
    theirs = merged_by_peft(w, a, b, alpha=32.0)
    ours = sg.lowrank.merge(w, a, b, scale=2.0, rounding="peft")
    once = sg.lowrank.merge(w, a, b, scale=2.0)
    assert (ours == theirs).float().mean() >= 0.999
    assert 0.5 < (once == theirs).float().mean() < 0.99
    assert not torch.equal(w, theirs)


def test_float32() -> None:
    """The scale of rsLoRA, and differences of a few roundings of sums of 16 products of size 0.002."""
    w, a, b = tensors(torch.float32)
    for options, scale in (({}, 2.0), ({"use_rslora": True}, 8.0)):
        theirs = merged_by_peft(w, a, b, alpha=32.0, **options)
        ours = sg.lowrank.merge(w, a, b, scale=scale)
        assert torch.max(abs(ours - theirs)) < 20 * 2.0**-24 * 0.3
        assert torch.max(abs(w - theirs)) > 1e-3
