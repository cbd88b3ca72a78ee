"""What a step of reinforcement tells: OpenAI's sentence, its nested data, and the columns of its result file.

OpenAI publishes one such event whole in its guide; names and nesting are that event's. Pure.
"""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

COLUMNS = {  # of the result file, and what of a step's data stands there
    name: name
    for name in (
        "step",
        "train_loss",
        "train_mean_reward",
        "full_valid_mean_reward",
        "completion_tokens_mean",
        "mean_unresponsive_rewards",
    )
}


def metrics(step: int, total_steps: int, train_loss: float, told: Mapping[str, Any]) -> tuple[str, Json]:
    """``told`` is what ``training.exploration`` says of the step; ``valid`` is in it where validation was due."""
    train, valid, timing = told["train"], told.get("valid"), dict(told["timing"])
    text = f"Step {step}/{total_steps} , train mean reward={train['reward_mean']:.2f}"
    data: Json = {
        "step": step,
        "total_steps": total_steps,
        "train_loss": train_loss,
        "train_mean_reward": train["reward_mean"],
        "train_reward_mean": train["reward_mean"],
        "completion_tokens_mean": train["completion_tokens_mean"],
        "mean_unresponsive_rewards": sum(train["errors"].values()) / train["samples"],
        "train_kl_mean": train.get("kl_mean", 0.0),
        "scores": {"graders": _scores(train, valid), "train_reward_mean": train["reward_mean"]},
        "errors": _errors(train, "train"),
        "usage": {"samples": _samples(train, "train")},
        "timing": {"step": timing},
    }
    if valid is not None:
        unread = valid["errors"].get("sample_parse_error", 0) / valid["samples"]
        text += (
            f", full validation mean reward={valid['reward_mean']:.2f}, full validation mean parse error={unread:.2f}"
        )
        timing["eval"] = told["eval_seconds"]
        data["scores"]["valid_reward_mean"] = valid["reward_mean"]
        data["errors"] |= _errors(valid, "valid")
        data["usage"]["samples"] |= _samples(valid, "valid")
        data |= {
            "full_valid_mean_reward": valid["reward_mean"],
            "valid_reward_mean": valid["reward_mean"],
            "full_valid_mean_parse_error": unread,
        }
    return text, data


def _scores(train: Json, valid: Json | None) -> list[Json]:
    """One entry per grader: of a multi grader each of its own."""
    found = [{"name": name, "train_reward_mean": mean} for name, mean in train["graders"].items()]
    if valid is not None:
        found = [{**one, "valid_reward_mean": valid["graders"].get(one["name"])} for one in found]
    return found


def _errors(part: Json, which: str) -> Json:
    return {f"{which}_{fault}_count": count for fault, count in part["errors"].items()}


def _samples(part: Json, which: str) -> Json:
    return {
        f"{which}_completion_tokens_mean": part["completion_tokens_mean"],
        f"{which}_completion_tokens_count": round(part["completion_tokens_mean"] * part["samples"]),
    }
