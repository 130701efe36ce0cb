"""Version of a published order: the generation of the state in front of its count of changes.

version = generation × 2^40 + changes

A state that is recreated counts changes from 1 again. Its generation is higher, so that all of its
documents are newer than every document before it, for consumers that compare versions only. Both
parts fit below 2^53: Redis' Lua compares doubles.
"""

CHANGES_BITS = 40
MAX_GENERATION = 2 ** (53 - CHANGES_BITS) - 1


def published_version(generation: int, changes: int) -> int:
    """Version of an order after so many changes, in a state of this generation."""
    return (generation << CHANGES_BITS) + changes


def generation_of(version: int) -> int:
    """Generation of the state that published this version."""
    return version >> CHANGES_BITS


def changes_of(version: int) -> int:
    """Count of changes in a published version."""
    return version & ((1 << CHANGES_BITS) - 1)
