"""Ultralytics behind a wall: no download, no installation, no telemetry, no file outside one folder.

Ultralytics reads its environment and settings once, when it is imported, so :func:`isolate` comes first. What it shuts
off, and how (Ultralytics 8.4.190):

==========================================  =====================================================================
online check (DNS at import)                ``YOLO_OFFLINE``
packages installed on demand                ``YOLO_AUTOINSTALL=false``
settings file under the home folder         ``YOLO_CONFIG_DIR``, with a complete file written before the import
usage events, error reports                 setting ``sync`` off (and offline)
MLflow, ClearML, Comet, DVC, Ray, W&B       settings off
machine id from the network card's address  a fixed ``uuid`` in the settings
download of ``Arial.ttf`` for plots         matplotlib's own DejaVu Sans is put where Arial would be looked for
matplotlib's font cache                     ``MPLCONFIGDIR``
ONNX Runtime's device id and telemetry      ``ORT_DISABLE_TELEMETRY`` (1.32 has both on Linux, on by default)
one compute thread                          ``OMP_NUM_THREADS`` set to the cores (Ultralytics would choose 1)
==========================================  =====================================================================

Weights are never fetched: see :func:`local_weights`. It does not sandbox the process: other libraries are not watched.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import MutableMapping
from pathlib import Path

from overflight.errors import InputError, JobError
from overflight.files import write_json

# Every key of Ultralytics' settings schema: an incomplete file would be "migrated" with a warning.
_SETTINGS_VERSION = "0.0.8"
_OFF = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb", "vscode_msg", "openvino_msg")


def isolate(folder: Path, *, environ: MutableMapping[str, str] | None = None, threads: int | None = None) -> Path:
    """Confine Ultralytics to ``folder``; call it before anything imports ``ultralytics``.

    A second call in one process keeps the first folder: Ultralytics cannot be moved after its import.

    Args:
        folder: Where settings, fonts and caches go; created when missing.
        environ: The process's environment (a parameter for tests).
        threads: Compute threads for torch's OpenMP; default: the cores this process may use.

    Returns:
        The folder that holds for this process.

    Raises:
        JobError: Ultralytics was imported before, without isolation.
    """
    environ = os.environ if environ is None else environ
    if "ultralytics" in sys.modules:
        return _already_isolated()
    folder = folder.absolute()
    settings_folder = folder / "Ultralytics"
    settings_folder.mkdir(parents=True, exist_ok=True)
    write_json(settings_folder / "settings.json", settings_document(folder))
    _put_font(settings_folder / "Arial.ttf")
    (folder / "matplotlib").mkdir(exist_ok=True)
    environ.update(
        {
            "YOLO_CONFIG_DIR": str(folder),
            "YOLO_OFFLINE": "true",
            "YOLO_AUTOINSTALL": "false",
            "YOLO_VERBOSE": "false",
            "MPLCONFIGDIR": str(folder / "matplotlib"),
            "MPLBACKEND": "Agg",
            "WANDB_MODE": "disabled",
            "ORT_DISABLE_TELEMETRY": "1",
        }
    )
    environ.pop("ULTRALYTICS_API_KEY", None)
    environ.setdefault("OMP_NUM_THREADS", str(threads or usable_cores()))
    return folder


def settings_document(folder: Path) -> dict[str, str | bool]:
    """Ultralytics' settings with every outside connection off and every folder below ``folder``."""
    return {
        "settings_version": _SETTINGS_VERSION,
        "datasets_dir": str(folder / "datasets"),
        "weights_dir": str(folder / "weights"),
        "runs_dir": str(folder / "runs"),
        "uuid": "0" * 64,
        "api_key": "",
        "openai_api_key": "",
    } | dict.fromkeys(_OFF, False)


def local_weights(name: str, *, folders: tuple[Path, ...] = ()) -> Path | None:
    """The weights file to start from, or None for a start from scratch.

    Args:
        name: Empty, an absolute path, or a path relative to one of ``folders``.
        folders: Where relative names are looked for.

    Raises:
        InputError: there is no such file; Ultralytics would download one instead.
    """
    if not name:
        return None
    candidates = [Path(name)] if Path(name).is_absolute() else [folder / name for folder in folders]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        looked = ", ".join(str(path.parent) for path in candidates) or "no folder"
        raise InputError(
            f"these weights are not on this machine (looked in {looked}), and nothing is downloaded",
            where=name,
            cure="Give the path of a .pt file that you have, or leave `weights` empty to train from scratch",
        )
    if found.suffix != ".pt":
        raise InputError("weights must be an Ultralytics .pt file", where=str(found), cure="Give a .pt file")
    return found


def usable_cores() -> int:
    """Cores this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def _already_isolated() -> Path:
    from ultralytics.utils import SETTINGS, SETTINGS_FILE

    if any(SETTINGS[key] for key in _OFF):
        raise JobError(
            "Ultralytics was imported before it was isolated",
            where=str(SETTINGS_FILE),
            cure="Call overflight.detection.isolation.isolate first in this process",
        )
    return Path(SETTINGS_FILE).parent.parent


def _put_font(path: Path) -> None:
    """A font at ``path``, so that no plot asks the network for Arial; nothing where matplotlib is not installed."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None or path.exists():
        return
    shutil.copyfile(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", path)
