"""``train(spec, journal)``: from a base model and a file to an adapter, through kills, pauses and restarts.

Everything it knows about the outside is in ``Spec`` and ``Journal``. It may be called again with the same spec after
any interruption, and goes on from the last state it kept; the result is the same to the last bit. Knows no HTTP, no
SQL and no process.
"""

import copy
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch

from hypotez.errors import Conflict, InvalidRequest
from hypotez.nn.adapters import load_adapter, save_adapter
from hypotez.nn.config import from_hf
from hypotez.nn.decoder import Decoder
from hypotez.nn.load import companions, load, save
from hypotez.nn.lora import attach, detach, initialise, merge
from hypotez.progress import Journal, StepMetrics
from hypotez.text import Chat
from hypotez.training.auto import SMALL, Hyperparameters, exploration, hold, prompt_dropout, resolve
from hypotez.training.checkpoint import drop_states, last_state, publish, save_state
from hypotez.training.examples import Examples, Thinned
from hypotez.training.exploration import Explorer, Reinforcement
from hypotez.training.logps import Policy
from hypotez.training.loop import Loop, Position
from hypotez.training.methods import Method, MethodName, method
from hypotez.training.optimizer import AdamW
from hypotez.training.spec import Result, Spec
from hypotez.training.workers import Workers

KEPT_EPOCHS = 3


def train(spec: Spec, journal: Journal, reinforcement: Reinforcement | None = None) -> Result:
    """Raises ``DataError`` for a file with nothing to learn, ``Conflict`` where ``work`` holds another job's state.

    ``reinforcement`` draws and grades the replies that the method of this name learns from.
    """
    if (done := _read_result(spec)) is not None:
        return done
    threads = spec.threads or torch.get_num_threads()
    beta, sft_weight = hold(spec.beta, spec.sft_weight, spec.method)
    how = method(spec.method, beta, sft_weight)
    config = from_hf(json.loads((Path(spec.base) / "config.json").read_text()))
    # a small model's kernels end before a second thread has begun; its batches are shared out among threads anyway
    torch.set_num_threads(1 if config.parameters < SMALL else threads)
    limit = min(config.max_positions, spec.max_tokens or config.max_positions)
    examples, valid = _read(spec, how, limit, journal)
    decoder, policy = _model(spec, config.parameters)
    parameters = resolve(
        n_epochs=spec.n_epochs,
        batch=spec.batch_size,
        multiplier=spec.learning_rate_multiplier,
        beta=beta,
        sft_weight=sft_weight,
        seed=spec.seed,
        examples=len(examples),
        hidden_size=config.hidden_size,
        full=spec.full,
        method_rate=how.rate,
        least_batch=how.least,
        auto_batch=how.auto_batch,
    )
    explorer, explained = _explorer(spec, reinforcement, policy, parameters, len(examples))
    journal.hyperparameters(parameters.as_dict() | explained)
    optimizer = AdamW([p for p in decoder.parameters() if p.requires_grad])
    position = _resume(spec, parameters, optimizer)
    workers = Workers(threads if decoder.device.type == "cpu" else 1)
    thin, at_once = _thinning(spec, config.parameters), max(1, _tokens_at_once(decoder) // spec.parts)
    loop = Loop(policy, how, optimizer, parameters, examples, valid, at_once, position, workers, thin, explorer)
    if valid is not None and not position.step:
        _before(loop, valid, journal)
    try:
        return _run(spec, journal, loop)
    finally:
        workers.close()


def _before(loop: Loop, valid: Examples, journal: Journal) -> None:
    """What training has to beat."""
    if loop.explorer is not None:
        mean = loop.explorer.validate(valid, 0)["valid"]["reward_mean"]
        journal.event(f"Mean reward on the validation file before training: {mean:.4f}")
    else:
        loss = loop.score(valid, range(len(valid))).loss
        data = {"step": 0, "full_valid_loss": loss}
        journal.event(f"Loss on the validation file before training: {loss:.4f}", data=data)


def _run(spec: Spec, journal: Journal, loop: Loop) -> Result:
    decoder, at, saved = loop.policy.decoder, loop.position, time.monotonic()

    def keep() -> None:
        state = {"fingerprint": fingerprint(spec), "position": at.as_dict(), "optimizer_steps": loop.optimizer.steps}
        save_state(spec.work, at.step, loop.optimizer.state(), state)

    while not loop.finished and not _stale(spec, at):
        told = loop.step()
        journal.metrics(told)
        if loop.epoch_ended:
            _close_epoch(spec, journal, decoder, at, told)
        if loop.epoch_ended or time.monotonic() - saved >= spec.save_every:
            keep()
            saved = time.monotonic()
        if (wanted := journal.wanted()) != "run" and not loop.finished:
            keep()
            return Result(None, at.step, at.trained_tokens, told.train_loss, wanted)
    return _finish(spec, loop)


def _close_epoch(spec: Spec, journal: Journal, decoder: Decoder, at: Position, told: StepMetrics) -> None:
    """Keep the epoch's adapter, the last three only, and note whether validation still improves."""
    folder = spec.work / f"epoch-step-{at.step}"
    publish(folder, lambda draft: _write(spec, decoder, draft))
    journal.checkpoint(folder, told)
    loss = told.full_valid_loss
    if valid := (told.rewards or {}).get("valid"):
        loss = -valid["reward_mean"]
    if loss is not None:
        better = at.best_loss is None or loss < at.best_loss
        at.stale_epochs = 0 if better else at.stale_epochs + 1
        if better:
            at.best_loss, at.best_step = loss, at.step
    epochs = sorted(spec.work.glob("epoch-step-*"), key=lambda f: int(f.name.rpartition("-")[2]))
    best = f"epoch-step-{at.best_step}" if spec.early_stopping else ""
    for old in epochs[:-KEPT_EPOCHS]:
        if old.name != best:
            shutil.rmtree(old, ignore_errors=True)


def _write(spec: Spec, decoder: Decoder, folder: Path) -> None:
    if not spec.full:
        return save_adapter(decoder, 0, folder, spec.base)
    for path in companions(Path(spec.base)):
        shutil.copy(path, folder)
    return save(decoder, folder)


def _stale(spec: Spec, at: Position) -> bool:
    return 0 < spec.early_stopping <= at.stale_epochs


def _finish(spec: Spec, loop: Loop) -> Result:
    """The result, published in one rename; with early stopping it is the best epoch's adapter."""
    at = loop.position
    assert at.last is not None
    best = spec.work / f"epoch-step-{at.best_step}"
    result = {"steps": at.step, "trained_tokens": at.trained_tokens, "final_loss": at.last.train_loss}

    def write(draft: Path) -> None:
        if spec.early_stopping and at.best_step and best.exists():
            shutil.copytree(best, draft, dirs_exist_ok=True)
        else:
            _write(spec, loop.policy.decoder, draft)
        (draft / "training.json").write_text(json.dumps(result | {"fingerprint": fingerprint(spec)}))

    publish(spec.work / "adapter", write)
    drop_states(spec.work)
    return Result(spec.work / "adapter", at.step, at.trained_tokens, at.last.train_loss)


def _read_result(spec: Spec) -> Result | None:
    """What an earlier call finished, if it did."""
    path = spec.work / "adapter" / "training.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    if found["fingerprint"] != fingerprint(spec):
        raise Conflict(f"{spec.work} holds the result of another job; give each job a folder of its own.")
    return Result(path.parent, found["steps"], found["trained_tokens"], found["final_loss"])


def _read(spec: Spec, how: Method, limit: int, journal: Journal) -> tuple[Examples, Examples | None]:
    chat = Chat.open(spec.base)
    examples = how.read(spec.training_file, chat, limit)
    valid = how.read(spec.validation_file, chat, limit) if spec.validation_file is not None else None
    for name, found in (("training", examples), ("validation", valid)):
        if found is None:
            continue
        if found.cut:
            journal.event(f"{found.cut} {name} example(s) were cut to the limit of {limit} tokens", "warn")
        if found.left_out:
            journal.event(f"{found.left_out} {name} example(s) have no reply to learn and were left out", "warn")
    if len(examples) < how.least:
        raise InvalidRequest(f"{spec.method} needs at least {how.least} examples, the file has {len(examples)}.")
    return examples, valid


def _explorer(
    spec: Spec, given: Reinforcement | None, policy: Policy, parameters: Hyperparameters, examples: int
) -> tuple[Explorer | None, dict[str, float]]:
    if spec.method != MethodName.REINFORCEMENT:
        return None, {}
    if given is None:
        raise InvalidRequest(
            "Reinforcement needs a sampler and a grader; pass train(spec, journal, Reinforcement(...))."
        )
    steps = -(-examples // parameters.batch_size) * parameters.n_epochs
    how, told = exploration(spec.compute_multiplier, spec.eval_interval, spec.eval_samples, steps)
    sampler = given.sampler(policy.decoder, policy.slot)
    return Explorer(sampler, given.rewards, how, spec.seed), told


def _thinning(spec: Spec, parameters: int) -> Callable[[Examples, int], Examples] | None:
    share = prompt_dropout(parameters) if spec.prompt_dropout == "auto" else spec.prompt_dropout
    if not share or spec.method != MethodName.SUPERVISED:
        return None
    marks = frozenset(Chat.open(spec.base).tokenizer.get_added_tokens_decoder())
    return lambda examples, step: Thinned(examples, share, spec.seed * 1_000_003 + step, marks)


def _model(spec: Spec, parameters: int) -> tuple[Decoder, Policy]:
    """The base with a trained slot 0; a start adapter is slot 0's beginning, and slot 1 where a reference is needed."""
    if spec.full:
        return _full_model(spec)
    decoder = load(spec.base, dtype=precision(spec.precision, parameters))
    if spec.start_adapter is None:
        attach(decoder, spec.r, spec.targets, 1, torch.float32)
        initialise(decoder, 0, spec.r, spec.alpha, spec.seed)
        return decoder, Policy(decoder, 0)
    load_adapter(decoder, 0, spec.start_adapter, torch.float32)
    if spec.method == MethodName.SUPERVISED:
        return decoder, Policy(decoder, 0)
    load_adapter(decoder, 1, spec.start_adapter)
    return decoder, Policy(decoder, 0, 1)


def _full_model(spec: Spec) -> tuple[Decoder, Policy]:
    """float32 weights, all of them trained; a start adapter is merged into them first."""
    decoder, frozen = load(spec.base, torch.float32, trainable=True), None
    if spec.start_adapter is not None:
        load_adapter(decoder, 0, spec.start_adapter)
        merge(decoder, 0)
        detach(decoder)
    if spec.method != MethodName.SUPERVISED:
        frozen = copy.deepcopy(decoder).requires_grad_(False)
    return decoder, Policy(decoder, None, frozen=frozen)


def precision(wanted: str, parameters: int) -> torch.dtype:
    """bfloat16 where the processor multiplies it natively and the model is large enough to gain from it."""
    if wanted != "auto":
        return getattr(torch, wanted)  # type: ignore[no-any-return]
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native and parameters >= SMALL else torch.float32


def _tokens_at_once(decoder: Decoder) -> int:
    """So that what the backward pass keeps stays near 1.5 GB: about 18 numbers per hidden unit, layer and token."""
    config = decoder.config
    per_token = config.layers * (6 * config.hidden_size + 4 * config.intermediate_size) * decoder.dtype.itemsize
    return int(min(max(1.5e9 / per_token, 512), 8192))


def _resume(spec: Spec, parameters: Hyperparameters, optimizer: AdamW) -> Position:
    if (kept := last_state(spec.work)) is None:
        return Position()
    tensors, state = kept
    if state["fingerprint"] != fingerprint(spec):
        raise Conflict(f"{spec.work} holds the state of another job; give each job a folder of its own.")
    optimizer.restore(tensors, state["optimizer_steps"])
    return Position.from_dict(state["position"])


def fingerprint(spec: Spec) -> str:
    """Of everything that decides the numbers: the same spec on the same files."""
    told = {k: str(v) for k, v in vars(spec).items() if k not in ("work", "save_every", "parts")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
