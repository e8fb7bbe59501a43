"""Sampling inside of Hugging Face's ``generate``, with a model that costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.measure import Contestant, Scale
from benchmarks.results import OURS, Bar, Record

torch = pytest.importorskip("torch", reason="pip install torch")
transformers = pytest.importorskip("transformers", reason="pip install transformers")

from likewise.integrations.transformers import generation_kwargs  # noqa: E402

from .workloads import FILTERS, logits_of  # noqa: E402

Contest = Callable[..., Record]
Keep = Callable[[Record], Record]

CHAIN, GREEDY = "transformers", "greedy loop, no sampling"
N_TOKENS = 32


def free_model(logits: Any) -> Any:
    """A model for ``generate`` whose forward pass hands out rows of logits that are there already, in turn."""
    from transformers.modeling_outputs import CausalLMOutput

    class Config(transformers.PretrainedConfig):  # type: ignore[misc]
        model_type = "free"

    class Free(transformers.PreTrainedModel, transformers.GenerationMixin):  # type: ignore[misc]
        config_class = Config
        main_input_name = "input_ids"

        def __init__(self) -> None:
            config = Config(vocab_size=logits.shape[-1], num_hidden_layers=1, hidden_size=1, num_attention_heads=1)
            super().__init__(config)
            self.place = torch.nn.Parameter(torch.zeros(1))  # tells generate the device
            self.calls = 0

        def forward(self, input_ids: Any = None, attention_mask: Any = None, **_: Any) -> Any:
            self.calls += 1
            first = self.calls % (len(logits) - len(input_ids) + 1)
            return CausalLMOutput(logits=logits[first : first + len(input_ids), None])  # a view

        def prepare_inputs_for_generation(self, input_ids: Any, attention_mask: Any = None, **_: Any) -> Any:
            return {"input_ids": input_ids}

    return Free()


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("kind", ["peaked", "flat"])
@pytest.mark.parametrize(("vocabulary", "batch"), [(128_256, 1), (262_144, 1), (128_256, 8)])
@pytest.mark.usefixtures("one_blas_thread")
def test_generate(
    filters: str, kind: str, vocabulary: int, batch: int, scale: Scale, contest: Contest, record: Keep
) -> None:
    """Whole calls: the loop, the copy of the logits and the final argmax are in them."""
    if scale.quick and (vocabulary, batch) != (128_256, 1):
        pytest.skip("a whole run measures it")
    model = free_model(torch.from_numpy(logits_of(kind, 16, vocabulary)))
    ids = torch.ones(batch, 4, dtype=torch.int64)

    def generate(options: dict[str, Any]) -> Any:
        model.calls = 0
        mask = torch.ones_like(ids)
        return model.generate(
            ids, attention_mask=mask, max_new_tokens=N_TOKENS, use_cache=False, pad_token_id=0, **options
        )

    chain: dict[str, Any] = dict(do_sample=True, top_k=0, top_p=1.0) | FILTERS[filters]
    ours = generation_kwargs(random_state=0, n_threads=1, **FILTERS[filters])
    for options in (chain, ours):
        assert generate(options).shape == (batch, 4 + N_TOKENS)
    found = contest(
        "decoding, inside of generate",
        f"{kind} logits, V {vocabulary}, B {batch}, {filters}",
        [
            Contestant(OURS, generate, [ours]),
            Contestant(CHAIN, generate, [chain]),
            Contestant(GREEDY, generate, [dict(do_sample=False)]),
        ],
        unit="us a step",
        factor=1e6 / N_TOKENS,
    )
    own, theirs, loop = (row.value for row in found.rows)
    for row in found.rows[:2]:
        row.note = f"{row.value - loop:.0f} us more than the loop alone"
    ratio = (theirs - loop) / (own - loop)
    if filters == "top_p=0.9":
        found.bars.append(Bar("the sampling part, beyond the loop: >= 30x transformers", ratio, 30))
    else:
        found.rows[0].note += f", {ratio:.0f}x less than transformers"
    record(found)
