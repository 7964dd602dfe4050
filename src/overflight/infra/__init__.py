"""The CloudFormation templates that go to AWS, and their values when they are resolved on this machine."""
