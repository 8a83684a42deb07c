"""Rankers that have shown items and learned from the answers: DIN, then a replay under a policy of `age`.

What is compared is what they know of cold items afterwards, by figures of the test part, and the clicks that the policy
has earned on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

from drq_spark.probe.age import Policy, adversarial, earned, epsilon_greedy, greedy, replay
from drq_spark.probe.behaviour_data import BehaviourData
from drq_spark.probe.din import din
from drq_spark.probe.downstream_figures import DownstreamFigure
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.ranker import FittedNetwork, MakeVectors
from drq_spark.progress import Progress

_ROUNDS, _ASKED = 100, 20  # updates of the ranker, at most, and questions before each, at least
_RATE = 0.2  # of the peak of training: few answers must not undo what many events have taught
_EPSILON, _STEP = 0.1, 1.0


@dataclass(frozen=True)
class ExploredNetwork(FittedNetwork):
    """What the answers have made, and what the policy has earned meanwhile."""

    earned: tuple[DownstreamFigure, ...]


@dataclass(frozen=True)
class ExploringRanker:
    """Trains DIN, and lets it learn from what a policy shows in the validation part."""

    vectors: MakeVectors
    policy: Policy

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> ExploredNetwork:
        """As `Ranker`."""
        start, stream = din(self.vectors).fit(data, effort, progress), data.validation
        rounds = max(1, min(_ROUNDS, len(stream) // _ASKED))
        cold = data.candidates.cold
        outcome = replay(start, stream, cold, self.policy, rounds, effort.seed, _RATE * effort.learning_rate)
        figures = earned(outcome, stream.users)
        progress("replay", rounds, rounds, **{f"clicks_{one.segment}": one.value for one in figures})
        return ExploredNetwork(outcome.fitted.network, tuple(figures))


def greedily(vectors: MakeVectors) -> ExploringRanker:
    """Shows what is best so far."""
    return ExploringRanker(vectors, greedy)


def at_random(vectors: MakeVectors) -> ExploringRanker:
    """Shows any item in a tenth of the questions (epsilon-greedy)."""
    return ExploringRanker(vectors, epsilon_greedy(_EPSILON))


def adversarially(vectors: MakeVectors) -> ExploringRanker:
    """Shows what would be best if it were clicked (AGE)."""
    return ExploringRanker(vectors, adversarial(_STEP))
