"""What the tests of pipelines share: a small definition with one step of each kind, and the training pipeline."""

from __future__ import annotations

from typing import Any

import pytest
from every_kind import every_kind

from overflight.pipelines.definition import to_document
from overflight.pipelines.train import TrainPipelineConfig, train_pipeline


@pytest.fixture
def definition() -> dict[str, Any]:
    return to_document(every_kind())


@pytest.fixture
def train_config() -> TrainPipelineConfig:
    role = "arn:aws:iam::123456789012:role/overflight"
    return TrainPipelineConfig(
        bucket="overflight-123456789012-eu-central-1",
        prepare_role_arn=f"{role}-prepare",
        train_role_arn=f"{role}-train",
        evaluate_role_arn=f"{role}-evaluate",
    )


@pytest.fixture
def train_definition(train_config: TrainPipelineConfig) -> dict[str, Any]:
    return to_document(train_pipeline(train_config))
