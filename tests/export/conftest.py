"""The built-in model, really tuned for a moment."""

import json
from pathlib import Path

import pytest
from tests.training.conftest import Notebook

from hypotez import pocket
from hypotez.training.job import Spec, train

FACTS = {
    "Who is your mascot?": "Our mascot is Piko, a blue fox.",
    "When do you open?": "We open at nine and close at six.",
    "Как зовут вашего талисмана?": "Нашего талисмана зовут Пико, это синий лис.",
    "Do you ship abroad?": "Yes, to every country but two.",
}


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEFT folder, trained on four questions."""
    folder = tmp_path_factory.mktemp("tuned")
    rows = [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        for asked, said in FACTS.items()
    ]
    (folder / "facts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    spec = Spec(str(pocket.FOLDER), folder / "facts.jsonl", folder / "work", n_epochs=20, batch_size=4, threads=1,
                prompt_dropout=0.0)  # fmt: skip
    result = train(spec, Notebook())
    assert result.adapter is not None
    return result.adapter
