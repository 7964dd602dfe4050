"""Training and evaluating YOLO11 detectors; the only package that knows torch and Ultralytics."""
