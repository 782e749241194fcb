"""The folder of a run."""

from pathlib import Path


def folder_of(path: str | Path) -> Path:
    """Return the run's folder, made if it is not there.

    Raises:
        ValueError: If no file can be written there.
    """
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".layerwright-can-write"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"Watch: cannot write into {folder} ({error.strerror}); name another folder.") from error
    return folder
