"""Bytes become the text that SQLFluff's command would read."""

import pytest

from pipeline.adapters.sqlfluff.decoding import NotText, decode

CHINESE = "-- 客户表：查询所有有效客户\nSELECT a FROM t WHERE x = '中文文本' -- 注释说明\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gbk", "gb18030"]
)
def test_usual_encodings_are_detected(encoding: str):
    text, _ = decode(CHINESE.encode(encoding))

    assert text == CHINESE


def test_latin_text_is_detected():
    text, _ = decode("-- données relatives à l'été\nSELECT 'é'\n".encode("cp1252"))

    assert text == "-- données relatives à l'été\nSELECT 'é'\n"


def test_newlines_are_read_as_the_command_reads_them():
    assert decode(b"a\r\nb\rc\n") == ("a\nb\nc\n", "ascii")


def test_configured_encoding_is_followed_even_where_it_does_not_fit():
    assert decode(b"a\xe9", "utf-8") == ("a\\xe9", "utf-8")


def test_empty_file_is_text():
    assert decode(b"") == ("", "ascii")


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)) * 10,
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" * 20,
        b"PK\x03\x04\x00\x00" * 100,
        b"\xff\xfe\x00",
    ],
)
def test_binary_is_refused_with_a_sentence(data: bytes):
    with pytest.raises(NotText, match=r"\w+ \w+"):
        decode(data)


@pytest.mark.parametrize(
    "text", ["'\0'", "SELECT\0 1", "SELECT '\0', '数\0'\n", "-- long\n" * 500 + "\0" * 9]
)
def test_text_with_a_stray_nul_is_text(text: str):
    assert decode(text.encode())[0] == text


@pytest.mark.parametrize("data", [b"\0" * 40, b"a\0\1\2b" * 9, b"\x7fELF\2\1\1" + b"\0" * 9])
def test_more_than_a_stray_nul_is_binary(data: bytes):
    with pytest.raises(NotText):
        decode(data)
