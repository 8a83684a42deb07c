"""A generator of SIDs: it names the next item token by token, as TIGER does, in small and on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from drq_spark.arrays import F32, I32
from drq_spark.blocks import row_blocks
from drq_spark.probe.behaviour_data import NO_ITEM, BehaviourData, Candidates
from drq_spark.probe.decoding_context import DecodingContext
from drq_spark.probe.history_encoder import HistoryEncoder, last_of
from drq_spark.probe.item_lists import BLOCK_ELEMENTS, returns_to_items
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.next_item_training import ASKED_TOGETHER, STREAM, NextItemNetwork, train_next_item
from drq_spark.probe.path_beam import PathTree, best_leaves
from drq_spark.probe.token_decoder import TokenDecoder
from drq_spark.probe.token_paths import TokenPaths
from drq_spark.progress import Progress
from drq_spark.train.runtime import seeded

Collisions = Literal["suffix", "popularity"]


@dataclass(frozen=True)
class GeneratorParts:
    """What a generator has beside the SID.

    Attributes:
        attributes: Attribute tokens in front of the SID (Chain-of-Attribute).
        collisions: How items of one SID are told apart: "suffix", a token that is learned, as in TIGER, or
            "popularity", their shares of the events of their SID.
        task: The decoder is told how much is known of the user.
        summary: The decoder is told the hash of the last first codes.
        beam: Prefixes that are kept at each level.
    """

    attributes: bool = False
    collisions: Collisions = "suffix"
    task: bool = False
    summary: bool = False
    beam: int = 100


class TokenNetwork(NextItemNetwork):
    """A causal transformer over items, each the sum of the vectors of its tokens, and a decoder behind each step.

    The softmax of each token is over those that some item has after the same tokens, in training as in the search. So
    chances of items add up to 1, and nothing has to be learned about paths that no item has: over all tokens the last
    of three codes of 64 for 5,000 items cost 1.4 nats, three times what it is worth to a model of items.
    """

    paths: Tensor
    log_share: Tensor

    def __init__(self, candidates: Candidates, parts: GeneratorParts, effort: Effort) -> None:
        super().__init__()
        spelled = TokenPaths.of(candidates, parts.attributes)
        learned = len(spelled.sizes) - (parts.collisions == "popularity")
        self.history = effort.history
        self.sid_levels = slice(spelled.attributes, spelled.attributes + candidates.codes.shape[1])
        self.register_buffer("paths", torch.from_numpy(spelled.tokens[:, :learned].astype(np.int64)))
        self.register_buffer("log_share", torch.from_numpy(np.log(spelled.share)))
        self.tree = PathTree.of(*spelled.tree())
        self.decoder = TokenDecoder(spelled.sizes[:learned], effort.width)
        self.encoder = HistoryEncoder(effort.width, effort.history)
        self.context = DecodingContext(candidates.codes[:, 0], effort.width, parts.task, parts.summary)

    def step_loss(self, items: Tensor, following: Tensor, draw: torch.Generator) -> Tensor:
        """See `NextItemNetwork.step_loss`: the sum over the levels of a path."""
        steps = following != NO_ITEM
        states, context = self._known(items)
        return self._surprises(states[steps], context[steps], following[steps]).sum(dim=1).mean()

    def surprise(self, items: Tensor, target: Tensor) -> Tensor:
        """See `NextItemNetwork.surprise`."""
        learned = self.token_surprises(items, target).sum(dim=1)
        return learned - self.log_share[target] if self._shares else learned

    def token_surprises(self, items: Tensor, target: Tensor) -> Tensor:
        """-ln p of each learned token of targets, given those before it: int64 [q, t], int64 [q] -> [q, T]."""
        states, context = (last_of(known, items) for known in self._known(items))
        return self._surprises(states, context, target)

    def best(self, items: Tensor, width: int, count: int, barred: Tensor | None) -> tuple[Tensor, Tensor]:
        """See `best_leaves`, after items as from `asked`."""
        start, context = (last_of(known, items) for known in self._known(items))

        def worth(level: int, states: Tensor, child: Tensor) -> Tensor:
            if level == self.paths.shape[1]:
                return self.log_share[self.tree.items[child]]
            return self.decoder.worth(level, states).gather(2, self.tree.codes[child])

        def after(level: int, states: Tensor, token: Tensor) -> Tensor:
            if level + 1 == self.paths.shape[1]:  # only shares come behind the last token that is learned
                return states
            return self.decoder.after(level, states, token, context[:, None].expand_as(states))

        return best_leaves(self.tree, start, worth, after, width, count, barred)

    @property
    def widest(self) -> int:
        """The most numbers that a beam needs at a level: chances of all tokens, or children."""
        return max(*self.decoder.sizes, *self.tree.widest)

    @property
    def _shares(self) -> bool:
        return self.paths.shape[1] < len(self.tree.widest)

    def _surprises(self, state: Tensor, context: Tensor, target: Tensor) -> Tensor:
        surprises = []
        for level, token in enumerate(self.paths[target].T):
            worth = self.decoder.worth(level, state)
            child, absent = self.tree.below(level, self.tree.above[target, level])
            possible = worth.gather(1, self.tree.codes[child]).masked_fill(absent, -torch.inf)
            surprises.append(torch.logsumexp(possible, dim=1) - worth.gather(1, token[:, None])[:, 0])
            if level + 1 < self.paths.shape[1]:
                state = self.decoder.after(level, state, token, context)
        return torch.stack(surprises, dim=1)

    def _known(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """State and context at each step, [b, t, width] each."""
        context = self.context(items)
        return self.encoder(self.decoder.vectors(self.paths[items.clamp(min=0)])) + context, context


@dataclass(frozen=True)
class FittedGenerator:
    """Names the items at the likeliest paths.

    Attributes:
        network: What was trained.
        repeats: Whether items of the history may be named.
        beam: Prefixes that are kept at each level, and more where more items are asked for.
    """

    network: TokenNetwork
    repeats: bool
    beam: int

    @torch.no_grad()
    def best(self, history: I32, count: int) -> I32:
        """See `FittedRecommender.best`."""
        listed = np.full((len(history), count), NO_ITEM, np.int32)
        width = max(self.beam, count + (0 if self.repeats else history.shape[1]))
        for block in row_blocks(len(history), width * self.network.widest, BLOCK_ELEMENTS):
            asked = history[block]
            barred = None if self.repeats else self._barred(asked)
            items, chance = self.network.best(self.network.asked(asked), width, count, barred)
            named = torch.where(chance > -torch.inf, items, NO_ITEM)
            listed[block, : named.shape[1]] = named.numpy()
        return listed

    def surprises(self, history: I32, target: I32) -> F32:
        """See `NextItemNetwork.surprises`."""
        return self.network.surprises(history, target)

    @torch.no_grad()
    def sid_surprises(self, history: I32, target: I32) -> F32:
        """-ln p of each code of targets, given what comes before it in the path: int32 [q, H], int32 [q] -> [q, L]."""
        levels = self.network.sid_levels
        values = np.empty((len(target), levels.stop - levels.start), np.float32)
        for block in row_blocks(len(target), 1, ASKED_TOGETHER):
            asked = torch.from_numpy(target[block].astype(np.int64))
            found = self.network.token_surprises(self.network.asked(history[block]), asked)
            values[block] = found[:, levels].numpy()
        return values

    def _barred(self, history: I32) -> Tensor:
        barred = torch.zeros(len(history), len(self.network.paths) + 1, dtype=torch.bool)
        barred.scatter_(1, torch.from_numpy(history.astype(np.int64)) % barred.shape[1], True)  # NO_ITEM is the last
        return barred


class SidGenerator:
    """Trains on SIDs alone, with the parts that are wanted: embeddings and ids of items are never seen."""

    def __init__(self, parts: GeneratorParts | None = None) -> None:
        self.parts = parts or GeneratorParts()

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedGenerator:
        """See `Recommender.fit`."""
        with seeded(effort.seed, STREAM):
            network = TokenNetwork(data.candidates, self.parts, effort)
            train_next_item(network, data, effort, progress, "generator")
        return FittedGenerator(network, returns_to_items(data.training), self.parts.beam)


def with_attributes() -> SidGenerator:
    """The generator that names attributes before the SID (Chain-of-Attribute)."""
    return SidGenerator(GeneratorParts(attributes=True))
