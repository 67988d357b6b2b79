"""A causal language model as the methods see it: it reads a prefix, and gives answers of packed queries and logits."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from icl_claims.errors import ModelError, PromptError
from icl_claims.models.attention import AttentionPass, Keys, Prefix
from icl_claims.models.blocks import TRIED, all_finite, at_least_single, outputs_at
from icl_claims.models.inspection import first_position, inspect, longest_context, refused_in_words, shares_any
from icl_claims.models.layout import Layout
from icl_claims.models.products import fast_products
from icl_claims.models.read_out import ReadOut
from icl_claims.models.self_check import check_against_itself
from icl_claims.models.tokens import TokenEncoder

Weights = Mapping[str, Tensor]
"""Values that stand in for parameters of the network during one call, by qualified name."""


@dataclass(frozen=True, eq=False)
class Activations:
    """The activations of a batch of rows.

    Args:
        logits: at each row's answer position, in single precision or finer.
        attention_outputs: output of each attention module (after its output projection, before the residual) at each
            row's probe position.
        scores: scaled pre-softmax scores of the probe position over the row's own tokens, 0 beyond its length.
        block_outputs: output of every block, lowest first, at each row's answer position; empty by default.
        scores_against: scaled pre-softmax scores of the probe position over the tokens of the keys given, layer by
            layer and each on its device; None if no keys were given.
    """

    logits: Float[Tensor, "rows vocabulary"]
    attention_outputs: Float[Tensor, "layers rows hidden"]
    scores: Float[Tensor, "layers heads rows width"]
    block_outputs: tuple[Float[Tensor, "rows hidden"], ...] = ()
    scores_against: tuple[Float[Tensor, "heads rows tokens"], ...] | None = None


class LanguageModel:
    """A transformers causal language model whose attention runs through `icl_claims.models.attention`.

    The network itself is never changed: a method that tunes parameters passes its own values for them to every call.

    Args:
        network: a causal language model of transformers; its attention is `registered_attention` from now on.
        digest: SHA-256 over its weights, configuration and tokenizer.

    Attributes:
        blocks: the decoder blocks and the way from a block's output to logits.
        read_out: the head, as every block's output can be read through it.
        tuned_parameters: the key and value projections, lowest layer first.
        context_length: the longest sequence for which the model is what was compared, in tokens.
        first_position: the number that the model gives to the position of a prompt's first token.

    Raises:
        ModelError: the network does not give the same numbers through this class as by itself, or cannot be tuned.
    """

    def __init__(self, network: nn.Module, tokens: TokenEncoder, *, name: str, digest: str) -> None:
        from huggingface_hub.errors import StrictDataclassFieldValidationError

        self.network = network.eval().requires_grad_(False)
        with suppress(StrictDataclassFieldValidationError):  # some configurations insist on a padding token
            self.config.pad_token_id = None  # rows are packed: to look for padding would only wait for the device
        self.tokens = tokens
        self.name = name
        self.digest = digest
        found = inspect(self.network, tokens.bos)
        self.attention_modules = tuple(call.module for call in found.calls)
        self.blocks = found.blocks()
        self.tuned_parameters = found.tuned_parameters()
        self._tied = shares_any(self.network, self.tuned_parameters)
        self.first_position = first_position(self.network, tokens.bos)
        self.context_length = found.first_difference(longest_context(self.config) - self.first_position)
        if self.context_length < 2:
            raise ModelError(
                f"{type(network).__name__} is not causal",
                expected="tokens that see themselves and those before them",
                got="one that sees tokens that come later",
                todo=TRIED,
            )
        with refused_in_words(self.network):
            self.read_out = ReadOut.of(self.blocks)
        check_against_itself(self)

    @property
    def config(self) -> Any:
        """The transformers configuration of the decoder."""
        config: Any = self.network.config
        return config.get_text_config(decoder=True)

    @property
    def device(self) -> torch.device:
        """The device of the embeddings, where token ids go in and answers come out."""
        return next(self.network.parameters()).device

    @property
    def head_device(self) -> torch.device:
        """The device of the final norm and the projection head; not `device` if a model is spread over several."""
        return next(self.blocks.head.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return next(self.network.parameters()).dtype

    @property
    def layers(self) -> int:
        """Number of attention layers."""
        return len(self.attention_modules)

    def tuned_values(self) -> dict[str, Tensor]:
        """The pretrained values of the key and value projections, by name (not copies)."""
        return {tuned.name: self.network.get_parameter(tuned.name).detach() for tuned in self.tuned_parameters}

    def as_parameters(self, weights: Weights) -> dict[str, Tensor]:
        """Weights in the dtype of the network; those tuned in a finer one are rounded."""
        return {name: value.to(self.dtype) for name, value in weights.items()}

    def read_prefix(self, ids: Sequence[int], weights: Weights | None = None) -> Prefix:
        """Read a context once and cache its keys and values.

        Raises:
            PromptError: the context is longer than the model's.
        """
        with torch.inference_mode():
            return self.prefix_of(ids, weights)

    def prefix_of(self, ids: Sequence[int], weights: Weights | None = None) -> Prefix:
        """Keys and values of a context, differentiable in `weights`.

        Raises:
            PromptError: the context is longer than the model's.
        """
        now = AttentionPass(Layout((len(ids),), self.device), keep_prefix=True)
        with self.blocks.without_head():
            self._run(now, [ids], 1, weights)
        return Prefix(tuple(now.keys), tuple(now.values), len(ids))

    def keys_of(self, rows: Sequence[Sequence[int]], prefix: Prefix, weights: Weights | None = None) -> Keys:
        """Keys of the tokens of some rows, end to end, where each row is read after the same prefix and sees no other.

        Raises:
            PromptError: prefix and row together do not fit the model's context.
        """
        now = AttentionPass(Layout(tuple(map(len, rows)), self.device), prefix, keep_prefix=True)
        with torch.inference_mode(), self.blocks.without_head():
            self._run(now, rows, 1, weights)
        return tuple(now.keys)

    def answer(
        self,
        rows: Sequence[Sequence[int]],
        prefix: Prefix,
        *,
        answer_at: int,
        probe_at: int,
        weights: Weights | None = None,
        blocks: bool = False,
        against: Keys | None = None,
    ) -> Activations:
        """Run queries, each after the same prefix; none sees another.

        The next-token logits at column `answer_at` of every row are the answer, and attention is recorded at column
        `probe_at`; negative ones count from the end. On demand, the outputs of the blocks are recorded, and scores of
        the probe position over the keys of any tokens, attended to or not.

        Raises:
            ModelError: some logit is NaN or infinite.
            PromptError: prefix and query together do not fit the model's context.
        """
        with torch.inference_mode():
            seen = self.activations(
                rows, prefix, answer_at=answer_at, probe_at=probe_at, weights=weights, blocks=blocks, against=against
            )
        self.check_finite(seen.logits)
        return seen

    def check_finite(self, logits: Tensor) -> None:
        """Check that logits are finite.

        Raises:
            ModelError: some logit is NaN or infinite.
        """
        if not all_finite(logits):
            raise ModelError(
                f"{self.name} answers with logits that are not finite",
                got="NaN or infinity",
                todo="Try ⟨dtype⟩ float32, or check the checkpoint: its weights may be damaged.",
            )

    def activations(
        self,
        rows: Sequence[Sequence[int]],
        prefix: Prefix,
        *,
        answer_at: int,
        probe_at: int,
        weights: Weights | None = None,
        blocks: bool = False,
        against: Keys | None = None,
    ) -> Activations:
        """The activations that `answer` gives, but differentiable in `weights` and `prefix`, and finite or not.

        Raises:
            PromptError: prefix and query together do not fit the model's context.
        """
        layout = Layout(tuple(map(len, rows)), self.device)
        probe = layout.packed_index(probe_at)
        now = AttentionPass(layout, prefix, probe=probe, probe_against=against)
        keep = layout.packed_index(answer_at).to(self.head_device)
        with (
            outputs_at(self.attention_modules, probe) as attended,
            outputs_at(self.blocks.modules if blocks else (), keep) as block_outputs,
        ):
            logits = self._run(now, rows, keep, weights)
        outputs, scores = ([seen.to(logits.device) for seen in layers] for layers in (attended, now.scores))
        return Activations(
            at_least_single(logits),
            torch.stack(outputs),
            torch.stack(scores),
            tuple(block_outputs),
            None if against is None else tuple(now.scores_against),
        )

    def sequence_logits(
        self, ids: Sequence[int], weights: Weights | None = None, *, keep: Sequence[int] | None = None
    ) -> Float[Tensor, "tokens vocabulary"]:
        """Logits of one sequence, differentiable in `weights`."""
        now = AttentionPass(Layout((len(ids),), self.device))
        return self._run(now, [ids], 0 if keep is None else torch.tensor(keep, device=self.head_device), weights)

    def lens(
        self, outputs: Sequence[Float[Tensor, "rows hidden"]], label_ids: Sequence[int]
    ) -> Float[Tensor, "layers rows labels"]:
        """The logit lens: log-probabilities of the labels when final norm and head read the output of every block.

        Outputs are those at the position of the answer, lowest block first; a label's id is the token of its
        verbalizer.

        Returns:
            Log-probabilities over the whole vocabulary, in nats.

        Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
        """
        states = torch.cat([hidden.to(self.head_device) for hidden in outputs])
        read = self.read_out.log_probabilities(self.blocks.before_head(states), label_ids)
        return read.view(len(outputs), -1, len(label_ids))

    def head_input(self, ids: Sequence[int], weights: Weights | None = None) -> Float[Tensor, "tokens hidden"]:
        """What the head is given of one sequence, differentiable in `weights`: final states, before any logits."""
        with self.blocks.without_head() as given:
            self._run(AttentionPass(Layout((len(ids),), self.device)), [ids], 0, weights)
        return given[0][0]

    def _run(
        self,
        now: AttentionPass,
        rows: Sequence[Sequence[int]],
        keep: Int[Tensor, " kept"] | int,
        weights: Weights | None,
    ) -> Float[Tensor, "kept vocabulary"]:
        """Logits at some packed tokens, or at so many of the last; 0 means at all."""
        first_position = 0 if now.prefix is None else now.prefix.tokens
        longest = first_position + now.layout.width
        if longest > self.context_length:
            raise PromptError(
                f"A prompt does not fit the context of {self.name}",
                expected=f"at most {self.context_length} tokens",
                got=f"{longest}",
                todo="Use fewer demonstrations (⟨k⟩), or a model with a longer context.",
            )
        ids = torch.tensor([[token for row in rows for token in row]], device=self.device)
        positions = (now.layout.column + first_position + self.first_position)[None]
        call: dict[str, Any] = {"position_ids": positions, "use_cache": False, "logits_to_keep": keep}
        with now.active(), fast_products(self.device, self.dtype):
            output: Any = functional_call(
                self.network, self.as_parameters(weights or {}), (ids,), call, tie_weights=self._tied
            )
        logits: Tensor = output.logits[0]
        kept = keep if isinstance(keep, int) else len(keep)
        if len(logits) == kept:
            return logits
        return logits[-keep:] if isinstance(keep, int) else logits[keep]
