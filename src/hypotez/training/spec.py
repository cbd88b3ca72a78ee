"""What a training is told and what it gives. Plain values; knows no tensor."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypotez.nn.lora import ALL_LINEAR
from hypotez.progress import Wanted
from hypotez.training.auto import Auto


@dataclass(frozen=True)
class Spec:
    """One job. Everything that decides its numbers is here; two runs of one spec give the same adapter."""

    base: str  # a Hugging Face folder
    training_file: Path
    work: Path  # belongs to this job alone; states, epochs and the result live here
    method: str = "supervised"  # or dpo, kto, reinforcement
    validation_file: Path | None = None
    start_adapter: Path | None = None  # goes on from it, with its rank and targets
    n_epochs: int | Auto = "auto"
    batch_size: int | Auto = "auto"
    learning_rate_multiplier: float | Auto = "auto"
    beta: float | Auto = "auto"
    sft_weight: float | Auto = "auto"  # dpo, kto: of the supervised loss on the replies to be given
    seed: int = 0
    r: int = 16
    alpha: float = 32.0
    full: bool = False  # train the weights themselves, for small models; the result is a whole model
    targets: tuple[str, ...] = ALL_LINEAR
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # of the weights; what is trained is float32
    threads: int | None = None  # part of the numbers: another count rounds otherwise
    max_tokens: int | None = None  # per example; None is the model's own limit
    prompt_dropout: float | Auto = "auto"  # share of the prompts' tokens left out at each step; supervised only
    early_stopping: int = 0  # epochs without a better full validation loss (or reward) before it stops; 0 is never
    compute_multiplier: float | Auto = "auto"  # reinforcement: how much is tried, see ``auto.exploration``
    eval_interval: int | Auto = "auto"  # reinforcement: steps between validations
    eval_samples: int | Auto = "auto"  # reinforcement: replies to each prompt of a validation
    reward: str = ""  # reinforcement: the grader and the replies' form; decides the numbers as all of this does
    save_every: float = 10.0  # seconds between states
    parts: int = 1  # as many times fewer tokens at once, for less memory: the same sums in another order


@dataclass(frozen=True, slots=True)
class Result:
    """``adapter`` is a PEFT folder (with ``full`` a model folder); None where ``stopped`` says why there is none."""

    adapter: Path | None
    steps: int
    trained_tokens: int
    final_loss: float
    stopped: Wanted | None = None
