"""Two jobs of one Krita add their results one after the other, however the first one ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import assemble
import pytest
import words

TURNS = Path(assemble.__file__).parent / "krita" / "glihamba_krita" / "turns.py"


class Story(list[str]):
    """What happened, in order."""

    def steps(self, name: str, fault: Exception | None = None) -> Any:
        self.append(f"{name} begins")
        yield None
        if fault is not None:
            raise fault
        self.append(f"{name} ends")
        return name


@pytest.fixture
def turns() -> Any:
    return words.load(TURNS).Turns()


@pytest.fixture
def story() -> Story:
    return Story()


def finished(steps: Any) -> Any:
    """What the steps return when they are taken to their end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_the_second_waits_for_the_first(turns: Any, story: Story) -> None:
    first, second = turns.hold(story.steps("first")), turns.hold(story.steps("second"))
    next(first)
    for _ in range(3):
        next(second)
    assert story == ["first begins"]
    assert finished(first) == "first"
    assert finished(second) == "second"
    assert story == ["first begins", "first ends", "second begins", "second ends"]


def test_they_go_in_the_order_they_came(turns: Any, story: Story) -> None:
    jobs = [turns.hold(story.steps(name)) for name in "abc"]
    for job in jobs:
        next(job)
    finished(jobs[0])
    next(jobs[2])  # asks first, but came after b
    assert story == ["a begins", "a ends"]
    finished(jobs[1])
    finished(jobs[2])
    assert story == ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]


def test_an_exception_passes_the_turn_on(turns: Any, story: Story) -> None:
    first, second = turns.hold(story.steps("first", OSError("gone"))), turns.hold(story.steps("second"))
    next(first)
    next(second)
    with pytest.raises(OSError, match="gone"):
        next(first)
    assert finished(second) == "second"


def test_a_closed_generator_passes_the_turn_on(turns: Any, story: Story) -> None:
    first, second = turns.hold(story.steps("first")), turns.hold(story.steps("second"))
    next(first)
    next(second)
    first.close()
    assert finished(second) == "second"
    assert story == ["first begins", "second begins", "second ends"]


def test_one_that_is_closed_while_it_waits_leaves_the_queue(turns: Any, story: Story) -> None:
    first, second, third = (turns.hold(story.steps(name)) for name in ("first", "second", "third"))
    for job in (first, second, third):
        next(job)
    second.close()
    finished(first)
    assert finished(third) == "third"
    assert "second begins" not in story


def test_one_that_was_never_begun_holds_nobody_up(turns: Any, story: Story) -> None:
    turns.hold(story.steps("first")).close()
    assert finished(turns.hold(story.steps("second"))) == "second"
