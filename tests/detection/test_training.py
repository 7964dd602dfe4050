"""Training in this process: reports, checkpoints, starting weights, and the errors that must not be hidden."""

from __future__ import annotations

import pytest

from overflight.detection.plan import EpochReport, TrainingPlan, TrainingStoppedError
from overflight.detection.recipes import load_recipe
from overflight.detection.tiles import open_tiles
from overflight.errors import JobError


def plan_for(tile_root, folder, **change) -> TrainingPlan:
    small = {"model": "yolo11p", "imgsz": 64, "epochs": 2, "batch": 4, "validate_every": 1}
    options = {name: change.pop(name) for name in ("weights", "seed", "bf16") if name in change}
    recipe = load_recipe("demo").model_copy(update=small | change)
    return TrainingPlan(tiles=open_tiles(tile_root), folder=folder, recipe=recipe, **({"seed": 0} | options))


@pytest.fixture(scope="module")
def trained(isolated, tile_root, tmp_path_factory):
    from overflight.detection.trainer import train

    reports: list[EpochReport] = []
    folder = tmp_path_factory.mktemp("training")
    return train(plan_for(tile_root, folder, bf16=False), reports.append), reports


class TestTraining:
    def test_reports_every_epoch(self, trained):
        _, reports = trained
        assert [(one.epoch, one.epochs) for one in reports] == [(1, 2), (2, 2)]
        assert set(reports[0].losses) == {"box_loss", "cls_loss", "dfl_loss"}
        assert {"map50", "map50_95", "recall"} <= set(reports[0].metrics)
        assert reports[0].images_per_s > 0
        assert reports[1].lr < reports[0].lr or reports[0].lr > 0

    def test_line_can_be_read_by_a_regular_expression(self):
        report = EpochReport(3, 9, {"box_loss": 1.25}, {"map50": 0.5}, images_per_s=10.0, lr=0.001, seconds=4.0)
        assert report.line() == "epoch=3; box_loss=1.25; map50=0.5; lr=0.001; images_per_s=10;"

    def test_checkpoint_is_a_plain_ultralytics_one(self, trained):
        import torch
        from ultralytics import YOLO

        result, _ = trained
        model = YOLO(result.checkpoint)
        assert type(model.model).__name__ == "DetectionModel"
        assert model.names == {0: "car", 1: "boat"}
        pixels = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            torch.testing.assert_close(model.model.eval()(pixels)[0], result.model(pixels)[0])

    def test_only_the_augmentation_of_the_recipe_is_applied(self, trained):
        import torch

        arguments = torch.load(trained[0].checkpoint, weights_only=False)["train_args"]
        assert arguments["augmentations"] == []  # None: what Ultralytics likes, if Albumentations is installed

    def test_starts_from_given_weights(self, trained, tile_root, tmp_path):
        import torch

        from overflight.detection.trainer import train

        result, _ = trained
        frozen = {"weights": result.checkpoint, "lr0": 1e-12, "epochs": 1, "warmup_epochs": 0.0, "bf16": False}
        again = train(plan_for(tile_root, tmp_path, **frozen), lambda report: None)
        first, second = (one.model.state_dict()["model.0.conv.weight"] for one in (result, again))
        torch.testing.assert_close(first, second, atol=1e-5, rtol=0)


class TestErrors:
    def test_stops_when_asked(self, isolated, tile_root, tmp_path):
        from overflight.detection.trainer import train

        with pytest.raises(TrainingStoppedError, match="stopped in epoch 1 of 2") as caught:
            train(plan_for(tile_root, tmp_path), lambda report: None, should_stop=lambda: True)
        assert caught.value.exit_code == 143
        assert not list(tmp_path.rglob("*.pt"))

    def test_loss_that_is_not_finite_is_an_error(self, isolated, tile_root, tmp_path, monkeypatch):
        from overflight.detection import trainer

        loss = trainer.networks.TrainableModel.loss

        def overflowing(self, batch, preds=None):
            total, items = loss(self, batch, preds)
            return total * float("nan"), items

        monkeypatch.setattr(trainer.networks.TrainableModel, "loss", overflowing)
        with pytest.raises(JobError, match=r"loss is not a finite number in epoch 1 after 4 of 8 tiles.*Lower lr0"):
            trainer.train(plan_for(tile_root, tmp_path), lambda report: None)

    def test_memory_that_does_not_suffice_never_changes_the_batch(self, isolated, tile_root, tmp_path, monkeypatch):
        from overflight.detection import trainer

        def exhausted(*_args, **_options):
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")

        monkeypatch.setattr(trainer.networks.TrainableModel, "loss", exhausted)
        with pytest.raises(JobError, match="memory does not suffice for batch=4"):
            trainer.train(plan_for(tile_root, tmp_path), lambda report: None)

    def test_damaged_tile_is_named(self, isolated, tile_root, tmp_path):
        import shutil

        from overflight.detection.trainer import train
        from overflight.errors import InputError

        copy = tmp_path / "tiles"
        shutil.copytree(tile_root, copy)
        tile = copy / "images" / "train" / "t1.jpg"
        whole = tile.read_bytes()
        tile.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match=r"t1\.jpg: unreadable image"):
            train(plan_for(copy, tmp_path / "work"), lambda report: None)
        assert tile.read_bytes() == whole[: len(whole) // 2], "inputs are never repaired in place"
