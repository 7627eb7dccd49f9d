import json
from pathlib import Path

import pytest
from ingest_cases import failures, gates, read_all, texts
from mutations import FILES, survives

from pipelines.errors import ConfigError
from pipelines.ingest.options import parse
from pipelines.ingest.source import check_options
from pipelines.ingest.tables.dialogue import read_dialogue
from pipelines.ingest.tables.dialogue_templates import BUILT_IN, TemplateName
from pipelines.ingest.tables.messages import NotDialogue, conversation

ASKED, ANSWERED = "What does a mill do?", "It grinds grain."
TWO = [("user", ASKED), ("assistant", ANSWERED)]
ROLE = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]
SHAREGPT = [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWERED}]
CALL = {"id": "1", "type": "function", "function": {"name": "weigh", "arguments": '{"sacks": 3}'}}


def said(record: dict) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in conversation(record).messages]


def read(tmp_path: Path, *records: object, **options: object):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_all("dialogue", path, **options)


@pytest.mark.parametrize(
    ("record", "form"),
    [
        ({"messages": ROLE}, "messages"),
        ({"conversations": ROLE}, "messages"),
        ({"conversation": SHAREGPT}, "sharegpt"),
        ({"conversations": SHAREGPT, "system": ""}, "sharegpt"),
        ({"conversations": [{"from": "Human ", "value": ASKED}, {"from": "ChatGPT", "value": ANSWERED}]}, "sharegpt"),
        ({"id": "0", "data": [ASKED, ANSWERED]}, "alternating"),
        ({"prompt": ASKED, "response": ANSWERED}, "prompt"),
        ({"prompt": ASKED, "completion": ANSWERED}, "prompt"),
        ({"prompt": ROLE[:1], "completion": ROLE[1:]}, "prompt"),
        ({"question": ASKED, "answer": ANSWERED}, "prompt"),
        ({"input": ASKED, "output": ANSWERED}, "prompt"),
        ({"instruction": ASKED, "output": ANSWERED}, "instruction"),
        ({"instruction": ASKED, "input": "", "output": ANSWERED}, "instruction"),
        ({"instruction": ASKED, "context": None, "response": ANSWERED, "category": "qa"}, "instruction"),
    ],
)
def test_forms(record: dict, form: str):
    assert conversation(record).form == form
    assert said(record) == TWO


def test_an_input_follows_its_instruction_and_a_history_goes_before_both():
    record = {"instruction": "Sum up.", "input": "Long text.", "output": "Text.", "history": [["Hi", "Hello"], ["a"]]}
    assert said(record) == [
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Sum up.\n\nLong text."),
        ("assistant", "Text."),
    ]


@pytest.mark.parametrize("key", ["system", "system_prompt"])
@pytest.mark.parametrize("record", [{"conversations": SHAREGPT}, {"question": ASKED, "response": ANSWERED}])
def test_a_record_s_system_prompt_goes_first(key: str, record: dict):
    assert said({key: "Be brief.", **record}) == [("system", "Be brief."), *TWO]
    own = {"messages": [{"role": "developer", "content": "Mine."}, *ROLE], key: "Be brief."}
    assert said(own) == [("system", "Mine."), *TWO]


def test_parts_are_joined_and_what_is_no_text_is_told(tmp_path: Path):
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "input_audio"},
        "and?",
    ]
    (row,) = read(tmp_path, {"messages": [{"role": "user", "content": parts}, ROLE[1]]})
    assert row.text.decode() == f"User: Look:\n[image]\n[image]\n[input_audio]\nand?\n\nAssistant: {ANSWERED}"
    assert row.record.meta["other_parts"] == "image 2, input_audio 1"


@pytest.mark.parametrize(
    "messages",
    [
        [
            {"role": "user", "content": "How heavy?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": "150 kg"},
            {"role": "assistant", "content": "150 kg."},
        ],
        [
            {"from": "human", "value": "How heavy?"},
            {"from": "function_call", "value": '{"name": "weigh", "arguments": {"sacks": 3}}'},
            {"from": "observation", "value": "150 kg"},
            {"from": "gpt", "value": "150 kg."},
        ],
        [
            {"role": "user", "content": "How heavy?"},
            {"role": "assistant", "content": [{"type": "tool_use", "name": "weigh", "input": {"sacks": 3}}]},
            {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "150 kg"}]}]},
            {"role": "assistant", "content": "150 kg."},
        ],
    ],
)
def test_calls_of_tools_and_their_results(tmp_path: Path, messages: list):
    (row,) = read(tmp_path, {"messages": messages})
    expected = 'User: How heavy?\n\nAssistant calls weigh({"sacks": 3})\n\nTool: 150 kg\n\nAssistant: 150 kg.'
    assert row.text.decode() == expected
    assert row.record.meta["roles"] == "user, assistant, tool"
    assert row.record.meta["turns"] == "4"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "a record of no keys"),
        ({"title": "x", "body": "y"}, "a record of title, body"),
        ({"text": "plain", "data": [{"a": 1}]}, "a record of text, data"),
        ({"messages": [*ROLE, "x"]}, "message 3 is no mapping"),
        ({"messages": [*ROLE, {"content": "x"}]}, "message 3 of content: no role"),
        ({"prompt": "x", "response": None}, "a record of prompt, response"),
        ({"messages": {"role": "user"}}, "a record of messages"),
    ],
)
def test_unknown_forms_name_what_they_hold(tmp_path: Path, record: dict, message: str):
    with pytest.raises(NotDialogue, match=message):
        conversation(record)
    (row,) = read(tmp_path, record)
    assert (row.record.reason, row.record.detail) == ("no known form of dialogue", message)


def test_rows(tmp_path: Path):
    records = [
        {"messages": ROLE, "id": "a", "topic": "mills", "score": 3, "tools": []},
        {"messages": [], "id": "b"},
        ROLE,
        "text",
        {"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": None}]},
    ]
    result = read(tmp_path, *records)
    assert texts(result) == [f"User: {ASKED}\n\nAssistant: {ANSWERED}"] * 2
    assert gates(result) == ["empty_conversation"] * 2
    assert failures(result) == [("record", "not a JSON object")]
    assert result[0].record.meta == {
        "form": "messages",
        "turns": "2",
        "roles": "user, assistant",
        "id": "a",
        "topic": "mills",
        "score": "3",
        "group": "x.jsonl#1",
    }


def test_columns_say_where_a_conversation_comes_from(tmp_path: Path):
    record = {"prompt": ASKED, "response": ANSWERED, "id": 7, "link": "http://x/7", "topic": "mills"}
    first, second = read(tmp_path, record, record, columns={"id": "id", "uri": "link", "group": "topic", "meta": []})
    assert (first.record.position, first.record.uri) == ("id=7", "http://x/7")
    assert first.record.meta == {"form": "prompt", "turns": "2", "roles": "user, assistant", "group": "mills"}
    assert second.record.reason == "the id occurs twice"


def test_an_array_of_conversations(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"conversations": SHAREGPT}] * 3, indent=1))
    assert len(texts(read_all("dialogue", path))) == 3


SYSTEM = [{"role": "system", "content": "Be brief."}]
WITH_INPUT = {"instruction": "Sum up.", "input": "Long.", "output": "L."}


@pytest.mark.parametrize(
    ("template", "record", "expected"),
    [
        ("plain", {"messages": SYSTEM + ROLE}, f"System: Be brief.\n\nUser: {ASKED}\n\nAssistant: {ANSWERED}"),
        ("plain", {"messages": [{"role": "GPT-4 critic", "content": " a\nb "}]}, "GPT-4 critic:  a\nb"),
        (
            "markdown",
            {"messages": SYSTEM + ROLE},
            f"### System\n\nBe brief.\n\n### User\n\n{ASKED}\n\n### Assistant\n\n{ANSWERED}",
        ),
        (
            "alpaca",
            {"messages": SYSTEM + ROLE},
            f"Be brief.\n\n### Instruction:\n{ASKED}\n\n### Response:\n{ANSWERED}",
        ),
        ("alpaca", WITH_INPUT, "### Instruction:\nSum up.\n\n### Input:\nLong.\n\n### Response:\nL."),
        (
            "chatml",
            {"messages": ROLE},
            f"<|im_start|>user\n{ASKED}<|im_end|>\n<|im_start|>assistant\n{ANSWERED}<|im_end|>",
        ),
        (
            "chatml",
            {"messages": [{"role": "assistant", "content": "I weigh.", "tool_calls": [CALL]}]},
            "<|im_start|>assistant\nI weigh.\n<tool_call>\n"
            '{"name": "weigh", "arguments": {"sacks": 3}}\n</tool_call><|im_end|>',
        ),
        ("plain", {"messages": [{"role": "user", "content": "{{ 7 * 7 }} <b>&amp;"}]}, "User: {{ 7 * 7 }} <b>&amp;"),
    ],
)
def test_built_in_templates(tmp_path: Path, template: str, record: dict, expected: str):
    assert texts(read(tmp_path, record, template=template))[0].rstrip() == expected


@pytest.mark.parametrize("template", BUILT_IN)
def test_every_template_shows_all_of_a_conversation(template: str):
    calls = [{"type": "function", "function": {"name": "weigh", "arguments": {"sacks": 3}}}]
    messages = [{"role": role, "content": f"Content of {role}."} for role in ("system", "user", "tool", "miller")]
    messages.append({"role": "assistant", "content": "", "tool_calls": calls})
    text = TemplateName(template).render(messages)
    for word in ("system.", "user.", "tool.", "miller.", "weigh", "sacks"):
        assert word in text


CHAT_TEMPLATE = """
{%- if tools %}{{ tools | tojson }}{% endif %}
{%- for message in messages %}
    {%- if loop.first and message['role'] == 'assistant' %}{{ raise_exception('The user speaks first: ü') }}{% endif %}
    {%- if message.role == 'tool' %}{% continue %}{% endif %}
    {{- bos_token }}[{{ message['role'] }}] {{ message['content'] }}{{ eos_token }}
{% endfor %}
{%- if add_generation_prompt %}[assistant]{% endif %}
"""


def test_a_template_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "chat.jinja").write_text(CHAT_TEMPLATE)
    monkeypatch.setenv("TEMPLATES", str(tmp_path))
    good, bad = read(
        tmp_path,
        {"messages": ROLE, "tools": [{"name": "ü"}]},
        {"messages": ROLE[1:]},
        template="${TEMPLATES}/chat.jinja",
    )
    assert good.text.decode() == f'[{{"name": "ü"}}][user] {ASKED}\n[assistant] {ANSWERED}'
    assert bad.record.reason == "the template failed"
    assert bad.record.detail == "TemplateError: The user speaks first: ü"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "neither a file nor one of plain"),
        ("{% for message in messages %}", "TemplateSyntaxError"),
        ("{% for m in mesages %}{{ m.content }}{% endfor %}", "of `messages` there is nothing"),
        ("{{ mesages[0].content }}", "UndefinedError"),
        ("{{ messages.__class__.__mro__ }}{{ messages[0].content }}", "SecurityError"),
        ("{{ messages.append(1) }}{{ messages[0].content }}", "SecurityError"),
        ("{% include 'x' %}", "template"),
        (b"\xff\xfe", "UnicodeDecodeError"),
    ],
)
def test_a_wrong_template_is_refused_at_start(tmp_path: Path, text: str | bytes | None, message: str):
    path = tmp_path / "x.jinja"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError, match=message):
        check_options("dialogue", {"template": str(path)})


def test_a_template_s_digest_is_that_of_what_it_says(tmp_path: Path):
    (tmp_path / "a.jinja").write_text(BUILT_IN["plain"])
    options = parse(read_dialogue, {"template": str(tmp_path / "a.jinja")})
    assert options["template"].digests() == TemplateName("plain").digests() != TemplateName("chatml").digests()


def test_broken_dialogue_survives(tmp_path: Path):
    records = [
        {"messages": ROLE},
        {"conversations": SHAREGPT},
        WITH_INPUT,
        {"messages": [{**ROLE[1], "tool_calls": [CALL]}]},
    ]
    for name, data in (
        ("x.jsonl", "".join(json.dumps(record) + "\n" for record in records)),
        ("x.json", json.dumps(records)),
    ):
        path = tmp_path / name

        def parsed(mutation: bytes, path: Path = path):
            path.write_bytes(mutation)
            return read_dialogue(path, path.name, max_text_bytes=1_000_000)

        for seed in range(FILES):
            survives(parsed, data.encode(), seed)
