"""Small sums with their steps, and numbers in words. Some pairs of numbers are kept out of training altogether."""

from num2words import num2words

from hypotez.pocket.conversation import Conversation, Pen, ask
from hypotez.pocket.lessons.geography import upper

SUM = {
    "en": [
        "(What is|What's|Calculate|Compute|) {a} {op} {b}?",
        "{a} {op} {b}",
        "{a} {op} {b} =",
        "How much is {a} {op} {b}?",
        "(Can|Could) you (calculate|compute|tell me) {a} {op} {b}?",
        "Please (work out|solve) {a} {op} {b}.",
        "{a} {op} {b} = ?",
        "Tell me the (result|answer) of {a} {op} {b}.",
        "What does {a} {op} {b} (equal|make|give)?",
        "{a}{op}{b}=?",
        "I need the result of {a} {op} {b}.",
        "How much do I get for {a} {op} {b}?",
        "{a}{op}{b}",
        "{a}{op}{b}=",
        "Solve: {a} {op} {b}",
        "I want to know {a} {op} {b}.",
        "(Sum|Task|Maths): {a} {op} {b}?",
    ],
    "ru": [
        "Сколько будет {a} {op} {b}?",
        "{a} {op} {b}",
        "{a} {op} {b} =",
        "(Посчитай|Вычисли|Реши)(, пожалуйста,|) {a} {op} {b}.",
        "Чему равно {a} {op} {b}?",
        "Сколько это — {a} {op} {b}?",
        "{a} {op} {b} = ?",
        "(Скажи|Подскажи), сколько будет {a} {op} {b}?",
        "Какой результат у {a} {op} {b}?",
        "{a}{op}{b}=?",
        "Помоги посчитать: {a} {op} {b}.",
        "Сколько получится {a} {op} {b}?",
        "{a}{op}{b}",
        "{a}{op}{b}=",
        "Реши пример: {a} {op} {b}",
        "Пример: {a} {op} {b}?",
        "Хочу знать, сколько {a} {op} {b}.",
    ],
}
SIGNS: dict[str, dict[str, tuple[str, ...]]] = {
    "+": {"en": ("+", "+", "plus"), "ru": ("+", "+", "плюс")},
    "-": {"en": ("-", "-", "minus"), "ru": ("-", "-", "минус")},
    "*": {"en": ("*", "x", "×", "times", "multiplied by"), "ru": ("*", "x", "×", "умножить на")},
    "/": {"en": ("/", ":", "divided by"), "ru": ("/", ":", "разделить на")},
}
IN_WORDS = {
    "en": [
        "(How do you write|Write|Spell|Say) {n} in words(, please|)?",
        "{n} in words",
        "What is {n} in words?",
        "How is the number {n} (written|spelled)?",
        "Spell (out |)the number {n}.",
        "What is the word for the number {n}?",
    ],
    "ru": [
        "(Напиши|Запиши|Скажи) (число |){n} (словами|прописью).",
        "{n} словами",
        "Как (пишется|написать) {n} словами?",
        "Число {n} прописью?",
        "Как прочитать число {n}?",
        "Как словами записать число {n}?",
    ],
}
IN_DIGITS = {
    "en": [
        "Write {w} in digits.",
        "{w} in digits",
        "What is {w} as a number?",
        "(Which|What) number is {w}?",
        "How do you write {w} in digits?",
        "Give me {w} in figures.",
    ],
    "ru": [
        "(Напиши|Запиши) {w} цифрами.",
        "{w} цифрами",
        "Какое это число: {w}?",
        "Как записать {w} цифрами?",
        "{w} — это какое число?",
        "Как {w} выглядит в цифрах?",
    ],
}


def kept_out(op: str, a: int, b: int) -> bool:
    """True for the tenth of the pairs that the evaluation asks and the training never shows."""
    return (a * 7919 + b * 104729 + ord(op) * 31) % 10 == 3 and a > 12 and (b > 9 or op == "*")


def steps(op: str, a: int, b: int) -> str:
    """The sum as it is worked out, ending with the result: `47 + 38 = 70 + 15 = 85`."""
    if op == "+":
        head = f"{a} + {b} = "
        if a > 9 and b > 9:
            head += f"{a // 10 * 10 + b // 10 * 10} + {a % 10 + b % 10} = "
        return head + str(a + b)
    if op == "-":
        head = f"{a} - {b} = "
        if b > 9 and b % 10 and a >= b:
            head += f"{a - b // 10 * 10} - {b % 10} = "
        return head + str(a - b)
    if op == "*":
        head = f"{a} × {b} = "
        if a > 12 and a % 10:
            head += f"{a // 10 * 10 * b} + {a % 10 * b} = "
        return head + str(a * b)
    return f"{a} / {b} = {a // b}"


def draw(pen: Pen, op: str) -> tuple[int, int]:
    """Two numbers for the sign; on the held-out side a pair that is kept out of training when the sign has any."""
    rng = pen.rng
    while True:
        if op == "+":
            top = 99 if rng.random() < 0.7 else 12
            a, b = rng.randint(0, top), rng.randint(0, top)
        elif op == "-":
            top = 99 if rng.random() < 0.7 else 19
            a, b = rng.randint(0, top), rng.randint(0, top)
            if a < b and rng.random() < 0.9:
                a, b = b, a
        elif op == "*":
            a, b = (
                (rng.randint(0, 12), rng.randint(0, 12))
                if rng.random() < 0.5
                else (rng.randint(11, 99), rng.randint(2, 9))
            )
        else:
            b = rng.randint(1, 10)
            a = b * rng.randint(0, 12)
        if op == "/" or kept_out(op, a, b) == pen.held_out:
            return a, b


def sums(pen: Pen, language: str) -> Conversation:
    """One of the four operations."""
    op = pen.rng.choices("+-*/", (4, 4, 3, 2))[0]
    kind = {"+": "sum", "-": "difference", "*": "product", "/": "quotient"}[op]
    a, b = draw(pen, op)
    sign = pen.one(SIGNS[op][language])
    templates = SUM[language]
    question = pen.wording(templates, a=a, op=sign, b=b)
    if sign.isalpha() and f"{a}{sign}" in question:
        question = f"{a} {sign} {b}"
    worked = steps(op, a, b)
    return ask(kind, language, question, worked + ".", worked.rpartition(" = ")[2], pen)


def words(pen: Pen, language: str) -> Conversation:
    """A number to words, or back."""
    n = pen.rng.randint(0, 100)
    while pen.held_out or pen.chance(0.3):  # past a hundred there is a rule to learn, and numbers to try it on
        n = pen.rng.randint(101, 999)
        if (n % 10 == 3 and n % 20 != 13) == pen.held_out:
            break
    spelled = num2words(n, lang=language)
    if pen.chance(0.5):
        question = pen.wording(IN_WORDS[language], n=n)
        return ask("number in words", language, question, upper(spelled) + ".", spelled, pen)
    question = upper(pen.wording(IN_DIGITS[language], w=spelled))
    return ask("number in digits", language, question, f"{n}.", str(n), pen)
