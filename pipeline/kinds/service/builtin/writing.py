"""What a model is told that writes a document, and what is there of it so far."""

from dataclasses import dataclass

from pydantic import BaseModel, Field

from pipeline.kinds.service.builtin.asking import Message
from pipeline.kinds.service.builtin.lengths import Length

#: So much of what was written before is told again, in characters.
MOST_BEFORE = 2000

TEMPLATES = {
    "academic": "an academic paper: abstract, introduction, related work, body, conclusion",
    "report": "a report: summary, background, findings, recommendations",
    "manual": "a manual: purpose, preparation, steps, troubleshooting",
}


class Section(BaseModel):
    """A section before it is written."""

    title: str = Field(min_length=1, max_length=300)
    points: list[str] = Field(default_factory=list, max_length=30)


class Outline(BaseModel):
    """What a document will be."""

    title: str = Field(min_length=1, max_length=300)
    sections: list[Section] = Field(min_length=1, max_length=30)


class References(BaseModel):
    """What a document cites; ``title``: the heading, in its language."""

    title: str = Field(min_length=1, max_length=100)
    references: list[str] = Field(max_length=100)


class Draft(BaseModel):
    """What there is so far, as a checkpoint holds it."""

    outline: Outline | None = None
    sections: list[str] = []
    references: References | None = None


@dataclass(frozen=True, slots=True)
class Brief:
    """What is wanted."""

    topic: str
    style: str
    length: Length
    template: str
    language: str
    has_references: bool
    has_citations: bool

    def told(self) -> str:
        """Return it in words."""
        form = TEMPLATES.get(self.template, self.template)
        lines = [
            f"Topic: {self.topic}",
            f"Style: {self.style}" if self.style else "",
            f"Form: {form}" if form else "",
            f"Language: {self.language or 'that of the topic'}",
            "Mark what is taken from a source as [1], [2], ….\n" if self.has_citations else "",
        ]
        return "\n".join(line for line in lines if line)


def for_outline(brief: Brief) -> list[Message]:
    """Return what is told for an ``Outline``."""
    number = brief.length.sections
    what = (
        f"Outline a document of about {brief.length.part(1)}, in about {number} sections: its"
        " title, and of each section the title and its points."
    )
    if brief.has_references:
        what += " Leave the references out: they come by themselves."
    return [_system(what), _user(brief.told())]


def for_section(brief: Brief, draft: Draft, outline: Outline) -> list[Message]:
    """Return what is told for the text of the first section that is not there."""
    place = len(draft.sections)
    section = outline.sections[place]
    titles = "\n".join(f"{number}. {each.title}" for number, each in enumerate(outline.sections, 1))
    what = (
        "You write one section of a document, in Markdown, without its heading; about"
        f" {brief.length.part(len(outline.sections))}. Write nothing but its text."
    )
    before = draft.sections[-1][-MOST_BEFORE:] if draft.sections else ""
    parts = [
        f"{brief.told()}\n\nThe document: {outline.title}\n{titles}",
        f"The section before ends so:\n{before}" if before else "",
        f"Now write section {place + 1}, {section.title}. {'; '.join(section.points)}",
    ]
    return [_system(what), _user("\n\n".join(part for part in parts if part))]


def for_references(brief: Brief, draft: Draft) -> list[Message]:
    """Return what is told for ``References``."""
    what = "List the references of the document below, the numbers it cites first. Invent none."
    return [_system(what), _user("\n\n".join((brief.told(), *draft.sections)))]


def without_heading(text: str) -> str:
    """Return the text without a heading that the model has put before it all the same."""
    text = text.strip()
    if text.startswith("#"):
        text = text.partition("\n")[2].strip()
    return text


def whole(draft: Draft, outline: Outline) -> str:
    """Return the document in Markdown."""
    parts = [f"# {outline.title}"]
    for section, text in zip(outline.sections, draft.sections, strict=True):
        parts.append(f"## {section.title}\n\n{text}")
    if draft.references is not None and draft.references.references:
        listed = "\n".join(
            f"{number}. {each}" for number, each in enumerate(draft.references.references, 1)
        )
        parts.append(f"## {draft.references.title}\n\n{listed}")
    return "\n\n".join(parts) + "\n"


def _system(content: str) -> Message:
    return {"role": "system", "content": content}


def _user(content: str) -> Message:
    return {"role": "user", "content": content}
