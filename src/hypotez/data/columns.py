"""Which column is the question and which the answer: the names people give them, in English and Russian.

Pure: names in, roles out.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from hypotez.errors import DataError, Fault


class Role(StrEnum):
    PROMPT = "prompt"
    COMPLETION = "completion"
    CONTEXT = "context"  # added below the prompt: Alpaca's input
    SYSTEM = "system"
    PREFERRED = "preferred"
    NON_PREFERRED = "non_preferred"
    LABEL = "label"


_NAMES: dict[Role, str] = {
    Role.PROMPT: "prompt, question, user, instruction, query, request, q, user message, "
    "вопрос, запрос, промпт, пользователь, инструкция, задание, реплика пользователя, вопросы",
    Role.COMPLETION: "completion, answer, output, response, assistant, reply, a, assistant message, model, "
    "ответ, вывод, ассистент, помощник, ответ модели, реплика ассистента, решение, ответы",
    Role.CONTEXT: "input, context, ввод, вход, контекст, входные данные",
    Role.SYSTEM: "system, system prompt, system instruction, system message, "
    "система, системная инструкция, системный промпт, роль",
    Role.PREFERRED: "chosen, preferred, preferred output, preferred completion, better, good answer, "
    "лучше, хороший ответ, предпочтительный ответ, лучший ответ",
    Role.NON_PREFERRED: "rejected, non preferred, non preferred output, non preferred completion, worse, bad answer, "
    "хуже, плохой ответ, отвергнутый ответ, худший ответ",
    Role.LABEL: "label, desirable, is good, метка, желательно",
}
_ROLES = {name.strip(): role for role, names in _NAMES.items() for name in names.split(",")}


def recognise(
    names: Iterable[str], given: Mapping[str, str] | None = None, *, file: str = "data", answered: bool = True
) -> dict[str, Role]:
    """Column name to role, for the columns that have one.

    ``given`` is the user's own ``{"prompt": "my column", ...}`` and wins. Raises ``DataError`` when no
    question or, where examples are ``answered``, no answer can be told, naming the columns there are.
    """
    names = list(names)
    roles = _given(names, given or {}, file)
    for name in names:
        role = _ROLES.get(_plain(name))
        if role and role not in roles.values() and name not in roles:
            roles[name] = role
    if Role.PROMPT not in roles.values():  # "input, output" has no instruction: then the input is the question
        roles = {name: Role.PROMPT if role is Role.CONTEXT else role for name, role in roles.items()}
    if not (is_complete(roles) if answered else Role.PROMPT in roles.values()):
        raise _unrecognised(names, file, "question and answer columns" if answered else "question column")
    return roles


def is_complete(roles: Mapping[str, Role]) -> bool:
    """Whether examples can be made: a question, and an answer or a pair of them."""
    has = set(roles.values())
    return Role.PROMPT in has and (Role.COMPLETION in has or {Role.PREFERRED, Role.NON_PREFERRED} <= has)


def knows(name: str) -> bool:
    return _plain(name) in _ROLES


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", name).strip("\ufeff \"'").casefold().replace("ё", "е")


def _given(names: list[str], given: Mapping[str, str], file: str) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for role, name in given.items():
        if role not in list(Role):
            raise DataError(f"columns: '{role}' is not one of {', '.join(Role)}.", param="columns")
        if name not in names:
            what = f"there is no column '{name}'; there are: {', '.join(names)}"
            raise DataError(f"{file}: {what}.", param="columns", faults=[Fault(file, 1, None, what)])
        roles[name] = Role(role)
    return roles


def _unrecognised(names: list[str], file: str, wanted: str) -> DataError:
    there = ", ".join(repr(name) for name in names) or "none"
    what = f"no {wanted} among {there}"
    return DataError(
        f"{file}:1: {what}.",
        faults=[Fault(file, 1, None, what)],
        hint="Name them question and answer (вопрос и ответ), or say which is which: "
        "columns={'prompt': '...', 'completion': '...'}; on the command line --columns QUESTION,ANSWER.",
    )
