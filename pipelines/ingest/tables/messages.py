"""Records of dialogue in the forms in which they are passed on, as one: a list of messages.

A message is a mapping, as chat templates know it: `role` (system, user, assistant, tool, or what the record says),
`content` (text), and where there are any `name` and `tool_calls`. The message of an instruction with an input has
`instruction` and `input` as well.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]

ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "customer", "usr"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "bot", "chatbot", "chatgpt", "model", "ai", "bard", "bing", "claude"), "assistant"
    ),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "tool_response", "ipython"), "tool"),
    **dict.fromkeys(("function_call", "tool_call"), "call"),  # of the assistant, in ShareGPT's form
}
LISTS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "data")
SPEAKERS, CONTENTS = ("role", "from", "speaker", "author"), ("content", "value", "text")
SYSTEM = ("system", "system_prompt", "system_message")
# What is asked and what is answered, in the order in which they are looked for.
PAIRS = (
    (("prompt",), ("response", "completion", "answer", "output")),
    (("question", "query"), ("answer", "response", "output", "completion")),
    (("input",), ("output", "response")),
)
CONTEXT = ("input", "context")


class NotDialogue(ValueError):
    """A record of no known form, or one whose parts are not what the form says."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A record's messages, the form that it had, its keys that they were made of, and parts that are no text."""

    form: str
    messages: list[Message]
    keys: set[str]
    other_parts: Counter[str] = field(default_factory=Counter)


def conversation(record: Mapping[str, Any]) -> Conversation:
    """The conversation of a record. Raises NotDialogue.

    Forms: `messages` (a list of role and content), `sharegpt` (of from and value), `alternating` (of texts, the user's
    first), `instruction` (instruction, input, output), `prompt` (prompt and response, question and answer, ...).
    """
    other: Counter[str] = Counter()
    for key in LISTS:
        if isinstance(items := record.get(key), list) and (not items or _is_said(items[0])):
            form, found = _listed(items, other)
            return _with_system(record, Conversation(form, found, {key, "tools"}, other))
    if "instruction" in record and (answer := _first(record, ("output", "response", "answer"))):
        return _with_system(record, _instruction(record, answer, other))
    for asked, answered in PAIRS:
        if (question := _first(record, asked)) and (answer := _first(record, answered)):
            found = [*_side(record[question], "user", other), *_side(record[answer], "assistant", other)]
            return _with_system(record, Conversation("prompt", found, {question, answer}, other))
    raise NotDialogue(f"a record of {', '.join(map(str, record)) or 'no keys'}")


def _is_said(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, dict) and any(key in item for key in SPEAKERS))


def _first(record: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((key for key in keys if isinstance(record.get(key), str | list)), None)


def _listed(items: list[Any], other: Counter[str]) -> tuple[str, list[Message]]:
    if items and all(isinstance(item, str) for item in items):
        return "alternating", [_message(("user", "assistant")[i % 2], text) for i, text in enumerate(items)]
    found: list[Message] = []
    form = "messages"
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise NotDialogue(f"message {number} is no mapping")
        speaker = next((key for key in SPEAKERS if isinstance(item.get(key), str)), None)
        if speaker is None:
            raise NotDialogue(f"message {number} of {', '.join(map(str, item)) or 'no keys'}: no role")
        if speaker == "from":
            form = "sharegpt"
        found += _messages(item, item[speaker], other)
    return form, found


def _messages(item: Mapping[str, Any], role: str, other: Counter[str]) -> list[Message]:
    """The message of an item; more than one where results of tools are among its parts."""
    role = ROLES.get(role.strip().lower(), " ".join(role.split()))
    content = next((item[key] for key in CONTENTS if item.get(key) is not None), "")
    if role == "call":
        return [_message("assistant", "", tool_calls=[_call(_parsed(content))])]
    text, calls, results = _content(content, other)
    given = item.get("tool_calls")
    calls += [_call(call) for call in given] if isinstance(given, list) else []
    if isinstance(item.get("function_call"), dict):
        calls.append(_call(item["function_call"]))
    extra: Message = {"tool_calls": calls} if calls else {}
    if isinstance(item.get("name"), str):
        extra["name"] = item["name"]
    if results and not (text or calls):
        return results
    return [*results, _message(role, text, **extra)]


def _message(role: str, content: str, **extra: Any) -> Message:
    return {"role": role, "content": content, **extra}


def _content(content: Any, other: Counter[str]) -> tuple[str, list[Message], list[Message]]:
    """Text, calls of tools and their results in a message's content. Parts of another kind leave `[KIND]`."""
    if not isinstance(content, list):
        return _text(content), [], []
    texts, calls, results = [], [], []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(part, dict):
            texts.append(_text(part))
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind == "tool_use":
            calls.append(_call(part))
        elif kind == "tool_result":
            results.append(_message("tool", _content(part.get("content") or "", other)[0]))
        else:
            name = kind.removesuffix("_url") if isinstance(kind, str) and kind else "part"
            other[name] += 1
            texts.append(f"[{name}]")
    return "\n".join(texts), calls, results


def _text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _call(call: Any) -> Message:
    """A call of a tool, in the form that chat templates know."""
    function = call.get("function", call) if isinstance(call, dict) else call
    if not isinstance(function, dict):
        return {"type": "function", "function": {"name": "", "arguments": _text(function)}}
    arguments = _parsed(next((function[key] for key in ("arguments", "input", "parameters") if key in function), ""))
    return {"type": "function", "function": {"name": _text(function.get("name")), "arguments": arguments}}


def _parsed(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def _side(value: str | list[Any], role: str, other: Counter[str]) -> list[Message]:
    """One side of a pair: a text, or a list of messages."""
    if isinstance(value, str):
        return [_message(role, value)] if value.strip() else []
    return _listed(value, other)[1]


def _instruction(record: Mapping[str, Any], answer: str, other: Counter[str]) -> Conversation:
    history = record["history"] if isinstance(record.get("history"), list) else []
    found = []
    for asked, answered in (turn for turn in history if isinstance(turn, list) and len(turn) == 2):
        found += [_message("user", _text(asked)), _message("assistant", _text(answered))]
    instruction = _text(record["instruction"])
    context = next((text for key in CONTEXT if (text := _text(record.get(key))).strip()), "")
    asked = "\n\n".join(text for text in (instruction, context) if text.strip())
    if asked:
        found.append(_message("user", asked, instruction=instruction, input=context))
    found += _side(record[answer], "assistant", other)
    return Conversation("instruction", found, {"instruction", answer, *CONTEXT, "history"}, other)


def _with_system(record: Mapping[str, Any], found: Conversation) -> Conversation:
    """The conversation with the record's own system prompt in front, where it has one."""
    key = next((key for key in SYSTEM if isinstance(record.get(key), str) and record[key].strip()), None)
    if key is None or any(message["role"] == "system" for message in found.messages):
        return found
    system = _message("system", record[key])
    return Conversation(found.form, [system, *found.messages], {*found.keys, key}, found.other_parts)
