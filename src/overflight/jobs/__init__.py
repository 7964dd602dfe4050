"""Programs that run inside a container or a local process under SageMaker's container contract."""
