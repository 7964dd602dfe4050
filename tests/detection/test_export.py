"""The exported network computes what the trained one does, for any batch; Ultralytics opens the checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from overflight.detection.recipes import architecture
from overflight.errors import JobError


@pytest.fixture(scope="module")
def network(isolated):
    """A small network with random weights and statistics, as if trained."""
    import torch

    from overflight.detection.model import TrainableModel, plain_copy

    torch.manual_seed(0)
    model = TrainableModel(architecture("yolo11p"), ch=3, nc=3, verbose=False)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return plain_copy(model)


@pytest.fixture(scope="module")
def graph(network, tmp_path_factory):
    from overflight.detection.export import export_onnx

    path = tmp_path_factory.mktemp("model") / "model.onnx"
    assert export_onnx(network, path, imgsz_px=96) < 1e-3
    return path


class TestOnnx:
    @pytest.mark.parametrize("count", [1, 3])
    def test_computes_the_same_for_any_batch(self, graph, network, count):
        import onnxruntime
        import torch

        pixels = np.random.default_rng(count).random((count, 3, 96, 96), dtype=np.float32)
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        actual = session.run(["output0"], {"images": pixels})[0]
        with torch.no_grad():
            expected = network(torch.from_numpy(pixels))[0].numpy()
        assert actual.shape == (count, 4 + 3, 12 * 12 + 6 * 6)
        np.testing.assert_allclose(actual, expected, atol=1e-3 * 96)
        assert actual[:, 4:].min() >= 0
        assert actual[:, 4:].max() <= 1

    def test_declares_names_and_sizes(self, graph):
        import onnxruntime

        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        assert [(one.name, one.shape) for one in session.get_inputs()] == [("images", ["batch", 3, 96, 96])]
        assert [(one.name, one.shape) for one in session.get_outputs()] == [("output0", ["batch", 7, 180])]

    def test_leaves_the_network_as_it_was(self, graph, network):
        assert any("bn" in name for name, _ in network.named_modules()), "fusing happened on a copy"
        assert network.model[-1].export is False

    def test_difference_is_an_error(self, network, tmp_path, monkeypatch):
        from overflight.detection import export

        monkeypatch.setattr(export, "TOLERANCE", -1.0)
        with pytest.raises(JobError, match="differs from the trained one"):
            export.export_onnx(network, tmp_path / "model.onnx", imgsz_px=64)


class TestModel:
    def test_class_prior_follows_the_data(self, isolated):
        import torch

        from overflight.detection.model import TrainableModel, set_class_prior

        model = TrainableModel(architecture("yolo11p"), ch=3, nc=3, verbose=False)
        set_class_prior(model, boxes_per_class=[2.0, 0.5, 0.0], imgsz_px=320)
        prior = torch.sigmoid(model.model[-1].cv3[0][-1].bias.detach()).numpy()
        np.testing.assert_allclose(prior, np.array([10.0, 2.5, 0.05]) / (40 * 40 + 20 * 20), rtol=1e-5)

    def test_bf16_pass_gives_float32_close_to_the_exact_one(self, isolated):
        import torch

        from overflight.detection.model import TrainableModel

        torch.manual_seed(0)
        model = TrainableModel(architecture("yolo11p"), ch=3, nc=3, verbose=False).train()
        pixels = torch.rand(2, 3, 64, 64)
        exact = model.predict(pixels)
        model.bf16 = True
        mixed = model.predict(pixels)
        assert {mixed[name].dtype for name in ("boxes", "scores")} == {torch.float32}
        assert [tuple(maps.shape) for maps in mixed["feats"]] == [tuple(maps.shape) for maps in exact["feats"]]
        assert float((mixed["scores"] - exact["scores"]).detach().abs().mean()) < 0.1
