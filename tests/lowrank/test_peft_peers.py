"""PEFT itself on the CPU: what it saves, merged here, is what it merges, within the rounding of both."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum.interop import bfloat16
from sorgum.lowrank import peft

torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it imports
    library = pytest.importorskip("peft")
safetensors = pytest.importorskip("safetensors.torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT's own advice

ROWS, COLUMNS, TOKENS, RANK = 12, 10, 15, 4


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q = torch.nn.Linear(COLUMNS, ROWS)
        self.k = torch.nn.Linear(COLUMNS, COLUMNS)


class Model(torch.nn.Module):
    """All kinds of layers that LoRA knows; it is never run."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = torch.nn.Embedding(TOKENS, COLUMNS)
        self.conv1 = torch.nn.Conv1d(COLUMNS, ROWS, 3)
        self.conv2 = torch.nn.Conv2d(COLUMNS, ROWS, (3, 2))
        self.pointwise = torch.nn.Conv2d(COLUMNS, ROWS, 1)
        self.layers = torch.nn.ModuleList([Block(), Block()])
        self.head = torch.nn.Linear(ROWS, 3)


def saved(tmp_path: Path, dtype: Any, **options: Any) -> tuple[Path, Path, dict[str, Any], dict[str, Any]]:
    """Return directories of a base and of an adapter that PEFT saved, the base's tensors and PEFT's merged ones."""
    torch.manual_seed(20180617)
    model = Model().to(dtype)
    base = tmp_path / "base"
    base.mkdir()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    safetensors.save_file(before, str(base / "model.safetensors"), {"format": "pt"})
    config = library.LoraConfig(**({"r": RANK, "lora_alpha": 6, "target_modules": ["q", "k"]} | options))
    adapted = library.get_peft_model(model, config, autocast_adapter_dtype=False)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "magnitude" in name:
                value.mul_(1 + 0.2 * torch.rand_like(value))
            elif "lora_" in name or "modules_to_save" in name:
                value.add_(0.3 * torch.randn_like(value))
    adapted.save_pretrained(str(tmp_path / "adapter"))
    return base, tmp_path / "adapter", before, adapted.merge_and_unload().state_dict()


CASES = {
    "linear": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"1.q": 2, "k": 3}, "alpha_pattern": {"q": 5, "0.k": 7}},
    "embedding": {"target_modules": ["tokens", "q"]},
    "convolutions": {"target_modules": ["conv1", "conv2", "pointwise"]},
    "bias": {"lora_bias": True},
    "dora": {"use_dora": True, "target_modules": ["q", "k", "tokens", "conv1", "conv2"]},
    "saved": {"modules_to_save": ["head"]},
    "training": {"init_lora_weights": "gaussian", "lora_dropout": 0.5, "exclude_modules": ["0.k"]},
}


@pytest.mark.parametrize("case", CASES)
def test_float32_within_the_rounding_of_both(tmp_path: Path, case: str) -> None:
    base, adapter, before, expected = saved(tmp_path, torch.float32, **CASES[case])
    peft.merge_checkpoint(base, adapter, tmp_path / "out")
    found = safetensors.load_file(str(tmp_path / "out" / "model.safetensors"))
    assert found.keys() == expected.keys() == before.keys()
    changed = {name for name in expected if not torch.equal(expected[name], before[name])}
    assert changed
    for name, theirs in expected.items():
        if name not in changed:
            assert torch.equal(found[name], before[name]), name
            continue
        old, new, ours = (value.double().numpy() for value in (before[name], theirs, found[name]))
        # Each side rounds r products and sums, the scale, the sum with W, and with a magnitude a norm, a quotient and a
        # product: fewer than r + 8 roundings by 2^-24 of numbers that none exceeds |W| + |s| |B| |A|. That is at most
        # 4 (|W| + |new|) here: the terms of B A do not cancel to less than a quarter of their size on average, and the
        # greatest of the tensor stands for all.
        bound = 2 * (RANK + 8) * 2.0**-24 * 4 * (np.abs(old).max() + np.abs(new).max())
        assert np.abs(ours - new).max() <= bound, name
        for wrong in (old, np.zeros_like(new), new[::-1]):
            assert np.abs(wrong - new).max() > 100 * bound, name


def test_fan_in_fan_out(tmp_path: Path) -> None:
    """A layer of GPT-2, whose weight lies (in, out)."""
    layers = pytest.importorskip("transformers.pytorch_utils")
    torch.manual_seed(1)
    model = torch.nn.ModuleDict({"c": layers.Conv1D(ROWS, COLUMNS)})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (tmp_path / "base").mkdir()
    safetensors.save_file(before, str(tmp_path / "base" / "model.safetensors"))
    config = library.LoraConfig(
        r=RANK, lora_alpha=6, target_modules=["c"], fan_in_fan_out=True, init_lora_weights=False
    )
    adapted = library.get_peft_model(model, config)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    theirs = adapted.merge_and_unload().state_dict()["c.weight"].double().numpy()
    peft.merge_checkpoint(tmp_path / "base", tmp_path / "adapter", tmp_path / "out")
    ours = safetensors.load_file(str(tmp_path / "out" / "model.safetensors"))["c.weight"].double().numpy()
    old = before["c.weight"].double().numpy()
    bound = 2 * (RANK + 8) * 2.0**-24 * 4 * (np.abs(old).max() + np.abs(theirs).max())
    assert np.abs(ours - theirs).max() <= bound
    assert np.abs(old - theirs).max() > 100 * bound


def test_bfloat16_is_rounded_once(tmp_path: Path) -> None:
    """Nearly every entry is the exact sum rounded to bfloat16, and an entry of PEFT's, rounded twice, often is not."""
    base, adapter, before, expected = saved(tmp_path, torch.bfloat16)
    read = peft.read_adapter(adapter)
    peft.merge_checkpoint(base, adapter, tmp_path / "out")
    found = safetensors.load_file(str(tmp_path / "out" / "model.safetensors"))
    ours, theirs, total = 0, 0, 0
    for module, factors in read.modules.items():
        name = f"{module}.weight"
        A, B = (torch.from_numpy(bfloat16.widened(x)).double() for x in (factors.A, factors.B))
        exact = (before[name].double() + factors.scale * B @ A).to(torch.bfloat16)
        ours += int((found[name] == exact).sum())
        theirs += int((expected[name] == exact).sum())
        total += exact.numel()
    assert total == 2 * (ROWS * COLUMNS + COLUMNS * COLUMNS)
    # float32 errs by at most (r + 3) 2^-24 relative to the terms; bfloat16's middles are 2^-8 apart: 1 entry in 1000
    assert ours >= total - 2
    assert theirs < 0.97 * total


def test_rounding_as_peft_rounds(tmp_path: Path) -> None:
    """In 999 of 1000 entries of bfloat16: the products are summed in another order, which only middles show."""
    _, adapter, before, expected = saved(tmp_path, torch.bfloat16, r=8)
    equal, once, total = 0, 0, 0
    for module, factors in peft.read_adapter(adapter).modules.items():
        W = before[f"{module}.weight"]
        A, B = (torch.from_numpy(bfloat16.widened(x)).bfloat16() for x in (factors.A, factors.B))
        for rounding in ("peft", "once"):
            merged = sg.lowrank.merge(W, A, B, scale=factors.scale, rounding=rounding)
            same = int((merged == expected[f"{module}.weight"]).sum())
            equal, once = (equal + same, once) if rounding == "peft" else (equal, once + same)
        total += W.numel()
    assert equal >= 0.999 * total
    assert once < 0.97 * total


def test_transformers_load_what_is_merged(tmp_path: Path) -> None:
    """A small Llama in shards, from `save_pretrained` to `from_pretrained`: the logits are those of PEFT's model."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(20180617)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=100, num_key_value_heads=2, **sizes))
    model.save_pretrained(str(tmp_path / "base"), max_shard_size="20KB")
    assert (tmp_path / "base" / "model.safetensors.index.json").exists()
    targets = ["q_proj", "v_proj", "down_proj", "embed_tokens"]
    config = library.LoraConfig(r=RANK, target_modules=targets, modules_to_save=["lm_head"], use_rslora=True)
    adapted = library.get_peft_model(model, config)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                value.add_(0.1 * torch.randn_like(value))
    adapted.save_pretrained(str(tmp_path / "adapter"))
    done = peft.merge_checkpoint(tmp_path / "base", tmp_path / "adapter", tmp_path / "out")
    assert len(done.merged) == 7
    assert "lm_head.weight" in done.replaced
    tokens = torch.arange(20)[None] * 5
    with torch.no_grad():
        theirs = adapted.merge_and_unload()(tokens).logits
        ours = transformers.AutoModelForCausalLM.from_pretrained(str(tmp_path / "out"))(tokens).logits
        before = transformers.AutoModelForCausalLM.from_pretrained(str(tmp_path / "base"))(tokens).logits
    assert (before - theirs).abs().max() > 0.1
    assert (ours - theirs).abs().max() < 1e-5  # weights differ in their last places, logits of order 1 likewise


def test_peft_loads_what_is_written(tmp_path: Path) -> None:
    _, adapter, before, expected = saved(tmp_path, torch.float32, **CASES["patterns"])
    peft.write_adapter(tmp_path / "again", peft.read_adapter(adapter))
    model = Model()
    model.load_state_dict(before)
    loaded = library.PeftModel.from_pretrained(model, str(tmp_path / "again"))
    for name, value in loaded.merge_and_unload().state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_adapters_for_another_base_are_refused(tmp_path: Path, start: str) -> None:
    """What PEFT merges differs from base + s B A by more than any rounding: it had changed the base first."""
    base, adapter, before, expected = saved(tmp_path, torch.float32, init_lora_weights=start)
    module, scale = "layers.0.q", 6 / RANK
    tensors = safetensors.load_file(str(adapter / "adapter_model.safetensors"))
    A, B = (tensors[f"base_model.model.{module}.lora_{name}.weight"] for name in "AB")
    plain = before[f"{module}.weight"] + scale * B @ A
    assert (plain - expected[f"{module}.weight"]).abs().max() > 1e-2
    with pytest.raises(
        ValueError, match=r"^merge_checkpoint: adapters must have init_lora_weights that leave the base"
    ):
        peft.merge_checkpoint(base, adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()
