"""How a conversation becomes text: Jinja2 templates, built in or of a user's own.

A template has the variables that Hugging Face's chat templates have, so that a model's `chat_template.jinja` is one:
`messages` (see pipelines/ingest/messages.py), `tools`, `add_generation_prompt` (false), `bos_token` and `eos_token`
(empty: special tokens are the tokenizer's), the function `raise_exception` and the filter `tojson`, which escapes
nothing. The filter `called` writes a call of a tool as NAME(ARGUMENTS).
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipelines.ingest.tables.messages import Message
from pipelines.source_config import expand

# Each message ends in an empty line. `alpaca` is Stanford Alpaca's prompt without its opening sentences, which would
# make all conversations alike. `chatml` is OpenAI's ChatML, with calls of tools as Hermes and Qwen write them.
BUILT_IN = {
    "plain": """
{%- for message in messages -%}
{%- set speaker = (message.role[:1] | upper) ~ message.role[1:] -%}
{%- if message.content or not message.tool_calls %}{{ speaker }}: {{ message.content }}{{ '\\n\\n' }}{% endif -%}
{%- for call in message.tool_calls or [] %}{{ speaker }} calls {{ call | called }}{{ '\\n\\n' }}{% endfor -%}
{%- endfor -%}
""",
    "markdown": """
{%- for message in messages -%}
### {{ (message.role[:1] | upper) ~ message.role[1:] }}{{ '\\n\\n' }}
{%- if message.content %}{{ message.content }}{{ '\\n\\n' }}{% endif -%}
{%- for call in message.tool_calls or [] %}`{{ call | called }}`{{ '\\n\\n' }}{% endfor -%}
{%- endfor -%}
""",
    "alpaca": """
{%- for message in messages -%}
{%- if message.role == 'user' -%}
### Instruction:{{ '\\n' }}{{ message.instruction if message.input else message.content }}{{ '\\n\\n' }}
{%- if message.input %}### Input:{{ '\\n' }}{{ message.input }}{{ '\\n\\n' }}{% endif -%}
{%- elif message.role == 'assistant' -%}
### Response:{{ '\\n' }}
{%- if message.content %}{{ message.content }}{{ '\\n\\n' }}{% endif -%}
{%- for call in message.tool_calls or [] %}{{ call | called }}{{ '\\n\\n' }}{% endfor -%}
{%- elif message.role == 'system' -%}
{{ message.content }}{{ '\\n\\n' }}
{%- else -%}
### {{ (message.role[:1] | upper) ~ message.role[1:] }}:{{ '\\n' }}{{ message.content }}{{ '\\n\\n' }}
{%- endif -%}
{%- endfor -%}
""",
    "chatml": """
{%- for message in messages -%}
<|im_start|>{{ message.role }}{{ '\\n' }}{{ message.content }}
{%- for call in message.tool_calls or [] -%}
{%- if message.content or not loop.first %}{{ '\\n' }}{% endif -%}
<tool_call>{{ '\\n' }}{{ call.function | tojson }}{{ '\\n' }}</tool_call>
{%- endfor -%}
<|im_end|>{{ '\\n' }}
{%- endfor -%}
""",
}
_ASKED, _ANSWERED = "What does a mill do?", "It grinds grain."


class TemplateName(str):
    """The name of a built-in template, or the path of a Jinja2 file. Raises ValueError where it cannot be used."""

    text: str  # the template

    def __new__(cls, name: str) -> TemplateName:  # noqa: D102 (the class says it)
        self = super().__new__(cls, name)
        sample: list[Message] = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _ANSWERED}]
        try:
            self.text = _text(name)
            shown = self.render(sample)
        except Exception as error:  # of a file of the user's own: whatever its expressions raise
            raise ValueError(f"template {name!r}: {type(error).__name__}: {error}") from error
        if _ASKED not in shown and _ANSWERED not in shown:
            raise ValueError(f"template {name!r}: of `messages` there is nothing in what it makes")
        return self

    def render(self, messages: list[Message], tools: Any = None) -> str:
        """The text of a conversation. Raises what the template's expressions raise."""
        names = {"add_generation_prompt": False, "bos_token": "", "eos_token": ""}
        return _compiled(self.text).render(messages=messages, tools=tools, **names).strip("\n")

    def digests(self) -> list[str]:
        """SHA-256 of the template: what a run depends on, wherever it lies."""
        return [hashlib.sha256(self.text.encode()).hexdigest()]


def _text(name: str) -> str:
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = Path(expand(name))
    if not path.is_file():
        raise ValueError(f"neither a file nor one of {', '.join(BUILT_IN)}")
    return path.read_text(encoding="utf-8")


@lru_cache(maxsize=8)
def _compiled(text: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, autoescape=False, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _raise
    environment.filters["tojson"] = _to_json
    environment.filters["called"] = _called
    return environment.from_string(text)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _called(call: Message) -> str:
    arguments = call["function"]["arguments"]
    return f"{call['function']['name']}({arguments if isinstance(arguments, str) else _to_json(arguments)})"
