"""Compiled core: comparison with the checkout that imports it.

`dataflows.core.compiled` is a library that an installation puts into the checkout. After a change
under `engine/`, or of the branch, it would be another version than the Python code beside it. So
the CRC-32 of its sources, which it contains, is compared at import. An installation without sources
has none to compare.
"""

from pathlib import Path
from zlib import crc32

ENGINE = Path(__file__).resolve().parent.parent / "engine"
REMEDY = "run `make build`, or `pip install -e .`"


def crc_of_sources(engine: Path) -> int:
    """CRC-32 of path and content of every source, as `engine/python/build.rs` computes it."""
    sources = [engine / "Cargo.toml"]
    for member in (engine / "core", engine / "python"):
        sources += [member / "Cargo.toml", *(member / "src").rglob("*.rs")]
    crc = 0
    for name in sorted(source.relative_to(engine).parts for source in sources):
        crc = crc32(engine.joinpath(*name).read_bytes(), crc32("/".join(name).encode(), crc))
    return crc


def check(engine: Path = ENGINE) -> None:
    """Compare the compiled core with the sources in the checkout.

    Raises:
        ImportError: it is missing, or was compiled from other sources.
    """
    try:
        from dataflows.core.compiled import sources  # noqa: PLC0415 - may be missing
    except ModuleNotFoundError as error:
        message = f"the compiled core: it is missing ({error}); {REMEDY}"
        raise ImportError(message) from error
    has_sources = (engine / "python" / "build.rs").is_file()
    if has_sources and sources() != crc_of_sources(engine):
        message = f"the compiled core: {engine} has changed since it was compiled; {REMEDY}"
        raise ImportError(message)
