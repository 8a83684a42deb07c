"""How codebooks and encoders are trained: the sections of `train`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drq_spark.config.section import LATER, Natural, Positive, Section, Share
from drq_spark.kinds import words_of_default


class KMeans(Section):
    """Dataset-level residual k-means, shared by every tokenizer that has its books fitted that way."""

    start_iterations: Positive = Field(
        4, description="Lloyd iterations from random items, with restarts, before codes are balanced"
    )
    balance_iterations: Annotated[int, Field(ge=0)] = Field(
        20,
        description="Iterations in which a price on much used codes spreads the items; it falls to what tokenizer.balance keeps",
    )
    final_iterations: Positive = Field(
        4, description="Iterations that end the fit of a level: plain Lloyd, or of the prices alone where they are kept"
    )
    start_price: Annotated[float, Field(ge=0.0)] = Field(
        1.5,
        description="Weight of the price when it starts to fall, in typical gaps between the best and the second best code",
    )
    restart_share: Share = Field(
        0.2, description="A code with at most this share of the mean count starts again elsewhere"
    )
    beam_rounds: Annotated[int, Field(ge=0)] = Field(
        64,
        description="Rounds of joint refinement of all levels on the codes of the beam, where tokenizer.beam is above 1: at most, fewer where items a code are few or codes are thousands; 0 for none",
    )
    beam_noise: Annotated[float, Field(ge=0.0)] = Field(
        0.7,
        description="Noise on the codewords in the first of these rounds, in RMS of what the codes leave; it falls to 0",
    )
    apart_rounds: Annotated[Annotated[int, Field(ge=0)] | None, LATER] = Field(
        None,
        description=f"Rounds at the end in which the books are solved for SIDs that no two items of the sample share; {words_of_default('apart_rounds')}",
    )


class DrqVae(Section):
    """The continuous VAE of `drq_vae` (DRQ, arXiv 2606.01844): it starts at PCA and is frozen before the books are fitted."""

    latent_dim: Positive = Field(128, description="d; at most the dimension of the embeddings")
    hidden: Positive = Field(512, description="Width of the hidden layer of encoder and decoder")
    beta: Annotated[float, Field(ge=0.0)] = Field(
        0.1, description="Weight of the KL term, in coordinates of unit variance"
    )
    epochs: Positive = Field(20, description="Passes over the sample; the best held-out state is kept")
    batch_size: Positive = Field(512, description="Rows a step")
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(5e-4, description="Adam's peak learning rate")


class EndToEnd(Section):
    """What the tokenizers have in common whose books are trained together with encoder and decoder."""

    latent_dim: Positive = Field(256, description="d; at most the dimension of the embeddings")
    hidden: Positive = Field(512, description="Width of the hidden layer of encoder and decoder")
    steps: Positive = Field(4000, description="Optimizer steps, at most `epochs` passes over the sample")
    epochs: Positive = Field(20, description="Passes over the sample, at most; the best held-out state is kept")
    batch_size: Positive = Field(512, description="Rows a step")
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(1e-3, description="Adam's peak learning rate")
    commitment: Annotated[float, Field(ge=0.0)] = Field(
        0.25, description="Weight of the pull of the latents towards their codewords"
    )


class RqVae(EndToEnd):
    """The RQ-VAE of `rq_vae` (Lee et al. 2022, TIGER): books learned by gradient, started at PCA and k-means."""

    estimator: Literal["straight_through", "rotation"] = Field(
        "straight_through", description="How gradients pass the codes: copied, or turned and scaled (rotation trick)"
    )
    start: Literal["kmeans", "random"] = Field(
        "kmeans", description="First books: k-means of the first latents; random is the naive one and collapses"
    )


class RqpVae(EndToEnd):
    """The RQP-VAE of `rqp_vae`: an RQ-VAE whose books are moving averages, with revival of dead codes."""

    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.99, description="Of the moving averages, a step")
    revive_below: Share = Field(
        0.1, description="A code used less than this share of the mean moves to a random residual of the batch"
    )


class Contrast(Section):
    """What the trainings on pairs of items that follow one another (InfoNCE) have in common."""

    steps: Positive = Field(1200, description="Optimizer steps, at most 8 passes over the pairs")
    batch_size: Annotated[int, Field(ge=2)] = Field(
        1024, description="Pairs a step, fewer where there are few; the others of a batch are negatives"
    )
    temperature: Annotated[float, Field(gt=0.0)] = Field(0.1, description="Of the softmax over a batch")
    popularity_correction: Share = Field(
        0.5, description="Share of ln q (q: how often an item is in a pair) that is taken off its logit"
    )


class Behaviour(Contrast):
    """The behaviour encoder of `drq`: items that follow one another come near (InfoNCE over the pairs of events)."""

    dim: Positive = Field(64, description="Length of the behaviour part of the latent")
    hidden: Positive = Field(256, description="Width of the hidden layer")
    steps: Positive = Field(600, description="Optimizer steps, at most 8 passes over the pairs")
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(3e-3, description="AdamW's peak learning rate")
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(1e-3, description="AdamW's weight decay")


class DrqVaeCl(Contrast):
    """The contrastive stage of `drq_vae_cl`, after the VAE of `drq_vae` and before the books."""

    weight: Annotated[float, Field(ge=0.0)] = Field(
        0.1, description="Of InfoNCE beside the loss of the VAE: behaviour against fidelity"
    )
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(5e-4, description="Adam's peak learning rate")


class Drq(Section):
    """`drq`: how much fidelity the behaviour may cost."""

    fidelity_slack: Share = Field(
        0.02, description="Share by which behaviour may raise the relative error of items that the fit did not see"
    )


class Stability(Section):
    """A retraining (`drq nightly --retrain`): how much fidelity may be given up for SIDs that stay."""

    budget: Annotated[Share, LATER] = Field(
        0.01,
        description="Share by which the relative error of items that the fit did not see may be above that of a free fit",
    )


class Train(Section):
    """How the driver trains."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the first GPU where there is one")
    threads: Positive | None = Field(None, description="CPU threads; all cores without it")
    max_memory_gb: Annotated[float, Field(gt=0.0)] = Field(
        4.0,
        description="Training that needs more than this on the driver, or than three quarters of the memory of its machine or container, is refused before the first job",
    )
    refine: Annotated[Natural, LATER] = Field(
        0,
        description="Passes over the whole catalogue after the fit: the first solves what codes are decoded to for all items, later ones the books too, with the prices of their codes; each costs what an assignment does, and one that betters the error of unseen items no more is the last",
    )
    kmeans: KMeans = KMeans()
    drq: Drq = Drq()
    stability: Stability = Stability()
    behaviour: Behaviour = Behaviour()
    drq_vae: DrqVae = DrqVae()
    drq_vae_cl: DrqVaeCl = DrqVaeCl()
    rq_vae: RqVae = RqVae()
    rqp_vae: RqpVae = RqpVae()
