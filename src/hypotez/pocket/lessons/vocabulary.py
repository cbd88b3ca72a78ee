"""Opposites, definitions and translations of single words."""

from hypotez.pocket.conversation import Conversation, Pen, ask
from hypotez.pocket.facts.words import DEFINITIONS, dictionary, opposites
from hypotez.pocket.lessons.geography import upper

OPPOSITE = {
    "en": ["(What is|What's|Tell me|Give me|) the opposite of {x}?", 'What is the opposite of "{x}"?', "opposite of {x}", "(Which|What) word is the opposite of {x}?",
        "What is an antonym (of|for) {x}?", "The antonym of {x}?", "What is the reverse of {x}?", "What word means the contrary of {x}?"],
    "ru": ["(Какое слово противоположно|Что противоположно) слову {x}?", "(Назови|Какой|Подскажи) антоним (к слову|слова) {x}?", "антоним {x}", "Противоположное слову «{x}»?",
        "Какой антоним у слова {x}?", "Какое слово противоположно по смыслу слову {x}?", "Подбери антоним: {x}."],
}  # fmt: skip
DEFINE = {
    "en": ["(What is|What's) {x}?", "(Define|Explain) {x}.", "What does the word {w} mean?", "(Can|Could) you explain what {x} is?", "What do we call {x}, what is it?",
        "Tell me what {x} is.", "Give (me |)a definition of {x}.", "What is meant by {x}?"],
    "ru": ["Что такое {x}?", "(Объясни|Скажи), что такое {x}.", "{x} — это что?", "Что значит слово {x}?", "Дай определение: {x}.", "Как объяснить слово {x}?", "Что означает слово {x}?"],
}  # fmt: skip
TO_RUSSIAN = {
    "en": ["(How do you say|What is) {x} in Russian?", "Translate {x} (into|to) Russian.", "{x} in Russian", "What is the Russian (word |)for {x}?", 'How do I say "{x}" in Russian?',
        "Tell me the Russian word for {x}."],
    "ru": ["Как (будет|сказать) по-русски {x}?", "Переведи {x} на русский.", "{x} по-русски", "Как переводится {x}( с английского|)?", "Что значит английское слово {x}?",
        "Какой перевод у слова {x}?"],
}  # fmt: skip
TO_ENGLISH = {
    "en": ["(How do you say|What is) {x} in English?", "Translate {x} (into|to) English.", "{x} in English", "What is the English (word |)for {x}?", "What does the Russian word {x} mean?",
        "Tell me the English word for {x}."],
    "ru": ["Как (будет|сказать) {x} по-английски?", "Переведи {x} на английский.", "{x} по-английски", "Как по-английски {x}?", "Как переводится {x} на английский?",
        "Какое английское слово значит {x}?"],
}  # fmt: skip


def opposite(pen: Pen, language: str) -> Conversation:
    """A word to its opposite."""
    x, y = pen.one(opposites(language))
    reply = f"The opposite of {x} is {y}." if language == "en" else f"Антоним слова «{x}» — «{y}»."
    return ask("opposite", language, upper(pen.wording(OPPOSITE[language], x=x)), reply, y, pen)


def definition(pen: Pen, language: str) -> Conversation:
    """A word to its short definition."""
    x, y = pen.one(tuple(DEFINITIONS[language].items()))
    reply = f"{upper(x)} is {y}." if language == "en" else f"{upper(x)} — это {y}."
    word = x.removeprefix("a ").removeprefix("an ").removeprefix("the ")
    return ask("definition", language, upper(pen.wording(DEFINE[language], x=x, w=word)), reply, y, pen)


def translation(pen: Pen, language: str) -> Conversation:
    """A word to the other language, asked in either."""
    english, russian = pen.one(dictionary())
    if pen.chance(0.5):
        reply = (
            f"{upper(english)} in Russian is «{russian}»."
            if language == "en"
            else f"По-русски {english} — «{russian}»."
        )
        return ask("translation", language, upper(pen.wording(TO_RUSSIAN[language], x=english)), reply, russian, pen)
    reply = (
        f"{upper(russian)} in English is “{english}”." if language == "en" else f"По-английски {russian} — “{english}”."
    )
    return ask("translation", language, upper(pen.wording(TO_ENGLISH[language], x=russian)), reply, english, pen)
