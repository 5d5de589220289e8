"""Images and their parts are chosen by rule."""

import numpy as np

from segsuite.report.crops import Window, choose, window

A = np.array([0.9, 0.5, 0.1, 0.6, 0.8])
B = np.array([0.2, 0.5, 0.2, 0.1, 0.7])


def test_images_follow_the_rules_in_order() -> None:
    chosen = choose({"a": A, "b": B}, range(5))
    # Gaps .7 0 .1 .5 .1; means .55 .5 .15 .35 .75 with the median .5.
    assert [(choice.image, choice.why) for choice in chosen] == [
        (0, "arms disagree most"),
        (3, "arms disagree next most"),
        (1, "median image"),
        (2, "worst image"),
    ]


def test_only_candidates_are_chosen() -> None:
    assert {choice.image for choice in choose({"a": A, "b": B}, [1, 4])} == {1, 4}


def test_a_single_arm_disagrees_with_nobody() -> None:
    assert [choice.why for choice in choose({"a": A}, range(5))] == ["median image", "worst image"]


def test_an_image_without_a_label_is_not_chosen() -> None:
    assert choose({"a": np.array([np.nan])}, [0]) == []


def test_the_window_is_where_arms_disagree() -> None:
    label = np.zeros((20, 30), dtype=np.uint8)
    other = label.copy()
    other[12:16, 22:26] = 1
    part = window(label, [label, other], 6, 8)
    assert part.of(other).sum() == 16


def test_void_does_not_attract_the_window() -> None:
    label = np.zeros((20, 30), dtype=np.uint8)
    other = label.copy()
    other[0:6, 0:6] = 1
    label[0:6, 0:6] = 255
    other[18, 28] = 1
    part = window(label, [np.zeros_like(label), other], 4, 4)
    assert part.top + part.height > 18
    assert part.left + part.width > 28


def test_a_small_image_is_shown_whole() -> None:
    label = np.zeros((5, 7), dtype=np.uint8)
    assert window(label, [label, label + 1], 100, 100) == Window(0, 0, 5, 7)


def test_agreement_shows_the_middle() -> None:
    label = np.zeros((10, 10), dtype=np.uint8)
    assert window(label, [label, label], 4, 4) == Window(3, 3, 4, 4)
