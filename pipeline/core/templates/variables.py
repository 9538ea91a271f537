"""The variables of a template, and whether a value is one of them."""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import Refused

NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
MOST_VARIABLES = 100
#: Beyond them JSON written by one program is another number in the next.
INTEGERS = range(-(2**63), 2**63)
#: Repeated in a sentence at most so far.
SHOWN = 60

VariableName = Annotated[str, Field(pattern=NAME)]


class VariableType(StrEnum):
    """What a value may be, in JSON's words."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    OBJECT = "object"


_TYPES: dict[VariableType, tuple[type, ...]] = {
    VariableType.STRING: (str,),
    VariableType.INTEGER: (int,),
    VariableType.NUMBER: (int, float),
    VariableType.BOOLEAN: (bool,),
    VariableType.LIST: (list,),
    VariableType.OBJECT: (dict,),
}
#: Those that have no text of their own to stand inside another one.
WITHOUT_TEXT = frozenset({VariableType.LIST, VariableType.OBJECT})
_NUMBERS = frozenset({VariableType.INTEGER, VariableType.NUMBER})


class Variable(BaseModel):
    """What may be put in under one name.

    It has to be given unless there is a default, or it is not ``required``: then what is exactly
    that placeholder is left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: VariableType = Field(VariableType.STRING, description="What a value has to be.")
    description: str = Field("", max_length=1000, description="What it is, for people.")
    default: Any = Field(None, description="Used where it is not given.")
    required: bool | None = Field(
        None, description="False: it may be missing. Null: true unless there is a default."
    )
    enum: Annotated[list[Any], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="The only values."
    )
    min: float | None = Field(None, description="Of a number: the least.")
    max: float | None = Field(None, description="Of a number: the most.")
    max_length: int | None = Field(
        None, ge=0, description="Of a text: most characters; of a list or an object: most entries."
    )

    @property
    def has_default(self) -> bool:
        """True when there is a value for it without one being given."""
        return self.default is not None

    @property
    def is_required(self) -> bool:
        """True when a value has to be given."""
        return not self.has_default and self.required is not False

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        if self.has_default and self.required:
            raise ValueError("A variable with a default is not required")
        if self.type not in _NUMBERS and (self.min is not None or self.max is not None):
            raise ValueError("min and max are for numbers")
        if self.max_length is not None and self.type in _NUMBERS | {VariableType.BOOLEAN}:
            raise ValueError("max_length is for texts, lists and objects")
        for name, value in [
            ("default", self.default),
            *(("enum", each) for each in self.enum or ()),
        ]:
            if name == "enum" or value is not None:
                why = self.why_not(value, of_enum=name == "default")
                if why:
                    raise ValueError(f"{name}: {why}")
        return self

    def why_not(self, value: Any, *, of_enum: bool = True) -> str:
        """Return why the value is none of it, ``""`` when it is one."""
        is_truth = isinstance(value, bool)
        if not isinstance(value, _TYPES[self.type]) or (
            is_truth and self.type is not VariableType.BOOLEAN
        ):
            return f"{shown(value)} is not of the type {self.type}"
        return self._out_of_bounds(value) or (
            f"{shown(value)} is none of {', '.join(shown(each) for each in self.enum[:20])}"
            if of_enum and self.enum is not None and value not in self.enum
            else ""
        )

    def _out_of_bounds(self, value: Any) -> str:
        if self.type in _NUMBERS:
            if isinstance(value, float) and not math.isfinite(value):
                return "it is no finite number"
            if isinstance(value, int) and value not in INTEGERS:
                return "it has more than 64 bits"
            if self.min is not None and value < self.min:
                return f"{shown(value)} is less than {self.min:g}"
            if self.max is not None and value > self.max:
                return f"{shown(value)} is more than {self.max:g}"
        elif self.max_length is not None and len(value) > self.max_length:
            return f"it is longer than {self.max_length}"
        return ""


def resolved(
    variables: Mapping[str, Variable], values: Mapping[str, Any], *, of: str
) -> dict[str, Any]:
    """Return the value of every variable that has one; ``Refused`` says which is wrong, and why.

    ``of`` is how the template is called.
    """
    for name in values:
        if name not in variables:
            known = ", ".join(variables) or "none"
            raise Refused(f"The template {of} has no variable {shown(name)}; it has: {known}.")
    found = {}
    for name, variable in variables.items():
        if name in values:
            why = variable.why_not(values[name])
            if why:
                raise Refused(f"The variable {name}: {why}.")
            found[name] = values[name]
        elif variable.has_default:
            found[name] = variable.default
        elif variable.is_required:
            raise Refused(f"The template {of} needs the variable {name} ({variable.type}).")
    return found


def shown(value: Any) -> str:
    """Return a value for a sentence, printable and short."""
    told = repr(value) if isinstance(value, str) else str(value)
    told = told if told.isprintable() else ascii(told)
    return told if len(told) <= SHOWN else f"{told[:SHOWN]}…"
