"""The service ``document/doc_generator``: a model writes a document, an outline first, then section
by section.

After each section there is a checkpoint: a run that breaks off costs the section it was at.
"""

import time
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core import documents
from pipeline.kinds.service.builtin import writing
from pipeline.kinds.service.builtin.answers import fitting, without_thoughts
from pipeline.kinds.service.builtin.asking import LIMITS, Asking, Usage, asked
from pipeline.kinds.service.builtin.lengths import length_of
from pipeline.kinds.service.builtin.statistics import words_of
from pipeline.kinds.service.builtin.writing import Brief, Draft, Outline, References
from pipeline.kinds.service.calls import Rejected, RetryLater, TaskContext
from pipeline.kinds.service.registry import service

#: A run that took so long leaves the next section to another one: none may take twenty minutes.
PIECE_S = 300.0


class Order(Asking):
    """What is to be written."""

    topic: str = Field(min_length=1, max_length=5000)
    length: int | str = Field(
        1500, description="Words, or a text: 5000字, 2000 words, 3 pages.", examples=["5000字"]
    )
    style: str = Field("", max_length=500)


class Surroundings(BaseModel):
    """What of the submitter's context is about the document."""

    model_config = ConfigDict(extra="ignore")

    template: str = Field("", max_length=2000)
    references: bool = False
    citations: bool = False
    language: str = Field("", max_length=50)


class GeneratedDocument(BaseModel):
    """A document in Markdown. ``references`` are as the model names them: nobody has looked."""

    document_id: str
    title: str
    text: str
    outline: Outline
    references: list[str]
    characters: int
    words: int


@service(
    *("document", "doc_generator"),
    heavy=True,
    limits=replace(LIMITS, soft_time_limit_s=1000.0, time_limit_s=1200.0),
)
class DocGenerator:
    """A model writes a document about a topic: an outline, then section after section.

    What is written is kept while the rest is. Its context may name a template (academic, report,
    manual, or one in your words), references and citations.
    """

    async def generate_document(self, input_data: Order, context: TaskContext) -> GeneratedDocument:
        """Return the document; its id is that of its task."""
        brief = _brief(input_data, context)
        draft = _draft_so_far(context)
        if draft.outline is None:
            context.progress(0.0, "outline")
            messages = writing.for_outline(brief)
            draft.outline = await fitting(context, input_data, messages, Outline, Usage())
            context.save_checkpoint(draft.model_dump())
        await _write(draft, draft.outline, brief, input_data, context)
        if brief.has_references and draft.references is None:
            context.progress(0.95, "references")
            messages = writing.for_references(brief, draft)
            draft.references = await fitting(context, input_data, messages, References, Usage())
            context.save_checkpoint(draft.model_dump())
        context.progress(1.0, draft.outline.title)
        return _document(draft, draft.outline, context)


async def _write(
    draft: Draft, outline: Outline, brief: Brief, order: Order, context: TaskContext
) -> None:
    """The draft has all of its sections."""
    began, number = time.monotonic(), len(outline.sections)
    while len(draft.sections) < number:
        if time.monotonic() - began > PIECE_S:
            raise RetryLater("The next sections are written in another run.", after_s=0.0)
        place = len(draft.sections)
        heading = outline.sections[place].title
        context.progress(0.05 + 0.9 * place / number, heading, section=place + 1, sections=number)
        context.partial(f"\n\n## {heading}\n\n")
        reply = await asked(context, order, writing.for_section(brief, draft, outline))
        text = writing.without_heading(without_thoughts(reply.text))
        if not text:
            raise RetryLater(f"The model wrote nothing for {heading!r}.")
        draft.sections.append(text)
        context.save_checkpoint(draft.model_dump())


def _brief(order: Order, context: TaskContext) -> Brief:
    names = Surroundings.model_fields
    told = {name: context.get(name) for name in names if context.get(name) is not None}
    try:
        around = Surroundings.model_validate(told)
    except ValidationError as error:
        raise Rejected(f"{documents.misfits(error, 'context')[0]}.") from None
    return Brief(
        topic=order.topic,
        style=order.style,
        length=length_of(order.length),
        template=around.template,
        language=around.language,
        has_references=around.references,
        has_citations=around.citations,
    )


def _draft_so_far(context: TaskContext) -> Draft:
    if context.checkpoint is None:
        return Draft()
    return documents.read(Draft, context.checkpoint, "checkpoint")


def _document(draft: Draft, outline: Outline, context: TaskContext) -> GeneratedDocument:
    text = writing.whole(draft, outline)
    references = [] if draft.references is None else draft.references.references
    return GeneratedDocument(
        document_id=context.task_id,
        title=outline.title,
        text=text,
        outline=outline,
        references=references,
        characters=len(text),
        words=len(words_of(text)),
    )
