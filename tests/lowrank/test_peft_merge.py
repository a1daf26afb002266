"""Adapters merged into checkpoints: known answers in small integers, which every order of summation gives exactly."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peft_files import Arrays, factors, files, numbers, product, tensors, three_shards, whole, write_adapter, write_base

from sorgum.lowrank import peft


def merged(tmp_path: Path, base: Arrays, adapter: Arrays, weights: Any = None, **options: Any) -> dict[str, np.ndarray]:
    """Return the tensors of a checkpoint of one file after a merge of one adapter."""
    folder = write_base(tmp_path / "base", base)
    source = write_adapter(tmp_path / "adapter", adapter, **options)
    peft.merge_checkpoint(folder, source, tmp_path / "out", weights=weights)
    return {name: numbers(array) for name, array in tensors(tmp_path / "out").items()}


def refuses(message: str, kind: type[Exception] = ValueError) -> Any:
    return pytest.raises(kind, match="^" + re.escape(f"merge_checkpoint: {message}") + "$")


def test_patterns_follow_the_suffix_rule(tmp_path: Path, rng: np.random.Generator) -> None:
    """Public reports on PEFT, 2194 and 3582: a.q has scale 8 / 2, b.q 32 / 2."""
    base = {f"{name}.q.weight": whole(rng, 6, 5) for name in "ab"}
    adapter = factors(rng, "a.q", rank=2) | factors(rng, "b.q", rank=2)
    found = merged(tmp_path, base, adapter, rank_pattern={"q": 2}, alpha_pattern={"b.q": 32})
    for module, scale in (("a.q", 4.0), ("b.q", 16.0)):
        expected = numbers(base[f"{module}.weight"]) + scale * product(adapter, module)
        np.testing.assert_array_equal(found[f"{module}.weight"], expected)


@pytest.mark.parametrize("option", ["rank_pattern", "alpha_pattern"])
@pytest.mark.parametrize("key", ["k", "a", "q.a", "^q", "qq"])
def test_a_pattern_that_matches_nothing_is_refused(
    tmp_path: Path, rng: np.random.Generator, option: str, key: str
) -> None:
    rule = f"adapters must have keys of {option} that match one of its modules, got {key!r}"
    with refuses(rule):
        merged(tmp_path, {"a.q.weight": whole(rng, 6, 5)}, factors(rng, "a.q"), **{option: {key: 4}})
    assert not (tmp_path / "out").exists()


def test_rslora_divides_by_the_root(tmp_path: Path, rng: np.random.Generator) -> None:
    """Public reports on vLLM, 10798, and SGLang, 40835: r = 16, alpha = 32 is scale 8, not 2."""
    base, adapter = {"q.weight": whole(rng, 6, 5)}, factors(rng, "q", rank=16)
    found = merged(tmp_path, base, adapter, r=16, lora_alpha=32, use_rslora=True)
    np.testing.assert_array_equal(found["q.weight"], numbers(base["q.weight"]) + 8.0 * product(adapter, "q"))


@pytest.mark.parametrize("rows", [6, 4])
def test_fan_in_fan_out_is_the_merge_of_the_transpose(tmp_path: Path, rng: np.random.Generator, rows: int) -> None:
    """A public report on PEFT, 3531: a square weight with a magnitude was taken to lie the other way."""
    W = whole(rng, 6, rows)
    adapter = factors(rng, "q", rows=6, columns=rows) | {
        "q.lora_magnitude_vector": np.arange(1.0, 7.0, dtype=np.float32)
    }
    plain = merged(tmp_path / "plain", {"q.weight": W}, adapter, use_dora=True)["q.weight"]
    assert np.abs(plain - W).max() > 0.5
    turned = merged(tmp_path / "turned", {"q.weight": W.T.copy()}, adapter, use_dora=True, fan_in_fan_out=True)[
        "q.weight"
    ]
    np.testing.assert_array_equal(turned.T, plain)
    norms = np.linalg.norm(plain, axis=1)
    np.testing.assert_allclose(norms, np.arange(1.0, 7.0), rtol=4 * 2.0**-24)  # elements and factor, each rounded once


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("q.lora_A.weight", (1, 2), np.inf, "adapters must be finite in A of q.weight, got inf at (1, 2)"),
        ("q.lora_B.weight", (5, 0), np.nan, "adapters must be finite in B of q.weight, got nan at (5, 0)"),
        ("q.lora_B.bias", (3,), np.nan, "adapters must be finite in q.bias, got nan at (3,)"),
        ("head.weight", (0, 1), -np.inf, "adapters must be finite in head.weight, got -inf at (0, 1)"),
    ],
)
def test_what_is_not_finite_changes_no_byte(
    tmp_path: Path, rng: np.random.Generator, name: str, place: tuple[int, ...], value: float, message: str
) -> None:
    """Public reports on PEFT, 3682 and 3710: a safe merge wrote the weight before it looked at the bias."""
    base = write_base(
        tmp_path / "base", {"q.weight": whole(rng, 6, 5), "q.bias": whole(rng, 6), "head.weight": whole(rng, 2, 2)}
    )
    adapter = factors(rng, "q") | {"q.lora_B.bias": whole(rng, 6), "head.weight": whole(rng, 2, 2)}
    adapter[name][place] = value
    source = write_adapter(tmp_path / "adapter", adapter, lora_bias=True)
    before = files(tmp_path)
    with refuses(message):
        peft.merge_checkpoint(base, source, tmp_path / "out")
    assert files(tmp_path) == before


def test_a_base_that_is_not_finite_is_refused_where_it_is_merged(tmp_path: Path, rng: np.random.Generator) -> None:
    base = {"q.weight": whole(rng, 6, 5), "k.weight": whole(rng, 6, 5)}
    base["k.weight"][2, 3] = np.nan
    assert merged(tmp_path / "kept", base, factors(rng, "q"))["k.weight"].shape == (6, 5)
    with refuses("base must allow a merge into k.weight, where W must be finite, got NaN"):
        merged(tmp_path / "merged", base, factors(rng, "k"))
    assert sorted(path.name for path in (tmp_path / "merged").iterdir()) == ["adapter", "base"]


def test_a_sum_beyond_the_range_is_refused(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", {"q.weight": np.full((2, 3), 60000, np.float16)})
    adapter = {"q.lora_A.weight": np.full((1, 3), 100, np.float16), "q.lora_B.weight": np.float16([[0], [100]])}
    source = write_adapter(tmp_path / "adapter", adapter, r=1, lora_alpha=1)
    before = files(tmp_path)
    rule = "where W must stay finite in float16"
    with refuses(f"base must allow a merge into q.weight, {rule}, got sums beyond its range"):
        peft.merge_checkpoint(base, source, tmp_path / "out")
    assert files(tmp_path) == before


@pytest.mark.parametrize("weights", [(1.0, -1.0), (0.5, 0.25), (0.3, 0.7)])
def test_several_adapters_have_no_cross_terms(
    tmp_path: Path, rng: np.random.Generator, weights: tuple[float, float]
) -> None:
    """Public reports on PEFT, 3004 and 3013: adding the factors instead of the products errs by 93 percent."""
    W = rng.standard_normal((6, 5))
    adapters = [{name: rng.standard_normal(array.shape) for name, array in factors(rng, "q").items()} for _ in range(2)]
    base = write_base(tmp_path / "base", {"q.weight": W})
    sources = [write_adapter(tmp_path / f"adapter{i}", adapter) for i, adapter in enumerate(adapters)]
    peft.merge_checkpoint(base, sources, tmp_path / "out", weights=weights)
    found = tensors(tmp_path / "out")["q.weight"]
    expected = W + sum(2.0 * w * product(adapter, "q") for w, adapter in zip(weights, adapters, strict=True))
    crossed = W + 2.0 * sum(a["q.lora_B.weight"] * w for w, a in zip(weights, adapters, strict=True)) @ sum(
        a["q.lora_A.weight"] * w for w, a in zip(weights, adapters, strict=True)
    )
    # 10 products and sums, each off by 2^-53 of its size at most, none of which exceeds the sum of the absolute values
    size = np.abs(W).max() + sum(
        2.0 * np.abs(a["q.lora_B.weight"]).max() * np.abs(a["q.lora_A.weight"]).max() * 4 for a in adapters
    )
    assert np.abs(found - expected).max() <= 12 * 2.0**-53 * size
    assert np.abs(crossed - expected).max() > 1e3 * 12 * 2.0**-53 * size


def test_adapters_in_float32_are_joined_exactly(tmp_path: Path, rng: np.random.Generator) -> None:
    """Scales 2 * 0.3 and 2 * 0.7 are no float32: a factor that is scaled in float32 would be off."""
    W = np.zeros((6, 5), np.float64)
    adapters = [factors(rng, "q") for _ in range(2)]
    base = write_base(tmp_path / "base", {"q.weight": W})
    sources = [write_adapter(tmp_path / f"adapter{i}", adapter) for i, adapter in enumerate(adapters)]
    peft.merge_checkpoint(base, sources, tmp_path / "out", weights=[0.3, 0.7])
    expected = 0.6 * product(adapters[0], "q") + 1.4 * product(adapters[1], "q")
    np.testing.assert_allclose(tensors(tmp_path / "out")["q.weight"], expected, rtol=0, atol=20 * 2.0**-53 * 16 * 8)


@pytest.mark.parametrize("dtype", ["bfloat16", np.float16, np.float32, np.float64])
def test_embeddings_lie_transposed(tmp_path: Path, rng: np.random.Generator, dtype: Any) -> None:
    base = {"tokens.weight": whole(rng, 9, 5, dtype=dtype)}
    adapter = {"tokens.lora_embedding_A": whole(rng, 4, 9), "tokens.lora_embedding_B": whole(rng, 5, 4)}
    found = merged(tmp_path, base, adapter, lora_alpha=4)["tokens.weight"]
    expected = (
        numbers(base["tokens.weight"])
        + (numbers(adapter["tokens.lora_embedding_B"]) @ numbers(adapter["tokens.lora_embedding_A"])).T
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2,), (2, 3, 2)])
def test_convolutions_are_matrices_of_their_leading_axis(
    tmp_path: Path, rng: np.random.Generator, kernel: tuple[int, ...]
) -> None:
    base = {"conv.weight": whole(rng, 6, 5, *kernel)}
    adapter = {
        "conv.lora_A.weight": whole(rng, 4, 5, *kernel),
        "conv.lora_B.weight": whole(rng, 6, 4, *(1 for _ in kernel)),
    }
    found = merged(tmp_path, base, adapter)["conv.weight"]
    delta = np.tensordot(adapter["conv.lora_B.weight"].reshape(6, 4), adapter["conv.lora_A.weight"], 1)
    np.testing.assert_array_equal(found, base["conv.weight"] + 2.0 * delta)


@pytest.mark.parametrize(("rows", "columns"), [(0, 5), (6, 0), (0, 0)])
@pytest.mark.parametrize("more", [{}, {"use_dora": True, "fan_in_fan_out": True}])
def test_weights_without_elements(
    tmp_path: Path, rng: np.random.Generator, rows: int, columns: int, more: dict[str, Any]
) -> None:
    adapter = factors(rng, "q", rows=rows, columns=columns)
    adapter |= {"q.lora_magnitude_vector": np.ones(rows, np.float32)} if more else {}
    W = whole(rng, *((columns, rows) if more else (rows, columns)))
    if more and rows:  # norms of nothing
        rule = "where magnitude must be finite and go with weights that are not zero"
        with refuses(f"base must allow a merge into q.weight, {rule}, got a factor of inf"):
            merged(tmp_path, {"q.weight": W}, adapter, **more)
    else:
        assert merged(tmp_path, {"q.weight": W}, adapter, **more)["q.weight"].shape == W.shape


def test_biases_are_scaled_and_added_in_float64(tmp_path: Path, rng: np.random.Generator) -> None:
    base = {"q.weight": whole(rng, 6, 5), "q.bias": np.full(6, 1.0, np.float32)}
    adapter = factors(rng, "q") | {"q.lora_B.bias": np.full(6, 2.0**-24, np.float32)}
    found = merged(tmp_path, base, adapter, lora_bias=True, lora_alpha=12)
    np.testing.assert_array_equal(found["q.bias"], np.float32(1.0 + 3 * 2.0**-24))  # one rounding, of a tie plus one
    np.testing.assert_array_equal(found["q.weight"], base["q.weight"] + 3.0 * product(adapter, "q"))


def test_a_bias_that_the_base_lacks_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    with refuses("adapters must add to a bias that the base has, got q.bias"):
        merged(
            tmp_path,
            {"q.weight": whole(rng, 6, 5)},
            factors(rng, "q") | {"q.lora_B.bias": whole(rng, 6)},
            lora_bias=True,
        )


def test_saved_modules_replace_those_of_the_base(tmp_path: Path, rng: np.random.Generator) -> None:
    """The base's type is kept, and what is written as `base_layer` is the layer itself, to which factors are added."""
    base = {
        "head.weight": whole(rng, 6, 5, dtype=np.float16),
        "tokens.weight": whole(rng, 9, 5),
        "q.bias": whole(rng, 6),
    }
    head, tokens, bias = whole(rng, 6, 5), whole(rng, 9, 5), whole(rng, 6)
    adapter = {"head.weight": head, "tokens.base_layer.weight": tokens, "q.base_layer.bias": bias}
    adapter |= {"tokens.lora_embedding_A": whole(rng, 4, 9), "tokens.lora_embedding_B": whole(rng, 5, 4)}
    found = merged(tmp_path, base, adapter, modules_to_save=["head"], bias="all")
    np.testing.assert_array_equal(found["head.weight"], head)
    np.testing.assert_array_equal(found["q.bias"], bias)
    delta = (adapter["tokens.lora_embedding_B"] @ adapter["tokens.lora_embedding_A"]).T
    np.testing.assert_array_equal(found["tokens.weight"], tokens + 2.0 * delta)
    assert tensors(tmp_path / "out")["head.weight"].dtype == np.float16


def test_tensors_without_a_place(tmp_path: Path, rng: np.random.Generator) -> None:
    base = write_base(tmp_path / "base", {"q.weight": whole(rng, 6, 5)})
    adapter = factors(rng, "q") | factors(rng, "k") | {"score.weight": whole(rng, 2, 2)}
    source = write_adapter(tmp_path / "adapter", adapter)
    with refuses("adapters must name only modules and tensors of the base, got 'score.weight'"):
        peft.merge_checkpoint(base, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = peft.merge_checkpoint(base, source, tmp_path / "out", strict=False)
    assert done == (["q.weight"], [], ["score.weight", "k"], [])


@pytest.mark.parametrize(("ours", "theirs"), [("model.q", "q"), ("q", "model.q")])
def test_a_prefix_too_many_is_pointed_at(tmp_path: Path, rng: np.random.Generator, ours: str, theirs: str) -> None:
    """The adapter of a model with a head, and a checkpoint without one, or the other way round."""
    rule = "adapters must name only modules and tensors of the base"
    with refuses(f"{rule}, got '{theirs}' (the base has '{ours}.weight')"):
        merged(tmp_path, {f"{ours}.weight": whole(rng, 6, 5)}, factors(rng, theirs))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((5, 6), {}, "(5, 6), got A (4, 5) and B (6, 4), linear, for a shape of (6, 5)"),
        ((6, 5), {"fan_in_fan_out": True}, "(6, 5), got A (4, 5) and B (6, 4), transposed, for a shape of (5, 6)"),
        ((6, 5, 1), {}, "(6, 5, 1), got A (4, 5) and B (6, 4), linear, for a shape of (6, 5)"),
    ],
)  # fmt: skip
def test_factors_must_fit(
    tmp_path: Path, rng: np.random.Generator, shape: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    with refuses(f"adapters must have factors that fit q.weight of shape {message}"):
        merged(tmp_path, {"q.weight": whole(rng, *shape)}, factors(rng, "q"), **options)


def test_quantised_bases_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    source = write_adapter(tmp_path / "adapter", factors(rng, "q"))
    config = {"quantization_config": {"bits": 4}}
    base = write_base(tmp_path / "config", {"q.weight": whole(rng, 6, 5)}, config=config)
    with refuses("base must be a checkpoint that is not quantised, got quantization_config {'bits': 4} in config.json"):
        peft.merge_checkpoint(base, source, tmp_path / "out")
    base = write_base(tmp_path / "type", {"q.weight": np.zeros((6, 5), np.uint8)})
    with refuses(
        "adapters must change tensors of type F16, BF16, F32, F64, which are not quantised, got U8 for q.weight"
    ):
        peft.merge_checkpoint(base, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_orders_that_would_matter_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    base = write_base(tmp_path / "base", {"q.weight": whole(rng, 6, 5)})
    plain = write_adapter(tmp_path / "plain", factors(rng, "q"))
    saved = write_adapter(tmp_path / "saved", {"q.weight": whole(rng, 6, 5)})
    magnitude = {"q.lora_magnitude_vector": np.ones(6, np.float32)}
    dora = write_adapter(tmp_path / "dora", factors(rng, "q") | magnitude, use_dora=True)
    out = tmp_path / "out"
    with refuses("adapters[1] must replace what no other adapter changes, got q.weight"):
        peft.merge_checkpoint(base, [plain, saved], out)
    with refuses("adapters[1] must change what no other adapter replaces, got q.weight"):
        peft.merge_checkpoint(base, [saved, plain], out)
    with refuses("adapters[1] must replace what no other adapter changes, got q.weight"):
        peft.merge_checkpoint(base, [saved, saved], out)
    rule = "change q.weight alone and with the weight 1, since it has a magnitude (DoRA)"
    with refuses(f"adapters[1] must {rule}, got 2 adapters with weights [1.0, 1.0]"):
        peft.merge_checkpoint(base, [plain, dora], out)
    with refuses(f"adapters must {rule}, got 1 adapters with weights [0.5]"):
        peft.merge_checkpoint(base, dora, out, weights=[0.5])
    with refuses("adapters must have the weight 1, since it replaces q.weight, got 0.5"):
        peft.merge_checkpoint(base, saved, out, weights=[0.5])
    assert not out.exists()


def test_adapters_may_be_given_as_arrays(tmp_path: Path, rng: np.random.Generator) -> None:
    base, source, _, _ = three_shards(tmp_path, rng)
    peft.merge_checkpoint(base, source, tmp_path / "out")
    peft.merge_checkpoint(base, [peft.read_adapter(source)], tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "out")
