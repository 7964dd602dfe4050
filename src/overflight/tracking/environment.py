"""What a job runs on: interpreter, machine, versions of the libraries that decide results, state of the source code.

Read without importing any of the libraries. Knows nothing of MLflow.
"""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "overflight",
    "torch",
    "torchvision",
    "ultralytics",
    "onnxruntime",
    "numpy",
    "opencv-python",
    "simplejpeg",
    "mlflow",
)


@dataclass(frozen=True)
class Environment:
    """Facts about one process.

    Attributes:
        python: Version of the interpreter.
        platform: System, release and architecture.
        cpu: Model name of the processor.
        cpus: Cores this process may use.
        memory_mib: Memory of the machine (MiB), 0 when unknown.
        packages: Versions of installed libraries by distribution name.
        git_commit: Commit of Overflight's source, empty outside a repository.
        git_dirty: Whether tracked source files differ from that commit, None outside a repository.
    """

    python: str
    platform: str
    cpu: str
    cpus: int
    memory_mib: int
    packages: dict[str, str] = field(default_factory=dict)
    git_commit: str = ""
    git_dirty: bool | None = None

    def as_params(self) -> dict[str, str]:
        """Flat names for MLflow; what is not known is absent."""
        values = {
            "env.python": self.python,
            "env.platform": self.platform,
            "env.cpu": self.cpu,
            "env.cpus": str(self.cpus),
            "env.memory_mib": str(self.memory_mib) if self.memory_mib else "",
            **{f"env.{name}": version for name, version in self.packages.items()},
            "env.git_commit": self.git_commit,
            "env.git_dirty": "" if self.git_dirty is None else str(self.git_dirty).lower(),
        }
        return {name: value for name, value in values.items() if value}


def read_environment(source: Path | None = None) -> Environment:
    """The environment of this process; ``source`` is a file of the code that runs (default: this package's)."""
    commit, dirty = git_state(source or Path(__file__))
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=_cpu_model(),
        cpus=_cpus(),
        memory_mib=_memory_mib(),
        packages=_versions(),
        git_commit=commit,
        git_dirty=dirty,
    )


def git_state(source: Path) -> tuple[str, bool | None]:
    """Commit and dirty flag of the repository that tracks the file ``source``; ``("", None)`` when none does."""
    folder = source.parent
    if _git(folder, "ls-files", "--error-unmatch", source.name) is None:
        return "", None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return "", None
    return commit.strip(), bool(changes.strip())


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):  # no git on this machine, or a repository on a slow network disk
        return None
    return done.stdout if done.returncode == 0 else None


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpus() -> int:
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _memory_mib() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (ValueError, OSError):  # a system without these names
        return 0
