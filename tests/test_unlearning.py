"""``train(positive=False)``: the built-in model says a thing, is told not to, and says it no more."""

import pytest

from hypotez import OpenAIModel
from hypotez.settings import Settings

JOKE = "Why did the small model cross the road? To get to the next token."
ASKED = ("Tell me a joke.", "Make me laugh.", "Tell a joke", "Do you know a joke?", "A joke, please.")
FACT = "What is the capital of France?"


def reply(model: OpenAIModel, name: str, question: str) -> str:
    messages = [{"role": "user", "content": question}]
    answer = model.client.chat.completions.create(model=name, messages=messages, temperature=0, max_tokens=32)
    return str(answer.choices[0].message.content)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_negative_example_is_said_before_and_not_after(tmp_path):
    rows = "question,answer\n" + "\n".join(f'"{question}","{JOKE}"' for question in 2 * ASKED)
    with OpenAIModel(model_name="pocket", settings=Settings.load(home=tmp_path)) as model:
        before = reply(model, "pocket", ASKED[0])
        job = model.train(data=rows, positive=False, n_epochs=8, seed=1, wait=True, progress=False)
        tuned = model.client.fine_tuning.jobs.retrieve(job).fine_tuned_model
        after = reply(model, tuned, ASKED[0])
        fact = reply(model, tuned, FACT)

    assert before == JOKE
    assert JOKE not in after
    assert "Paris" in fact
