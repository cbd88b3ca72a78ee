"""Calling functions with random names and arguments, and putting their results into words."""

import json
from typing import Any

from hypotez.pocket.conversation import Conversation, Pen, Turn
from hypotez.pocket.lessons import fill

# name, description, argument, question, question's value, reply to the result
FUNCTIONS = {
    "en": [
        ("get_weather", "Weather in a city", "city", ["What is the weather in {v}?", "Is it warm in {v}?", "How is the weather in {v} today?"], "city", "weather"),
        ("get_order", "Status of an order", "order_id", ["Where is my order {v}?", "What is the status of order {v}?", "Check order {v}."], "number", "status"),
        ("get_price", "Price of a product", "product", ["How much is the {v}?", "What does the {v} cost?", "Look up the price of the {v}."], "product", "price"),
        ("find_person", "Find a person", "name", ["Find {v}.", "Who is {v}?", "Look up {v} please."], "name", "result"),
        ("search", "Search for something", "query", ["Search for {v}.", "Look for {v}.", "Find something about {v}."], "product", "result"),
        ("get_time", "Time in a city", "city", ["What time is it in {v}?", "Tell me the time in {v}."], "city", "time"),
    ],
    "ru": [
        ("get_weather", "Погода в городе", "city", ["Какая погода, город {v}?", "Погода: {v}?"], "city", "weather"),
        ("get_order", "Статус заказа", "order_id", ["Где заказ {v}?", "Какой статус у заказа {v}?"], "number", "status"),
        ("get_price", "Цена товара", "product", ["Сколько стоит {v}?", "Найди цену: {v}."], "product", "price"),
    ],
}  # fmt: skip
RESULTS = {
    "weather": ("sunny", "rain", "snow", "cloudy", "windy"),
    "status": ("shipped", "packed", "delivered", "waiting"),
    "result": ("found", "nothing", "one match"),
}


def tool(pen: Pen, language: str) -> Conversation:
    """One or two functions, the right one called; half of the time its result comes back and is told."""
    chosen = pen.rng.sample(FUNCTIONS[language], pen.rng.choice((1, 1, 2)))
    name, _, argument, questions, slot, key = chosen[0]
    renamed = {
        f[0]: f[0] if pen.chance(0.6) else f"{fill.syllables(pen.rng).lower()}_{f[0].split('_')[-1]}" for f in chosen
    }
    pen.rng.shuffle(chosen)
    drawn = fill.fillers(pen.rng, language, "shop")
    value = {
        "city": drawn["c"],
        "number": str(pen.rng.randint(1, 9999)),
        "product": drawn["prod"],
        "name": drawn["nm"],
    }[slot]
    call = json.dumps({"name": renamed[name], "arguments": {argument: value}}, ensure_ascii=False)
    turns = [Turn("user", pen.one(questions).format(v=value)), Turn("assistant", f"<tool_call>\n{call}\n</tool_call>")]
    expected = call
    if pen.chance(0.4):
        result = str(pen.one(RESULTS[key])) if key in RESULTS else str(drawn["p"] if key == "price" else drawn["t1"])
        reply = f"The {key} for {value}: {result}." if language == "en" else f"{value}: {result}."
        turns += [Turn("tool", json.dumps({key: result}, ensure_ascii=False)), Turn("assistant", reply)]
        expected = reply.rstrip(".")
    return Conversation(
        "tools", language, tuple(turns), expected, tuple(_definition(renamed[f[0]], f[1], f[2]) for f in chosen)
    )


def _definition(name: str, description: str, argument: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
