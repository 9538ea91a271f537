"""The built-in services that ask a model, against a server that speaks as one."""

import json
import time
from typing import Any

import pytest

from pipeline.kinds.service.builtin import doc_generator
from pipeline.states import Reason
from tests.support.built_in import Noted, call, error, result
from tests.support.model_server import Cut, ModelServer, Status, document

ANALYSIS = {
    **{"language": "zh", "sentiment": "neutral", "score": 0, "topics": ["情感"]},
    **{"intent": "An analysis.", "summary": "A request."},
}


def answering(*documents: Any) -> Any:
    """Return what answers with these, one after the other."""
    waiting = list(documents)
    return lambda asked: (
        waiting.pop(0) if isinstance(waiting[0], str) else json.dumps(waiting.pop(0))
    )


# --- chat/chat --------------------------------------------------------------------------------


def test_prompt_is_answered_in_pieces_and_counted(known: ModelServer) -> None:
    noted = Noted()
    told = result("chat/chat", "complete", {"prompt": "你好", "system": "Be kind."}, noted=noted)
    assert told["text"] == "You said: 你好" == "".join(noted.of("partial"))
    assert (told["model"], told["finish_reason"]) == ("small", "stop")
    assert told["usage"] == {"input_tokens": 11, "output_tokens": 2}
    assert noted.of("model") == [{"model": "small", "input": 11, "output": 2}]
    assert known.asked[0].messages == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "你好"},
    ]


def test_conversation_goes_on(known: ModelServer) -> None:
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    given = {"messages": messages, "model": "large", "temperature": 0, "max_tokens": 7}
    assert result("chat/chat", "complete", given)["model"] == "large"
    body = known.asked[0].body
    assert body["messages"] == messages
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("large", 0, 7)


def test_answer_that_is_not_whole_says_so(known: ModelServer) -> None:
    known.finish_reason = "length"
    assert result("chat/chat", "complete", {"prompt": "a"})["finish_reason"] == "length"
    given = {"prompt": "a", "json_schema": {}}
    assert "answer is not whole" in error("chat/chat", "complete", given)
    known.finish_reason = "content_filter"
    assert "let the model's answer through" in error("chat/chat", "complete", {"prompt": "a"})


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_answer_in_json_is_held_against_its_schema_and_asked_for_again(known: ModelServer) -> None:
    known.answer = answering({"n": "one"}, '<think>{Hm.</think>```json\n{"n": 1}\n```')
    told = result("chat/chat", "complete", {"prompt": "a", "json_schema": SCHEMA})
    assert told["answer"] == {"n": 1}
    assert told["usage"]["input_tokens"] == 22
    assert "$.n: 'one' is not of type 'integer'" in known.asked[1].said
    assert known.asked[0].body["response_format"] == {"type": "json_object"}
    known.answer = lambda asked: "I would rather not."
    told_why = error("chat/chat", "complete", {"prompt": "a", "json_schema": SCHEMA})
    assert told_why == "The model gave no answer that fits: it is no JSON."


def doubling(depth: int) -> dict[str, Any]:
    """Return a schema whose checks are twice as many with each level."""
    several = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(depth)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**several, f"d{depth}": {"type": "object"}}}


def test_schema_that_takes_for_ever_is_left(known: ModelServer) -> None:
    began = time.monotonic()
    known.answer = answering({})
    given = {"prompt": "a", "json_schema": doubling(40)}
    assert "takes more than 2 s" in error("chat/chat", "complete", given)
    assert time.monotonic() - began < 10


def test_schema_may_refer_to_itself_and_have_properties_of_any_name(known: ModelServer) -> None:
    schema = {
        "$defs": {"tree": {"properties": {"pattern": {"$ref": "#/$defs/tree"}}, "type": "object"}},
        "$ref": "#/$defs/tree",
        "required": ["pattern"],
    }
    known.answer = answering({"pattern": {"pattern": {}}}, {"pattern": 1}, {"pattern": 2})
    given = {"prompt": "a", "json_schema": schema}
    assert result("chat/chat", "complete", given)["answer"] == {"pattern": {"pattern": {}}}
    assert "$.pattern: 2 is not of type 'object'" in error("chat/chat", "complete", given)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "nonsense"}, "The schema is none"),
        ({"$ref": "http://127.0.0.1/schema"}, "refers to itself only"),
        ({"properties": {"a": {"pattern": "(a+)+$"}}}, "has no pattern."),
        ({"patternProperties": {"(a+)+$": {}}}, "has no patternProperties"),
        ({"uniqueItems": True}, "has no uniqueItems"),
        ({"$ref": "#"}, "refers to what it does not have"),
        ({"$ref": "#/nowhere"}, "refers to what it does not have"),
    ],
)
def test_hostile_schema_is_refused(known: ModelServer, schema: dict[str, Any], told: str) -> None:
    known.answer = answering({}, {})
    assert told in error("chat/chat", "complete", {"prompt": "a", "json_schema": schema})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "give prompt or messages"),
        ({"prompt": "a", "messages": []}, "input.messages"),
        ({"prompt": "a", "base_url": "http://evil"}, "base_url"),
        ({"prompt": "a", "key": "sk"}, "key"),
        ({"prompt": "a", "temperature": 3}, "temperature"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "role"),
        ({"prompt": "a", "profile": "other"}, "There is no profile 'other'; there are local."),
    ],
)
def test_input_that_does_not_fit_asks_nobody(
    known: ModelServer, given: dict[str, Any], told: str
) -> None:
    assert told in error("chat/chat", "complete", given)
    assert known.asked == []


def test_faults_say_what_comes_next(known: ModelServer) -> None:
    known.fails(Status(429, "Slow.", "7"), Status(429), Status(500), Cut(), Status(400, "Bad."))
    known.fails(Status(401))
    several = [call("chat/chat", "complete", {"prompt": "a"}) for _ in range(6)]
    assert [each.again for each in several] == [True, True, True, True, False, False]
    assert [(each.shared, each.after_s) for each in several[:2]] == [(True, 7.0), (False, None)]
    assert all(each.is_asked for each in several[:4])
    assert several[4].reason is Reason.BAD_REQUEST
    assert "Bad." in several[4].message
    assert "local does not take its profile's key" in several[5].message


def test_stopped_call_says_so(known: ModelServer) -> None:
    known.answer = lambda asked: "x" * 2_000_000
    answer = call("chat/chat", "complete", {"prompt": "a"}, stopped=True)
    assert (answer.reason, answer.saw_stop, answer.again) == (Reason.CANCELLED, True, False)


# --- chat/text_analyzer -----------------------------------------------------------------------


@pytest.mark.parametrize("task", ["analyze_text", "analyze"])
def test_text_is_analysed_in_the_language_and_by_the_model_of_the_context(
    known: ModelServer, task: str
) -> None:
    known.answer = answering({**ANALYSIS, "more": "is left out"})
    told = result(
        *("chat/text_analyzer", task),
        {"text": "分析这段文本的情感倾向"},
        context={"language": "zh", "model": "gpt-3.5-turbo"},
    )
    assert told == {**ANALYSIS, "score": 0.0}
    [asked] = known.asked
    assert asked.body["model"] == "gpt-3.5-turbo"
    assert "Answer in the language 'zh'." in asked.said
    assert asked.messages[-1]["content"] == "<text>\n分析这段文本的情感倾向\n</text>"


def test_text_is_summed_up(known: ModelServer) -> None:
    known.answer = answering({"summary": "Short.", "key_points": ["a"]})
    told = result("chat/text_analyzer", "summarize", {"text": "long", "max_words": 9})
    assert told == {"summary": "Short.", "key_points": ["a"]}
    assert "in at most 9 words" in known.asked[0].said


def test_labels_are_of_those_that_were_told(known: ModelServer) -> None:
    some = [{"label": "a", "confidence": 0.2}, {"label": "b", "confidence": 0.8}]
    given: dict[str, Any] = {"text": "x", "labels": ["a", "b"]}
    known.answer = lambda asked: json.dumps({"labels": some})
    assert result("chat/text_analyzer", "classify", given)["labels"] == [some[1]]
    told = result("chat/text_analyzer", "classify", {**given, "multiple": True})
    assert told["labels"] == [some[1], some[0]]
    some[0]["label"] = "other"
    assert "'other' is none of the labels" in error("chat/text_analyzer", "classify", given)
    some.clear()
    assert "it names no label" in error("chat/text_analyzer", "classify", given)
    known.answer = answering({"labels": []}, {"labels": [{"label": "a", "confidence": 1}]})
    assert result("chat/text_analyzer", "classify", given)["labels"][0]["label"] == "a"


def test_fields_are_those_that_were_asked_for(known: ModelServer) -> None:
    known.answer = answering({"fields": {"name": "Ann", "more": "x"}})
    fields = {"name": "who it is", "city": "where"}
    told = result("chat/text_analyzer", "extract", {"text": "Ann.", "fields": fields})
    assert told == {"fields": {"name": "Ann", "city": None}}


@pytest.mark.parametrize(
    "context", [{"model": 5}, {"model": "x" * 3000}, {"profile": ["a"]}, {"language": {}}]
)
def test_context_that_is_no_text_is_refused(known: ModelServer, context: dict[str, Any]) -> None:
    message = error("chat/text_analyzer", "analyze", {"text": "x"}, context=context)
    assert "is no short text" in message


# --- document/doc_generator -------------------------------------------------------------------

OUTLINE = {
    "title": "人工智能发展趋势",
    "sections": [{"title": "引言", "points": ["历史"]}, {"title": "结论"}],
}
ORDER = {"topic": "人工智能发展趋势", "length": "5000字", "style": "学术论文"}
AROUND = {"template": "academic", "references": True, "citations": True}


def test_document_is_written_section_by_section(known: ModelServer) -> None:
    known.answer = document(OUTLINE)
    noted = Noted()
    told = result(
        *("document/doc_generator", "generate_document"), ORDER, context=AROUND, noted=noted
    )
    assert told["document_id"] == "t"
    assert told["title"] == OUTLINE["title"]
    assert [line for line in told["text"].splitlines() if line.startswith("#")] == [
        *("# 人工智能发展趋势", "## 引言", "## 结论", "## References")
    ]
    assert "Text of section 1, 引言. 历史" in told["text"]
    assert told["references"] == ["A. Author: A Book."]
    assert told["characters"] == len(told["text"])
    first, second, third, fourth = known.asked
    for wanted in ("5000 characters", "学术论文", "an academic paper", "[1], [2]"):
        assert wanted in first.said
    assert "2500 characters" in second.said
    assert "The section before ends so:\nText of section 1" in third.said
    assert "List the references" in fourth.said
    assert len(noted.of("checkpoint")) == 4
    assert [each["message"] for each in noted.of("progress")] == [
        *("outline", "引言", "结论", "references", OUTLINE["title"])
    ]
    assert "## 引言" in "".join(noted.of("partial"))


def test_document_goes_on_from_its_checkpoint(known: ModelServer) -> None:
    known.answer = document(OUTLINE)
    known.fails(None, None, Status(500))
    noted = Noted()
    answer = call("document/doc_generator", "generate_document", ORDER, noted=noted)
    assert (answer.again, len(known.asked)) == (True, 3)
    kept = json.loads(noted.of("checkpoint")[-1])
    told = result("document/doc_generator", "generate_document", ORDER, checkpoint=kept)
    assert len(known.asked) == 4
    assert "Now write section 2, 结论" in known.asked[3].said
    assert told["text"].count("Text of section") == 2


def test_long_document_is_written_in_several_runs(
    known: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doc_generator, "PIECE_S", -1.0)
    known.answer = document(OUTLINE)
    answer = call("document/doc_generator", "generate_document", ORDER)
    assert answer.message == "The next sections are written in another run."
    assert (answer.is_asked, answer.after_s) == (True, 0.0)


@pytest.mark.parametrize(
    ("given", "context", "told"),
    [
        ({"length": "long"}, {}, "'long' is no length"),
        ({"length": 5}, {}, "50 to 50,000"),
        ({"length": "900 pages"}, {}, "50 to 50,000"),
        ({"topic": ""}, {}, "input.topic"),
        ({}, {"references": "many"}, "context.references"),
    ],
)
def test_order_that_does_not_fit_asks_nobody(
    known: ModelServer, given: dict[str, Any], context: dict[str, Any], told: str
) -> None:
    answer = error(
        *("document/doc_generator", "generate_document"), {**ORDER, **given}, context=context
    )
    assert told in answer
    assert known.asked == []
