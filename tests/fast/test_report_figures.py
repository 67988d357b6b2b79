"""The redrawn figures show the numbers they are given, and can share a page."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from icl_claims.report.drawing import COLOURS, SERIES
from icl_claims.report.figures import draw_pictures
from tests.fast.sample_claims import sample_document

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def pictures():
    numbers = sample_document(1)["pictures"]["embedded"]
    return {picture.name: picture for picture in draw_pictures(numbers, "embedded")}


def test_every_kind_of_picture_is_drawn(pictures):
    kinds = ("changes", "gradient-norms", "sim-aou-by-layer", "sim-am-by-layer", "sim-am-update-by-layer", "clip-sweep")
    assert list(pictures) == [f"{kind}-embedded" for kind in kinds]


def test_what_is_missing_is_left_out():
    assert list(draw_pictures({}, "embedded")) == []
    assert list(draw_pictures({"changes": {}, "by_layer": {}, "values": {}}, "embedded")) == []


def test_pictures_share_no_id_and_every_reference_is_met(pictures):
    texts = [picture.inline() for picture in pictures.values()]
    ids = [found for text in texts for found in re.findall(r'\bid="([^"]+)"', text)]
    referred = {found for text in texts for found in re.findall(r'(?:url\(|href=")#([^)"]+)', text)}
    assert len(set(ids)) == len(ids)
    assert referred <= set(ids)


def test_a_picture_has_a_text_alternative_and_page_colours(pictures):
    for picture in pictures.values():
        text = picture.inline()
        root = ElementTree.fromstring(text)
        assert root.get("role") == "img"
        assert "SST2" in root.get("aria-label")
        assert not any(colour in text for colour in COLOURS.values())
        assert list(root.iter(f"{SVG}style")) == []


def test_heat_maps_show_layers_up_and_demonstrations_right():
    steps = [[1.0, 10.0, 100.0], [1.0, 10.0, 1000.0]]  # two steps of three layers
    [picture] = draw_pictures({"gradient_norms": {"subj": {"finetuning": steps}}}, "embedded")
    encoded = re.search(r'href="data:image/png;base64,\s*([^"]+)"', picture.inline())[1]
    brightness = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L"), dtype=float)
    assert brightness.shape == (3, 2)
    down = brightness if "scale(1 -1)" not in picture.inline() else brightness[::-1]
    assert down[:, 0].tolist() == sorted(down[:, 0], reverse=True) or down[:, 0].tolist() == sorted(down[:, 0])
    assert abs(brightness[:, 1] - brightness[:, 0]).max() > 0


def test_norms_that_are_zero_or_missing_do_not_stop_a_picture():
    norms = {"subj": {"finetuning": [[0.0, None], [0.0, None]]}, "cb": {"layer_causal": []}}
    [picture] = draw_pictures({"gradient_norms": norms}, "embedded")
    assert picture.inline()


def test_counts_of_changes_are_told_in_words(pictures):
    assert "SST2: 12 correct and 3 incorrect changed by both" in pictures["changes-embedded"].alt


def test_the_nulls_are_a_band_and_no_line(pictures):
    [axis, *_] = pictures["sim-aou-by-layer-embedded"].figure.axes
    assert len(axis.collections) == 1
    assert len(axis.lines) == 4 + 1  # the papers' own methods, and the line at 0


def test_a_readers_own_method_gets_a_line_and_its_null_none():
    legend = {
        "mine": {"title": "my method", "null": False, "drawn": True, "look": None},
        "gaussian_of_mine": {"title": "as long as mine", "null": True, "drawn": False, "look": None},
        "variant": {"title": "a variant", "null": False, "drawn": False, "look": None},
        "my_metric": {"title": "my metric", "null": False, "drawn": True, "look": None},
    }
    by_layer = {"subj": {"my_metric": {name: [0.1, 0.2] for name in (*list(legend)[:3], "finetuning")}}}
    [picture] = draw_pictures({"legend": legend, "by_layer": by_layer}, "tiny")
    [axis] = picture.figure.axes
    assert [line.get_label() for line in axis.lines[:-1]] == ["finetuning", "my method"]
    assert len(axis.collections) == 1
    assert picture.title == "My metric by layer"


def contrast(one, other):
    def luminance(colour):
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_series_stands_out_from_paper():
    assert min(contrast(colour, "#faf9f5") for colour in SERIES) >= 3


def as_seen_without(matrix, colour):
    return matrix @ np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


@pytest.mark.parametrize(
    "matrix",
    [
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],  # deuteranopia (Machado et al. 2009)
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],  # protanopia
    ],
)
def test_the_first_three_series_differ_for_colour_blind_readers(matrix):
    seen = [as_seen_without(np.array(matrix), colour) for colour in SERIES[:3]]
    assert min(np.abs(seen[i] - seen[j]).max() for i in range(3) for j in range(i)) > 40
