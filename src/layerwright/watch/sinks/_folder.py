"""Creates the folder of a run."""

from pathlib import Path


def writable_folder(path: str | Path) -> Path:
    """Return the run's folder; create it if it does not exist.

    Raises:
        ValueError: If no file can be written into it.
    """
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".layerwright-can-write"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"Watch: cannot write into {folder} ({error.strerror}); choose another folder.") from error
    return folder
