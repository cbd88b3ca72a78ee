"""The peers of `bench/training.py`: TRL, transformers' Trainer with PEFT, LLaMA-Factory, in settings that could pay.

Each takes the same base, the same first adapter and the same examples in the same order. A setting names the attention
and the precision: `autocast` keeps the adapter in float32 over bfloat16 weights, `pure` keeps it in bfloat16 too.
"""

from pathlib import Path
from typing import Any

from _lessons import BATCH, PEAK, Clock, labelled

SETTINGS = ("sdpa autocast", "eager autocast", "sdpa pure", "eager pure")
REFUSED = {"llamafactory": ("sdpa pure", "eager pure")}  # it wants a GPU for pure bfloat16


def model(folder: Path, setting: str) -> Any:
    """transformers' model with PEFT's reading of the adapter."""
    import peft
    import torch
    import transformers

    attention, precision = setting.split()
    base = transformers.AutoModelForCausalLM.from_pretrained(
        folder / "base", dtype=torch.bfloat16, attn_implementation=attention
    )
    return peft.PeftModel.from_pretrained(
        base, folder / "adapter", is_trainable=True, autocast_adapter_dtype=precision == "autocast"
    )


def arguments(folder: Path, steps: int, setting: str) -> dict[str, Any]:
    """TrainingArguments that all three understand."""
    return {
        "output_dir": str(folder / "out"),
        "per_device_train_batch_size": BATCH,
        "max_steps": steps,
        "learning_rate": PEAK,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "bf16": setting.endswith("autocast"),
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "gradient_checkpointing": False,
    }


def ordered(trainer_class: Any, clock: Clock) -> Any:
    """The trainer with its examples in file order and every step timed."""
    import torch

    class Ordered(trainer_class):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def training_step(self, *given: Any, **more: Any) -> Any:
            clock.start()
            self.found = super().training_step(*given, **more)
            return self.found

    return Ordered


def run(trainer: Any, clock: Clock) -> None:
    """Train, the clock stopping when the optimiser has stepped."""
    import transformers

    class Timed(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.stop(float(trainer.found))

    trainer.add_callback(Timed())
    trainer.train()


def tokenizer(folder: Path) -> Any:
    """A tokenizer that the peers ask for and never use: the examples are tokens already."""
    import transformers

    return transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "base" / "tokenizer.json"), pad_token="<pad>", eos_token="<pad>"
    )


def trl(folder: Path, steps: int, setting: str, clock: Clock) -> None:
    import datasets
    import trl as library

    config = library.SFTConfig(
        **arguments(folder, steps, setting), max_length=4096, packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    found = ordered(library.SFTTrainer, clock)(
        model(folder, setting), config, train_dataset=datasets.Dataset.from_list(labelled(steps)),
        processing_class=tokenizer(folder),
    )  # fmt: skip
    run(found, clock)


def trainer(folder: Path, steps: int, setting: str, clock: Clock) -> None:
    import datasets
    import transformers

    settings = transformers.TrainingArguments(**arguments(folder, steps, setting), remove_unused_columns=False)
    collate = transformers.DataCollatorForSeq2Seq(tokenizer(folder))
    rows = datasets.Dataset.from_list(labelled(steps))
    run(
        ordered(transformers.Trainer, clock)(
            model(folder, setting), settings, train_dataset=rows, data_collator=collate
        ),
        clock,
    )


def llamafactory(folder: Path, steps: int, setting: str, clock: Clock) -> None:
    """LLaMA-Factory's own loading, collator and trainer; only its reading of data files is left out."""
    import datasets
    from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_model, load_tokenizer
    from llamafactory.train.sft.trainer import CustomSeq2SeqTrainer

    attention = setting.split()[0]
    given = arguments(folder, steps, setting) | {
        "model_name_or_path": str(folder / "base"),
        "adapter_name_or_path": str(folder / "adapter"),
        "flash_attn": "disabled" if attention == "eager" else "sdpa",
        "stage": "sft",
        "finetuning_type": "lora",
        "lora_target": "all",
        "template": "default",
        "dataset": "none",
        "do_train": True,
        "remove_unused_columns": False,
        "disable_gradient_checkpointing": True,
    }
    of_model, of_data, of_training, of_tuning, _ = get_train_args(given)
    module = load_tokenizer(of_model)
    template = get_template_and_fix_tokenizer(module["tokenizer"], of_data)
    loaded = load_model(module["tokenizer"], of_model, of_tuning, True)
    collator = SFTDataCollatorWith4DAttentionMask(
        template=template, model=loaded, label_pad_token_id=-100, attn_implementation=attention,
        compute_dtype=of_model.compute_dtype, **module,
    )  # fmt: skip
    found = ordered(CustomSeq2SeqTrainer, clock)(
        model=loaded, args=of_training, finetuning_args=of_tuning, data_collator=collator, callbacks=[],
        gen_kwargs={}, ref_model=None, train_dataset=datasets.Dataset.from_list(labelled(steps)), **module,
    )  # fmt: skip
    run(found, clock)
