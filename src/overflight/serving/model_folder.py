"""The model folder (``/opt/ml/model``): ``model.json`` read strictly and checked against the files beside it.

Knows the folder's schema ``overflight.model/1`` and nothing of how a model is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from overflight.errors import InputError
from overflight.files import sha256_file
from overflight.imaging.tiles import GRID_PX

DESCRIPTION = "model.json"
GRAPH = "model.onnx"
_CURE = "Deploy the model package again; if it persists, train and register it again"


class FileFacts(BaseModel):
    """Size and digest of one file of the folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class ModelDescription(BaseModel):
    """What serving needs to know of ``model.json``; further fields (lineage, versions) are kept but not read here.

    Attributes:
        classes: Class names in the order of the ids.
        imgsz_px: Side of the square network input.
        tile_px: Side of the tiles large photos are cut into.
        overlap_px: Overlap of neighbouring tiles.
        score_threshold: Boxes below this score are dropped.
        nms_iou: Of two boxes of a class that overlap more than this, only the better one stays.
        files: Every file of the folder with size and digest.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    schema_name: Literal["overflight.model/1"] = Field(alias="schema")
    model: str
    classes: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    imgsz_px: int = Field(ge=32, le=4096)
    tile_px: int = Field(ge=32, le=16384)
    overlap_px: int = Field(ge=0)
    score_threshold: float = Field(ge=0, le=1)
    nms_iou: float = Field(gt=0, le=1)
    files: dict[str, FileFacts]


@dataclass(frozen=True)
class ModelFolder:
    """A model folder whose files match its description.

    Attributes:
        path: The folder.
        description: Content of ``model.json``.
        digest: SHA-256 of the file ``model.json``; as that holds the digests of all files, it names the whole folder.
    """

    path: Path
    description: ModelDescription
    digest: str

    @property
    def graph(self) -> Path:
        """The ONNX file."""
        return self.path / GRAPH


def open_model_folder(path: Path) -> ModelFolder:
    """Read ``model.json`` and compare every file it lists with its size and digest.

    Raises:
        InputError: the description is missing or wrong, or a file is missing or was changed.
    """
    description_path = path / DESCRIPTION
    try:
        description = ModelDescription.model_validate_json(description_path.read_bytes())
    except FileNotFoundError as error:
        raise InputError("there is no model.json: not a model folder", where=str(path), cure=_CURE) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "document"
        raise InputError(f"{place}: {first['msg']}", where=str(description_path), cure=_CURE) from error
    if GRAPH not in description.files:
        raise InputError(f"does not list {GRAPH}", where=str(description_path), cure=_CURE)
    if description.overlap_px > description.tile_px - GRID_PX:
        problem = f"overlap_px must be at least {GRID_PX} px smaller than tile_px"
        raise InputError(problem, where=str(description_path), cure=_CURE)
    for name, facts in description.files.items():
        _check_file(path, name, facts)
    return ModelFolder(path=path, description=description, digest=sha256_file(description_path))


def _check_file(folder: Path, name: str, facts: FileFacts) -> None:
    file = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"lists a file outside the folder: {name}", where=str(folder / DESCRIPTION), cure=_CURE)
    if not file.is_file():
        raise InputError("is listed in model.json and missing", where=str(file), cure=_CURE)
    if file.stat().st_size != facts.bytes or sha256_file(file) != facts.sha256:
        raise InputError("does not match its digest in model.json", where=str(file), cure=_CURE)
