"""Sampling and loop detection inside of the real llama-cpp-python, with a file of random layers made here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.decoding import LoopDetector, TerminationFloor, sample
from likewise.integrations.llama_cpp import LoopStoppingCriteria, NativeSampler, logits_view

V, EOS, PROMPT = 300, 2, [1, 70, 80]


def write_model(path: Path, n_embd: int = 32, n_layer: int = 2, n_head: int = 4, n_ff: int = 64) -> None:
    """A llama of random weights."""
    gguf = pytest.importorskip("gguf", reason="pip install gguf")
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layer)
    writer.add_feed_forward_length(n_ff)
    writer.add_head_count(n_head)
    writer.add_head_count_kv(n_head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(n_embd // n_head)
    writer.add_vocab_size(V)
    writer.add_tokenizer_model("llama")
    kinds, n_words = gguf.TokenType, V - 259
    writer.add_token_list(
        [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % i for i in range(256)), *(b"w%d" % i for i in range(n_words))]
    )
    writer.add_token_scores([0.0] * V)
    writer.add_token_types(
        [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256, *[kinds.NORMAL] * n_words]
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(0)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(f"{name}.weight", (0.3 * rng.normal(size=shape)).astype(np.float32))

    add("token_embd", V, n_embd)
    add("output", V, n_embd)
    norms = ["output_norm", *(f"blk.{i}.{part}_norm" for i in range(n_layer) for part in ("attn", "ffn"))]
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(n_embd, np.float32))
    for i in range(n_layer):
        for part in ("q", "k", "v", "output"):
            add(f"blk.{i}.attn_{part}", n_embd, n_embd)
        add(f"blk.{i}.ffn_gate", n_ff, n_embd)
        add(f"blk.{i}.ffn_up", n_ff, n_embd)
        add(f"blk.{i}.ffn_down", n_embd, n_ff)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    llama_cpp = pytest.importorskip("llama_cpp", reason="pip install llama-cpp-python (compiles for a while)")
    path = tmp_path_factory.mktemp("llama") / "random.gguf"
    write_model(path)
    model = llama_cpp.Llama(str(path), n_ctx=256, n_threads=1, verbose=False)
    yield model
    model.close()


def generate(llama: Any, n: int, processors: list[Any], criteria: list[Any] | None = None) -> list[int]:
    import llama_cpp

    found = []
    for token in llama.generate(
        PROMPT,
        temp=0.0,
        logits_processor=llama_cpp.LogitsProcessorList(processors),
        stopping_criteria=llama_cpp.StoppingCriteriaList(criteria or []),
    ):
        found.append(int(token))
        if token == EOS or len(found) == n:
            break
    return found


def test_draws_what_sample_draws(llama: Any) -> None:
    """In the processor, on llama-cpp-python's strided view, and on the context's own logits."""
    options: dict[str, Any] = dict(top_k=40, top_p=0.95, eos_id=EOS, floor=TerminationFloor(0.01, 3), random_state=5)
    sampler = NativeSampler(**options)
    first = generate(llama, 40, [sampler])
    assert generate(llama, 40, [sampler]) == first  # steps count from the prompt anew
    llama.reset()
    llama.eval(PROMPT)
    ours: list[int] = []
    while len(ours) < 40 and EOS not in ours:
        ours.append(sample(logits_view(llama), step=len(ours), **options))
        llama.eval(ours[-1:])
    assert ours == first and len(set(ours)) > 5


def test_view_is_no_copy(llama: Any) -> None:
    llama.reset()
    llama.eval(PROMPT)
    view, again = logits_view(llama), logits_view(llama)
    assert view.dtype == np.float32 and view.shape == (V,)
    assert view.__array_interface__["data"] == again.__array_interface__["data"]
    assert np.isfinite(view).all() and view.std() > 0


def test_a_floor_ends_it(llama: Any) -> None:
    def forbid_little(ids: Any, scores: Any) -> Any:
        scores[EOS] = -50.0  # the model does not want to stop
        return scores

    floor = TerminationFloor.for_budget(60, start=5)
    found = generate(llama, 60, [forbid_little, NativeSampler(top_p=0.9, eos_id=EOS, floor=floor, random_state=1)])
    assert found[-1] == EOS


def test_loops_stop(llama: Any) -> None:
    def greedy(ids: Any, scores: Any) -> Any:
        scores[EOS] = -50.0
        scores[100 + len(ids) % 3] = 1000.0  # a loop of period 3
        return scores

    criteria = LoopStoppingCriteria(max_period=8, repeats=3, min_len=6)
    detector = LoopDetector(max_period=8, repeats=3, min_len=6)
    long = generate(llama, 60, [greedy])
    fires = next(i for i, token in enumerate(long) if detector.push([token])[0])
    for _ in range(2):
        found = generate(llama, 60, [greedy], [criteria])
        assert found == long[: fires + 1]  # the next token is drawn, and dropped


def test_a_whole_completion(llama: Any) -> None:
    import llama_cpp

    floor = TerminationFloor.for_budget(50, start=0)
    found = llama.create_completion(
        PROMPT,
        max_tokens=50,
        temperature=0,
        logits_processor=llama_cpp.LogitsProcessorList([NativeSampler(eos_id=EOS, floor=floor, random_state=0)]),
        stopping_criteria=llama_cpp.StoppingCriteriaList([LoopStoppingCriteria()]),
    )
    assert found["choices"][0]["finish_reason"] == "stop"


def test_other_objects_are_refused(llama: Any) -> None:
    with pytest.raises(TypeError, match="llama: expected a llama_cpp.Llama, got list"):
        logits_view([])
    with pytest.raises(TypeError, match="index: expected an integer"):
        logits_view(llama, 0.5)  # type: ignore[arg-type]


# What needs no llama-cpp-python: the callbacks are called as it calls them.


def test_strided_scores_are_written_in_place() -> None:
    table = np.zeros(8, dtype=[("id", np.intc), ("logit", np.single), ("p", np.single)])
    table["logit"] = np.random.default_rng(0).normal(size=8)
    scores = table["logit"]
    before = scores.copy()
    found = NativeSampler(random_state=3)(np.array([1, 2], np.intc), scores)
    token = sample(before, step=0, random_state=3)
    assert found is scores and np.flatnonzero(np.isinf(table["logit"])).tolist() == [token]
    assert scores.strides == (12,)


def test_loops_of_the_prompt_do_not_count() -> None:
    criteria = LoopStoppingCriteria(repeats=2, min_len=4)
    ids = np.full(30, 7, np.intc)
    assert [criteria(ids[:n], None) for n in range(20, 26)] == [False] * 4 + [True] * 2
    assert criteria(ids[:25], None)  # asked once more
    assert not criteria(ids[:9], None)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="floor: expected an eos_id that it can raise"):
        NativeSampler(floor=TerminationFloor(0.1))
    with pytest.raises(TypeError, match="floor: expected a TerminationFloor"):
        NativeSampler(eos_id=1, floor=0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="repeats: expected"):
        LoopStoppingCriteria(repeats=1)


def test_without_llama_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(ImportError, match=r"needs llama-cpp-python; pip install 'likewise\[llama-cpp\]'"):
        logits_view(None)
