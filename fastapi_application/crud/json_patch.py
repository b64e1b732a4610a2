"""JSON Patch (RFC 6902) against the write document of an entity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import jsonpatch
import orjson
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator
from pydantic_core import PydanticCustomError

from fastapi_application.core.errors import FieldError, ValidationFailedError

if TYPE_CHECKING:
    from typing import Self

MAX_OPERATIONS = 1000
MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
_WITH_VALUE = {"add", "replace", "test"}
_WITH_FROM = {"move", "copy"}

JsonPointer = Annotated[str, Field(pattern=r"^(/([^~]|~[01])*)?$", max_length=500)]


class JsonPatchOperation(BaseModel):
    """One operation. Members that it does not know are ignored, as RFC 6902 asks."""

    model_config = ConfigDict(extra="ignore", strict=True, serialize_by_alias=True)

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: JsonPointer
    from_: Annotated[JsonPointer | None, Field(alias="from", description="Of `move` and `copy`")] = None
    value: Annotated[Any, Field(description="Of `add`, `replace` and `test`")] = None

    @model_validator(mode="after")
    def _has_its_members(self) -> Self:
        missing = (self.op in _WITH_VALUE and "value" not in self.model_fields_set) or (self.op in _WITH_FROM and self.from_ is None)
        if missing:
            code = "missing"
            raise PydanticCustomError(code, "The operation lacks `value` or `from`.")
        return self


class JsonPatch(RootModel[Annotated[list[JsonPatchOperation], Field(max_length=MAX_OPERATIONS)]]):
    """Operations in their order, all or none."""

    def apply(self, document: dict[str, Any]) -> Any:
        """Return the patched document, which may be anything; the given one is not changed.

        Raises:
            ValidationFailedError: an operation does not fit; says which.

        """
        result: Any = orjson.loads(orjson.dumps(document))
        for index, operation in enumerate(self.root):
            result = _apply(result, operation, index)
        return result


def _apply(document: Any, operation: JsonPatchOperation, index: int) -> Any:
    try:
        patched = jsonpatch.apply_patch(document, [operation.model_dump(exclude_unset=True)], in_place=True)
        # Copies of copies grow without end.
        too_large = operation.op == "copy" and len(orjson.dumps(patched)) > MAX_DOCUMENT_BYTES
    except jsonpatch.JsonPatchTestFailed:
        raise _refused(index, "patch_test_failed", "The document has another value there.") from None
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, ValueError, RecursionError):
        raise _refused(index, "patch_conflict", "The operation does not fit the document.") from None
    if too_large:
        raise _refused(index, "patch_conflict", "The document grows too large.")
    return patched


def _refused(index: int, code: str, detail: str) -> ValidationFailedError:
    return ValidationFailedError(errors=[FieldError(f"/body/{index}", code, detail)])
