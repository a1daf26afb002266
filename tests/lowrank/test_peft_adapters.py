"""Adapters read and written: every option is used, known not to matter, or refused by its name; no tensor is lost."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from peft_files import files, write_adapter

from sorgum.interop import bfloat16
from sorgum.lowrank import peft
from sorgum.lowrank.peft._options import IRRELEVANT, REFUSED, USED

ONES = {"a.q.lora_A.weight": np.ones((4, 5), np.float32), "a.q.lora_B.weight": np.ones((6, 4), np.float32)}
MAGNITUDE = {"a.q.lora_magnitude_vector": np.ones(6, np.float32)}
BIAS = {"a.q.lora_B.bias": np.ones(6, np.float32)}


def refuses(message: str) -> Any:
    return pytest.raises(ValueError, match="^" + re.escape(f"read_adapter: directory must {message}") + "$")


def read(tmp_path: Path, tensors: dict[str, np.ndarray] = ONES, **options: Any) -> peft.Adapter:
    return peft.read_adapter(write_adapter(tmp_path / "adapter", tensors, **options))


def test_what_is_shown_has_no_numbers_of_arrays(tmp_path: Path) -> None:
    """Of a model with hundreds of modules as of one."""
    saved = {"a.norm.weight": np.zeros(5, np.float32)}
    adapter = read(tmp_path, ONES | MAGNITUDE | BIAS | saved, use_dora=True, lora_bias=True, modules_to_save=["norm"])
    assert repr(adapter) == "Adapter(1 modules, 1 replaced)"
    shown = "LowRank(A.shape=(4, 5), B.shape=(6, 4), magnitude.shape=(6,), bias.shape=(6,), scale=2.0, kind='linear')"
    assert repr(adapter.modules["a.q"]) == shown


def test_options_are_in_one_list_each() -> None:
    lists = [*USED, *IRRELEVANT, *REFUSED]
    assert len(set(lists)) == len(lists)


def test_every_option_of_the_installed_peft_is_known() -> None:
    """A new one is refused where it is set, and this test says that nobody has thought about it yet."""
    library = pytest.importorskip("peft")
    fields = {field.name for field in dataclasses.fields(library.LoraConfig)}
    assert {"r", "lora_alpha", "use_dora"} <= fields
    assert fields - {*USED, *IRRELEVANT, *REFUSED} == set()


def test_the_document_has_every_option_once() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "adapters.md").read_text()
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]*) \|$", text, re.MULTILINE)
    said = {name: meaning for names, meaning in rows for name in re.findall(r"\w+", names)}
    assert len(said) == sum(len(re.findall(r"\w+", names)) for names, _ in rows)
    assert said.keys() == {*USED, *IRRELEVANT, *REFUSED}
    assert {name for name, meaning in said.items() if meaning.startswith("refused")} == set(REFUSED)


SET = {
    "alora_invocation_tokens": [1, 2],
    "arrow_config": {"top_k": 3},
    "ensure_weight_tying": True,
    "layer_replication": [[0, 4], [2, 5]],
    "loftq_config": {"loftq_bits": 4},
    "megatron_config": {"x": 1},
    "target_parameters": ["experts.up"],
    "trainable_token_indices": [7],
    "use_bdlora": {"nblocks": 2},
    "use_qalora": True,
}


@pytest.mark.parametrize("option", REFUSED)
def test_options_that_no_merge_can_honour(tmp_path: Path, option: str) -> None:
    value = SET[option]
    with refuses(f"not set the option {option}, which no merge into plain weights can honour, got {value}"):
        read(tmp_path, **{option: value})


@pytest.mark.parametrize("value", [True, 1, "x", [0], {"a": None}, 0.5, 0])
def test_options_that_are_not_known(tmp_path: Path, value: Any) -> None:
    with refuses(f"not set the option use_velvet, which is not known here, got {value!r}"):
        read(tmp_path, use_velvet=value)


@pytest.mark.parametrize("option", [*REFUSED, "use_velvet"])
@pytest.mark.parametrize("value", [None, False, [], {}, ""])
def test_options_that_are_not_set(tmp_path: Path, option: str, value: Any) -> None:
    assert read(tmp_path, **{option: value}).modules["a.q"].scale == 2.0


@pytest.mark.parametrize("option", IRRELEVANT)
def test_options_that_do_not_matter(tmp_path: Path, option: str) -> None:
    assert read(tmp_path, **{option: ["anything"]}).modules["a.q"].scale == 2.0


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva", "orthogonal"])
def test_beginnings_that_leave_the_base_alone(tmp_path: Path, start: Any) -> None:
    assert read(tmp_path, init_lora_weights=start).modules["a.q"].scale == 2.0


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga", "new", 1, None])
def test_beginnings_that_change_the_base_are_refused(tmp_path: Path, start: Any) -> None:
    """PEFT takes the first factors away from the base then: merged into the base itself, they give another result."""
    rule = "have init_lora_weights that leave the base as it is (true, false, 'gaussian', 'eva', 'orthogonal'; PEFT "
    with refuses(f"{rule}converts others by path_initial_model_for_weight_conversion), got {start!r}"):
        read(tmp_path, init_lora_weights=start)


JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(max_size=4),
    lambda inner: (
        strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = strategies.sampled_from([*USED, *IRRELEVANT, *REFUSED]) | strategies.text(max_size=3)
PATTERNS = strategies.dictionaries(
    strategies.sampled_from(["q", "a.q", ".*", "(", "[", "^a", "", "q$", "\\d"]), JSON, max_size=2
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("fuzz") / "adapter", ONES)


@hypothesis.given(options=strategies.dictionaries(NAMES, JSON, max_size=4), rank=PATTERNS, alpha=PATTERNS)
def test_fuzz_options(folder: Path, options: dict[str, Any], rank: Any, alpha: Any) -> None:
    """Whatever the options are: an adapter that is read has a finite scale, and a refusal the one form."""
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "rank_pattern": rank, "alpha_pattern": alpha} | options
    (folder / "adapter_config.json").write_text(json.dumps(config))
    try:
        scale = peft.read_adapter(folder).modules["a.q"].scale
    except ValueError as error:
        if re.match(r"read_adapter: directory must .*, got ", str(error), re.DOTALL) is None:
            raise
    else:
        assert np.isfinite(scale)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"peft_type": "ADALORA"}, "be an adapter of peft_type 'LORA', got 'ADALORA'"),
        ({"peft_type": None}, "be an adapter of peft_type 'LORA', got None"),
        ({"r": 0}, "have a positive integer as r, got 0"),
        ({"r": 4.0}, "have a positive integer as r, got 4.0"),
        ({"r": True}, "have a positive integer as r, got True"),
        ({"r": 8}, "have factors of rank 8 for a.q, as its options say, got A of shape (4, 5)"),
        ({"lora_alpha": "8"}, "have a finite number as lora_alpha, got '8'"),
        ({"lora_alpha": None}, "have a finite number as lora_alpha, got None"),
        ({"rank_pattern": [4]}, "have an object as rank_pattern, got [4]"),
        ({"rank_pattern": {"q": 2}}, "have factors of rank 2 for a.q, as its options say, got A of shape (4, 5)"),
        ({"rank_pattern": {"q": 0}}, "have a positive integer as rank_pattern['q'], got 0"),
        ({"alpha_pattern": {"q": "2"}}, "have a finite number as alpha_pattern['q'], got '2'"),
        (
            {"alpha_pattern": {"(": 2}},
            "have keys of alpha_pattern that are regular expressions, got '(': missing ), unterminated subpattern at "
            "position 7",
        ),
        ({"use_rslora": "true"}, "have true or false as use_rslora, got 'true'"),
        ({"use_dora": 1}, "have true or false as use_dora, got 1"),
        ({"use_dora": True}, "have the parts A, B, magnitude for a.q, as its options say, got A, B"),
        ({"lora_bias": True}, "have the parts A, B, bias for a.q, as its options say, got A, B"),
    ],
)  # fmt: skip
def test_options_and_tensors_agree(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with refuses(message):
        read(tmp_path, **options)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (MAGNITUDE, "have the parts A, B for a.q, as its options say, got A, B, magnitude"),
        (BIAS, "have the parts A, B for a.q, as its options say, got A, B, bias"),
        ({"k.lora_A.weight": np.ones((4, 5))}, "have the parts A, B for k, as its options say, got A"),
        (
            {"k.lora_embedding_B": np.ones((4, 5))},
            "have the parts embedding_A, embedding_B for k, as its options say, got embedding_B",
        ),
        ({"a.q.lora_C.weight": np.ones(3)}, "have tensors that are known, got 'base_model.model.a.q.lora_C.weight'"),
        (
            {"a.q.lora_A.default.weight": np.ones(3)},
            "have tensors that are known, got 'base_model.model.a.q.lora_A.default.weight'",
        ),
        (
            {"a.token_adapter.trainable_tokens_delta": np.ones(3)},
            "have tensors that are known, got 'base_model.model.a.token_adapter.trainable_tokens_delta'",
        ),
        (
            {"a.head.weight": np.arange(3)},
            "have tensors of type F16, BF16, F32, F64, got I64 for 'base_model.model.a.head.weight'",
        ),
        (
            {"k.bias": np.ones(2), "k.base_layer.bias": np.ones(2)},
            "have one tensor for each purpose, got a second one, 'base_model.model.k.base_layer.bias'",
        ),
    ],
)  # fmt: skip
def test_tensors_that_are_not_known_or_lacking(tmp_path: Path, more: dict[str, np.ndarray], message: str) -> None:
    with refuses(message):
        read(tmp_path, ONES | more)


@pytest.mark.parametrize(
    ("A", "B", "message"),
    [
        ((4, 5), (6, 3), "(4, 5) and (6, 3)"),
        ((4,), (6, 4), "(4,) and (6, 4)"),
        ((4, 5), (6, 4, 1, 1), "(4, 5) and (6, 4, 1, 1)"),
        ((4, 5, 3, 3), (6, 4, 3, 3), "(4, 5, 3, 3) and (6, 4, 3, 3)"),
    ],
)  # fmt: skip
def test_shapes_fit_each_other(tmp_path: Path, A: tuple[int, ...], B: tuple[int, ...], message: str) -> None:
    with refuses(f"have factors of shapes (r, in, ...) and (out, r) for q, got {message}"):
        read(tmp_path, {"q.lora_A.weight": np.ones(A), "q.lora_B.weight": np.ones(B)})


def test_magnitudes_and_biases_are_one_per_row(tmp_path: Path) -> None:
    with refuses("have a magnitude of shape (6,) for a.q, got (5,)"):
        read(tmp_path, ONES | {"a.q.lora_magnitude_vector": np.ones(5)}, use_dora=True)
    with refuses("have a bias of shape (6,) for a.q, got (1,)"):
        read(tmp_path / "bias", ONES | {"a.q.lora_B.bias": np.ones(1)}, lora_bias=True)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_both_files_must_be_there(tmp_path: Path, name: str) -> None:
    folder = write_adapter(tmp_path / "adapter", ONES)
    (folder / name).rename(folder / "adapter_model.bin")
    rule = "have the files adapter_config.json and adapter_model.safetensors"
    with refuses(f"{rule}, got {str(folder)!r} without {name}"):
        peft.read_adapter(folder)


def test_names_may_lack_the_prefix_of_peft(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "adapter", ONES)
    content = (folder / "adapter_model.safetensors").read_bytes()
    text = content[8:].replace(b"base_model.model.", b"")
    length = int.from_bytes(content[:8], "little") - len(content[8:]) + len(text)
    (folder / "adapter_model.safetensors").write_bytes(length.to_bytes(8, "little") + text)
    assert list(peft.read_adapter(folder).modules) == ["a.q"]


def low_rank(rank: int, scale: float, **more: Any) -> peft.LowRank:
    values = np.arange(rank * 11, dtype=np.float32)
    return peft.LowRank(values[: rank * 5].reshape(rank, 5), values[rank * 5 :].reshape(6, rank), scale, **more)


def same(a: peft.Adapter, b: peft.Adapter) -> None:
    assert a.modules.keys() == b.modules.keys()
    assert a.replaced.keys() == b.replaced.keys()
    pairs = [(a.replaced[name], b.replaced[name]) for name in a.replaced]
    for name, left in a.modules.items():
        right = b.modules[name]
        assert (left.scale, left.kind) == (right.scale, right.kind)
        for part in ("A", "B", "magnitude", "bias"):
            assert (getattr(left, part) is None) == (getattr(right, part) is None)
            pairs += [(getattr(left, part), getattr(right, part))] if getattr(left, part) is not None else []
    assert pairs
    for left_array, right_array in pairs:
        assert bfloat16.name(left_array.dtype) == bfloat16.name(right_array.dtype)  # ml_dtypes may have come
        assert left_array.shape == right_array.shape
        assert left_array.tobytes() == right_array.tobytes()


ROWS = np.arange(6, dtype=np.float16)
ADAPTERS = {
    "patterns": peft.Adapter(
        {"a.q": low_rank(4, 2.0), "b.q": low_rank(4, 2.0), "xa.q": low_rank(2, 16.0), "a.q.q": low_rank(8, 0.125)}
    ),
    "magnitude": peft.Adapter({"q": low_rank(4, 2.0, magnitude=ROWS)}),
    "bias": peft.Adapter({"q": low_rank(4, 2.0, bias=ROWS)}),
    "transposed": peft.Adapter({"q": low_rank(4, 2.0, kind="transposed"), "e": low_rank(4, 2.0, kind="embedding")}),
    "embedding": peft.Adapter({"q": low_rank(4, 2.0), "e": low_rank(4, 2.0, kind="embedding")}),
    "replaced": peft.Adapter({"q": low_rank(4, 2.0)}, {"head.weight": np.ones((2, 3)), "head.bias": np.ones(2)}),
    "conv": peft.Adapter({"q": peft.LowRank(np.ones((4, 5, 3, 3)), np.ones((6, 4)), 0.5, ROWS)}),
    "bfloat16": peft.Adapter(
        {"q": peft.LowRank(bfloat16.rounded(np.ones((4, 5)), bfloat16.dtype()), np.ones((6, 4)), 0.5)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ADAPTERS)
def test_what_is_written_is_read(tmp_path: Path, case: str) -> None:
    peft.write_adapter(tmp_path / "adapter", ADAPTERS[case], base_model="org/base")
    read = peft.read_adapter(tmp_path / "adapter")
    same(read, ADAPTERS[case])
    assert read.config["base_model_name_or_path"] == "org/base"
    peft.write_adapter(tmp_path / "again", read)
    assert files(tmp_path / "again") == files(tmp_path / "adapter")


def test_what_does_not_matter_to_a_merge_is_kept(tmp_path: Path) -> None:
    read = peft.read_adapter(write_adapter(tmp_path / "a", ONES, task_type="CAUSAL_LM", lora_dropout=0.5, revision="x"))
    peft.write_adapter(tmp_path / "b", read)
    config = json.loads((tmp_path / "b" / "adapter_config.json").read_text())
    assert (config["task_type"], config["lora_dropout"], config["revision"]) == ("CAUSAL_LM", 0.5, "x")
    assert (config["r"], config["lora_alpha"], config["target_modules"]) == (4, 8.0, ["a.q"])


def test_arrays_that_are_not_contiguous(tmp_path: Path) -> None:
    values = low_rank(4, 2.0)
    turned = peft.LowRank(np.asfortranarray(values.A), np.repeat(values.B, 2, 1)[:, ::2], 2.0)
    peft.write_adapter(tmp_path / "adapter", peft.Adapter({"q": turned}))
    same(peft.read_adapter(tmp_path / "adapter"), peft.Adapter({"q": values}))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("out", {}), TypeError, "adapter must be an Adapter, got dict"),
        ((3, peft.Adapter({})), TypeError, "directory must be a path (str or os.PathLike), got int"),
        (("/tmp", peft.Adapter({})), ValueError, "directory must be a path where nothing is yet, got '/tmp'"),
        (("out", peft.Adapter({"q": low_rank(4, np.inf)})), ValueError,
         "the scale of q must be finite, got inf"),
        (("out", peft.Adapter({"q": low_rank(4, 1.0, kind="conv")})), ValueError,
         "adapter must have a kind of linear, transposed, embedding for q, got 'conv'"),
        (("out", peft.Adapter({"q": peft.LowRank(np.ones((4, 5), complex), np.ones((6, 4)), 1.0)})), TypeError,
         "A of q must be float16, bfloat16, float32, float64, bool or integer, got dtype dtype('complex128')"),
        (("out", peft.Adapter({"q": low_rank(4, 1.0), "k": low_rank(4, 1.0, bias=ROWS)})), ValueError,
         "adapter must have modules that agree in lora_bias, got some with and some without"),
        (("out", peft.Adapter({"q": low_rank(4, 1e305)})), ValueError,
         "adapter must have a finite number as lora_alpha, got 4e+305"),
        (("out", peft.Adapter({"q": low_rank(4, 1.0), "k": low_rank(4, 1.0), "v": low_rank(4, 1e305)})), ValueError,
         "adapter must have a finite number as alpha_pattern['^v'], got 4e+305"),
        (("out", peft.Adapter({"q": low_rank(4, 1e308)})), ValueError,
         "adapter must have a config that JSON holds, got Out of range float values are not JSON compliant: inf"),
        (("out", peft.Adapter({}, {}, {"lora_dropout": np.nan})), ValueError,
         "adapter must have a config that JSON holds, got Out of range float values are not JSON compliant: nan"),
        (("out", peft.Adapter({}, {}, {"task_type": {1}})), ValueError,
         "adapter must have a config that JSON holds, got Object of type set is not JSON serializable"),
        (("out", peft.Adapter({"q": low_rank(4, 1.0)}, {"q.lora_A.weight": np.ones((4, 5))})), ValueError,
         "adapter must replace tensors whose names are not those of factors, got 'q.lora_A.weight'"),
        (("out", peft.Adapter({}, {"q.base_layer.bias": ROWS})), ValueError,
         "adapter must replace tensors whose names are not those of factors, got 'q.base_layer.bias'"),
        (("out", peft.Adapter({"\ud800": low_rank(4, 1.0)})), ValueError,
         "adapter must have names that are text, got '\\ud800'"),
        (("out", peft.Adapter({1: low_rank(4, 1.0)})), TypeError,  # type: ignore[dict-item]
         "adapter must have names that are strings, got int"),
        (("out", peft.Adapter([1])), TypeError, "adapter must have a dict as modules, got list"),  # type: ignore[arg-type]
        (("out", peft.Adapter({"q": 1})), TypeError,  # type: ignore[dict-item]
         "adapter must have a LowRank for q, got int"),
    ],
)  # fmt: skip
def test_what_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, kind: type[Exception], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match="^" + re.escape(f"write_adapter: {message}") + "$"):
        peft.write_adapter(*arguments)
    assert files(tmp_path) == {}
