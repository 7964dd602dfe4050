"""Sessions and objects: AWS, or an AWS account in a folder."""
