"""The compiled core fits its checkout, or is refused; a panic in it is an exception."""

import shutil
from pathlib import Path

import msgspec
import pytest

from dataflows.compiled_core import ENGINE, check
from dataflows.core import compiled
from dataflows.core.set_aside import fault_of


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A copy of the sources."""
    ignored = shutil.ignore_patterns("target")
    return Path(shutil.copytree(ENGINE, tmp_path / "engine", ignore=ignored))


def test_the_compiled_core_fits_the_checkout(engine: Path) -> None:
    check()
    check(engine)


@pytest.mark.parametrize("change", ["a source", "a new source", "a name", "a dependency"])
def test_a_core_that_was_compiled_from_other_sources_is_refused_with_the_remedy(
    engine: Path, change: str
) -> None:
    source = engine / "core" / "src" / "instants.rs"
    if change == "a source":
        source.write_text(source.read_text().replace("60_000", "60_001"))
    elif change == "a new source":
        (source.parent / "resolver" / "extra.rs").touch()
    elif change == "a name":
        source.rename(source.with_name("instant.rs"))
    else:
        manifest = engine / "python" / "Cargo.toml"
        manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(ImportError, match="has changed since it was compiled; run `make build`"):
        check(engine)


def test_an_installation_without_sources_is_not_compared(tmp_path: Path) -> None:
    check(tmp_path / "engine")


def test_a_panic_is_an_exception_that_sets_aside_what_raised_it() -> None:
    with pytest.raises(RuntimeError) as raised:
        compiled.panic("index 7")
    assert isinstance(raised.value, Exception)
    fault = fault_of("o1", raised.value)
    assert fault.reason.startswith("RuntimeError: panic in the compiled core: index 7")


def test_a_number_that_cannot_be_registered_is_named_and_the_others_are_registered() -> None:
    day_ms = 86_400_000
    numbers = compiled.Numbers(day_ms, day_ms, day_ms, 50, 2_000)
    offered = [("W1", "o1", "", -1, 0), ("W2", "o" * 65_536, "", 0, 0), ("W3", "o1", "", 0, 0)]
    numbers.offer(compiled.Registrations(msgspec.msgpack.encode(offered)))
    ended, faults = numbers.register_through(0, {})
    assert ended is None
    assert faults == [
        ("W1", "instant -1 is before 1970 or after 2149"),
        ("W2", "a text of 65536 bytes exceeds its limit of 65535"),
    ]
    assert len(numbers) == 1


def test_damaged_registrations_are_refused() -> None:
    whole = msgspec.msgpack.encode([("W1", "o1", "", 0, 0)])
    later = msgspec.msgpack.encode([("W1", "o1", "", 0, 1 << 63)])
    for packed in (whole[:-1], later, b"\x91\x90"):
        with pytest.raises(ValueError, match="damaged"):
            compiled.Registrations(packed)
