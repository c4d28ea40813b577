"""What every table of community.toml is, and the texts in it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints


def _seen(value: str) -> str:
    """A name that shows whole wherever it is printed."""
    if not value.isprintable():
        raise ValueError("must hold only characters that can be seen, and plain spaces")
    return value


Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_seen)]


class Table(BaseModel):
    """A table of the file: nothing is converted silently, and unknown keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
