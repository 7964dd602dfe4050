"""Runs ``model.onnx`` with ONNX Runtime on the CPU.

Knows tensors only: a batch of network inputs in, raw head out. It knows nothing of photos, tiles or classes by name.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overflight.errors import InputError, JobError

INPUT_NAME = "images"
OUTPUT_NAME = "output0"
_CURE = "Export the model again with the train job"


def available_cores() -> int:
    """CPU cores this process may use (affinity respected where the system knows it)."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS
    return len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)


class Engine:
    """One ONNX Runtime session; :meth:`infer` may be called from several threads.

    Args:
        graph: The ONNX file: input ``images`` float32 (N, 3, S, S), output ``output0``
            float32 (N, 4 + classes, anchors).
        input_px: S, the side of the square input.
        class_count: Number of classes.
        threads: Threads of one inference; default: the cores this process may use.

    Raises:
        InputError: the file is no ONNX graph, or its input or output is not as described.
    """

    def __init__(self, graph: Path, *, input_px: int, class_count: int, threads: int | None = None) -> None:
        # ONNX Runtime 1.32 reports to its makers on Linux unless this is set before the import.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads sleep instead of spinning: a laptop shares its cores with training and the browser.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise InputError(f"ONNX Runtime cannot load it ({error})", where=str(graph), cure=_CURE) from error
        self.input_px = input_px
        self.channels = 4 + class_count
        self._check_graph(graph)

    def _check_graph(self, graph: Path) -> None:
        inputs = {value.name: value.shape for value in self._session.get_inputs()}
        outputs = {value.name: value.shape for value in self._session.get_outputs()}
        shape = inputs.get(INPUT_NAME)
        if shape is None or list(shape[1:]) != [3, self.input_px, self.input_px]:
            raise InputError(
                f"input {INPUT_NAME!r} must be Nx3x{self.input_px}x{self.input_px}, the graph has {inputs}",
                where=str(graph),
                cure=_CURE,
            )
        head = outputs.get(OUTPUT_NAME)
        if head is None or len(head) != 3 or head[1] != self.channels:
            raise InputError(
                f"output {OUTPUT_NAME!r} must be Nx{self.channels}xanchors, the graph has {outputs}",
                where=str(graph),
                cure=_CURE,
            )

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw head of a batch.

        Args:
            batch: Float32 (N, 3, S, S), RGB, 0..1.

        Returns:
            Float32 (N, 4 + classes, anchors): cx, cy, w, h in input pixels, then one score per class in 0..1.

        Raises:
            JobError: the output holds a number that is not finite (the weights are damaged).
        """
        (raw,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: batch})
        head: NDArray[np.float32] = np.asarray(raw, dtype=np.float32)
        if not np.isfinite(head).all():
            raise JobError("the network's output holds numbers that are not finite", cure="Train the model again")
        return head

    def warm_up(self) -> None:
        """Run one empty input so that the first request does not pay for allocation."""
        self.infer(np.zeros((1, 3, self.input_px, self.input_px), dtype=np.float32))
