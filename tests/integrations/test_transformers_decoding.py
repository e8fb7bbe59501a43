"""Sampling, floors and loop detection inside of the real ``generate``, with small random models."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install torch")
transformers = pytest.importorskip("transformers", reason="pip install transformers")

from likewise.decoding import LoopDetector, TerminationFloor, sample  # noqa: E402
from likewise.integrations.transformers import (  # noqa: E402
    LoopStoppingCriteria,
    NativeSampler,
    TerminationFloorProcessor,
    generation_kwargs,
)

V, EOS, PAD = 61, 3, 0
PROMPTS = [[1, 5, 7, 9], [1, 8, 4, 6]]


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=V,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=1,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    made = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        made.lm_head.weight.mul_(30)  # opinions
        made.lm_head.weight[EOS] -= 2
    return made


def generate(model: Any, prompts: Any = PROMPTS, **options: Any) -> Any:
    ids = torch.tensor(prompts)
    return model.generate(ids, attention_mask=torch.ones_like(ids), **options)


@torch.no_grad()
def next_logits(model: Any, ids: Any) -> Any:
    return model(ids).logits[:, -1].float()


def test_generate_draws_what_sample_draws(model: Any) -> None:
    """Step by step the tokens of `sample`, with steps counted from the prompt, finished rows padded."""
    options: dict[str, Any] = dict(top_k=20, top_p=0.9, eos_id=EOS, floor=TerminationFloor(0.02, 5), random_state=7)
    found = generate(model, max_new_tokens=30, **generation_kwargs(**options))
    ids, done = torch.tensor(PROMPTS), np.zeros(2, bool)
    for step in range(found.shape[1] - 4):
        tokens = sample(next_logits(model, ids), step=step, **options)
        tokens[done] = PAD
        ids = torch.cat([ids, torch.from_numpy(tokens)[:, None]], dim=1)
        done |= tokens == EOS
    assert torch.equal(found, ids)
    assert done.all() or found.shape[1] == 34
    assert len(set(found[0].tolist())) > 5


def test_a_generation_begins_anew(model: Any) -> None:
    """The same sampler again: steps count from the new prompt, so that the same seed gives the same tokens."""
    options = generation_kwargs(temperature=1.5, eos_id=EOS, random_state=1)
    first = generate(model, max_new_tokens=8, **options)
    assert torch.equal(generate(model, max_new_tokens=8, **options), first)
    longer = [[*row, 2] for row in PROMPTS]  # the prompt before, and one more token, but another generation
    fresh = generation_kwargs(temperature=1.5, eos_id=EOS, random_state=1)
    assert torch.equal(
        generate(model, longer, max_new_tokens=8, **options), generate(model, longer, max_new_tokens=8, **fresh)
    )
    other = generate(model, max_new_tokens=8, **generation_kwargs(temperature=1.5, eos_id=EOS, random_state=2))
    assert not torch.equal(first, other)
    stream = generation_kwargs(temperature=1.5, eos_id=EOS, random_state=np.random.default_rng(0))
    assert not torch.equal(generate(model, max_new_tokens=8, **stream), generate(model, max_new_tokens=8, **stream))


def test_generate_is_told_the_end_tokens(model: Any) -> None:
    options = generation_kwargs(eos_id=[EOS, 41], floor=TerminationFloor(0.3), random_state=3, min_new_tokens=0)
    assert options["eos_token_id"] == [EOS, 41] and options["min_new_tokens"] == 0
    last = set()
    for seed in range(6):
        options = generation_kwargs(eos_id=[EOS, 41], floor=TerminationFloor(0.3), random_state=seed)
        new = generate(model, PROMPTS[:1], max_new_tokens=40, **options)[0, 4:].tolist()
        assert not {EOS, 41} & set(new[:-1])
        last.add(new[-1])
    assert last == {EOS, 41}


def test_other_processors_come_first(model: Any) -> None:
    """What they forbid is never drawn, and the model's own sampling settings neither act nor warn."""
    before = model.generation_config
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, temperature=0.1, top_k=1, eos_token_id=EOS, pad_token_id=PAD
    )
    try:
        options = generation_kwargs(temperature=3.0, eos_id=EOS, random_state=0, min_new_tokens=6)
        found = generate(model, max_new_tokens=40, suppress_tokens=list(range(10, V)), **options)
    finally:
        model.generation_config = before
    new = found[:, 4:]
    assert (new < 10).all() and (new[:, :6] != EOS).all()
    assert len(set(new[0, :6].tolist())) > 1


def test_chosen_tokens_are_marked_in_place() -> None:
    scores = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    before = scores.clone()
    found = NativeSampler(random_state=0)(torch.zeros(3, 2, dtype=torch.int64), scores)
    assert found.data_ptr() == scores.data_ptr()
    tokens = sample(before, step=0, random_state=0)
    assert (torch.isinf(found).nonzero()[:, 1].numpy() == tokens).all()
    assert torch.equal(found.argmax(dim=1), torch.from_numpy(tokens))
    assert torch.equal(found[~torch.isinf(found)], before[~torch.isinf(found)])


def test_a_floor_ends_every_row(model: Any) -> None:
    """With an end token that the model never wants, and truncation that would drop it."""
    with torch.no_grad():
        stubborn = transformers.LlamaForCausalLM(model.config).eval()
        stubborn.lm_head.weight[EOS] = 0
    floor = TerminationFloor.for_budget(60, start=10)
    found = generate(stubborn, max_new_tokens=60, **generation_kwargs(top_k=3, eos_id=EOS, floor=floor, random_state=0))
    assert (found == EOS).any(dim=1).all()


def reluctant(input_ids: Any, scores: Any) -> Any:
    """The model does not want to stop."""
    scores[:, EOS] -= 30
    return scores


@pytest.mark.parametrize("num_beams", [1, 3])
def test_floor_of_greedy_decoding_and_beams(model: Any, num_beams: int) -> None:
    floor = TerminationFloor(0.02, start=4)
    processor = TerminationFloorProcessor(floor, EOS)
    for _ in range(2):  # the second generation counts from its own prompt
        found = generate(
            model,
            max_new_tokens=60,
            do_sample=False,
            num_beams=num_beams,
            logits_processor=transformers.LogitsProcessorList([reluctant, processor]),
        )
        new = found[:, 4:]
        assert (new == EOS).any(dim=1).all()
        stops = [int((row == EOS).nonzero()[0]) for row in new]
        assert max(stops) < floor.greedy_stop()
        if num_beams == 1:  # each row stops exactly where `sample` at temperature 0 does
            ids = torch.tensor(PROMPTS)
            for step in range(max(stops) + 1):
                tokens = sample(
                    reluctant(ids, next_logits(model, ids)), temperature=0, eos_id=EOS, floor=floor, step=step
                )
                for row in range(2):
                    assert step > stops[row] or tokens[row] == new[row, step]
                ids = found[:, : 5 + step]
            assert min(stops) > 4


def test_steps_of_beams_follow_the_prompt(model: Any) -> None:
    """Rows that change places are the same generation: the floor's step grows by one a call."""
    seen: list[int] = []
    processor = TerminationFloorProcessor(TerminationFloor(1e-3), EOS)
    inner = processor._generation.step
    processor._generation.step = lambda ids: seen.append(inner(ids)) or seen[-1]  # type: ignore[method-assign]
    generate(model, max_new_tokens=9, num_beams=4, logits_processor=transformers.LogitsProcessorList([processor]))
    assert seen == list(range(len(seen))) and len(seen) > 3


def test_several_end_tokens_of_a_floor() -> None:
    """Greedy stops as soon as their total reaches the floor that it would stop at with one."""
    logits = torch.log(torch.tensor([[0.6, 0.2, 0.1, 0.1]], dtype=torch.float64))
    found = TerminationFloorProcessor(TerminationFloor(0.6), [1, 3])(torch.tensor([[1]]), logits).exp()
    torch.testing.assert_close(found, torch.tensor([[0.4 * 6 / 7, 0.6, 0.4 / 7, 0.0]], dtype=torch.float64))


def test_loops_stop(model: Any) -> None:
    """Greedy decoding of a small model falls into a loop: the row stops where the detector says so."""
    criteria = LoopStoppingCriteria(max_period=8, repeats=3, min_len=6)
    options: dict[str, Any] = dict(do_sample=False, eos_token_id=None, pad_token_id=PAD)
    long = generate(model, max_new_tokens=80, **options)[:, 4:].numpy()
    detector = LoopDetector(max_period=8, repeats=3, min_len=6, batch_size=2)
    periods = np.array([detector.push(column) for column in long.T])
    assert (periods > 0).any(axis=0).all()
    expected = (periods > 0).argmax(axis=0)
    for _ in range(2):
        found = generate(
            model, max_new_tokens=80, stopping_criteria=transformers.StoppingCriteriaList([criteria]), **options
        )[:, 4:]
        assert found.shape[1] == expected.max() + 1
        first = int(expected.argmin())
        assert (found[first].numpy()[: expected[first] + 1] == long[first][: expected[first] + 1]).all()


def test_prompt_does_not_count_as_a_loop() -> None:
    criteria = LoopStoppingCriteria(repeats=2, min_len=4)
    ids = torch.tensor([[7] * 20 + [7]])
    assert [bool(criteria(torch.cat([ids, ids[:, :n]], dim=1), None)) for n in range(4)] == [False] * 3 + [True]
    result = criteria(ids[:, :3], None)
    assert result.dtype == torch.bool and result.shape == (1,) and not result.any()


def test_bfloat16_model(model: Any) -> None:
    half = transformers.LlamaForCausalLM(model.config).to(torch.bfloat16).eval()
    found = generate(half, max_new_tokens=5, **generation_kwargs(top_p=0.9, eos_id=EOS, random_state=0))
    assert found.shape[1] > 4


def test_without_a_prompt_of_tokens(model: Any) -> None:
    """Embeddings in place of ids, and an encoder: the steps count from the first token that is generated."""
    floor = TerminationFloor.for_budget(24, start=8)
    options = generation_kwargs(top_p=0.9, eos_id=EOS, floor=floor, random_state=0)
    embeddings = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    found = model.generate(inputs_embeds=embeddings, attention_mask=torch.ones(2, 5), max_new_tokens=24, **options)
    assert (found == EOS).any(dim=1).all()
    sizes = dict(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    config = transformers.T5Config(vocab_size=V, decoder_start_token_id=0, eos_token_id=EOS, pad_token_id=PAD, **sizes)
    encoder = transformers.T5ForConditionalGeneration(config).eval()
    assert (encoder.generate(torch.tensor(PROMPTS), max_new_tokens=24, **options) == EOS).any(dim=1).all()


def test_refusals(model: Any, caplog: pytest.LogCaptureFixture) -> None:
    floor = TerminationFloor(0.1, start=2)
    for make in (
        lambda **options: NativeSampler(eos_id=EOS, **options),
        lambda **options: generation_kwargs(eos_id=EOS, **options),
        lambda **options: TerminationFloorProcessor(options.pop("floor"), EOS, **options),
    ):
        with pytest.raises(ValueError, match=r"floor: expected start >= min_new_tokens = 3, got start = 2"):
            make(floor=floor, min_new_tokens=3)
        make(floor=floor, min_new_tokens=2)
        with pytest.raises(TypeError, match="floor: expected a TerminationFloor"):
            make(floor=0.1)
    with pytest.raises(ValueError, match="floor: expected an eos_id that it can raise"):
        NativeSampler(floor=floor)
    with pytest.raises(ValueError, match="top_p: expected"):
        generate(model, max_new_tokens=2, **generation_kwargs(top_p=1.5))
    with pytest.raises(ValueError, match="eos_id: expected"):
        generate(model, max_new_tokens=2, **generation_kwargs(eos_id=V))
    with caplog.at_level(logging.WARNING):
        generate(model, max_new_tokens=2, **generation_kwargs(top_p=0.5))
    assert "do_sample" not in caplog.text


def test_without_transformers(fresh: Any) -> None:
    program = """
import sys
sys.modules["transformers"] = None
try:
    import likewise.integrations.transformers
except ImportError as error:
    print(error)
"""
    assert fresh(program).strip() == (
        "likewise.integrations.transformers needs transformers; pip install 'likewise[transformers]'"
    )
