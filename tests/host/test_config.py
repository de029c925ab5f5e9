"""Configuration: every value typed, every misspelling answered with the nearest right one."""

from __future__ import annotations

from typing import Any

import pytest

from msbench.config import Experiment
from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.selection import split


def make(plugins: Plugins, *overrides: str, **kwargs: Any) -> Experiment:
    asked = {"sparsifiers": ["one_shot_magnitude"], "budget": "0.5", "seeds": [0], "choices": {}, **kwargs}
    return experiment(plugins, overrides=overrides, **asked)


def test_defaults_are_the_quick_preset_on_rooms(plugins: Plugins) -> None:
    found = make(plugins)
    assert (found.preset, found.data.name, found.model.name) == ("quick", "rooms", "quick")
    assert found.tasks == ("segmentation", "depth", "normals")
    assert found.budget.mode == "share"
    assert found.budget.share == 0.5


def test_overrides_reach_their_place_and_are_typed(plugins: Plugins) -> None:
    found = make(plugins, "training.samples=640", "data.size=xs", "tasks=[depth]", "model.backbone.width=8")
    assert found.training.samples == 640
    assert found.data.params["size"] == "xs"
    assert found.tasks == ("depth",)
    assert found.model.backbone.params["width"] == 8


def test_a_flag_chooses_and_a_preset_can_be_overridden(plugins: Plugins) -> None:
    found = make(plugins, "training.batch=4", choices={"preset": "smoke", "model": "quick"})
    assert (found.preset, found.model.name, found.data.params["size"]) == ("smoke", "quick", "xs")
    assert found.training.batch == 4


def test_naming_another_class_drops_the_parameters_of_the_one_before(plugins: Plugins) -> None:
    found = make(plugins, "model.backbone.name=resnet", "model.backbone.depth=18")
    assert found.model.backbone.params["depth"] == 18
    assert "width" not in found.model.backbone.params


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainig.batch=8", "unknown key 'trainig': did you mean 'training'"),
        ("training.bath=8", "unknown key 'training.bath': did you mean 'batch'"),
        ("training.batch=many", "training.batch='many': input should be a valid integer"),
        ("training.batch=0", "training.batch=0: input should be greater than or equal to 2"),
        ("training.balancer=uncertanty", "unknown loss balancer 'uncertanty': did you mean 'uncertainty'"),
        ("data.sise=xs", "unknown key 'data.sise' for 'rooms': did you mean 'size'"),
        ("data.size=huge", "size"),
        ("tasks=[dept]", "unknown task 'dept' of dataset 'rooms': did you mean 'depth'"),
        ("model.backbone.widht=8", "unknown key 'model.backbone.widht' for 'small_resnet': did you mean 'width'"),
        ("model=quik", "unknown model 'quik': did you mean 'quick'"),
        ("preset=smok", "unknown preset 'smok': did you mean 'smoke'"),
        ("sparsifier.dense_shar=0.3", "unknown key 'sparsifier.dense_shar': none of one_shot_magnitude has it"),
        ("sparsifier.dense_share=2", "sparsifier.dense_share=2: input should be less than 1"),
        ("engine.job=2", "unknown key 'engine.job': did you mean 'jobs'"),
        ("budget.scope=head", "budget.scope='head': input should be 'backbone' or 'model'"),
        ("control=random", "control=random: it removes weights"),
        ("training.samples=4", "training.samples=4: less than one batch of 8"),
        ("model.vector_head.name=light", "model.vector_head.name=light: not a vector head; known: two_layer"),
        ("training.batch", "is no override: write key=value"),
        ("training.batch=1,2", "sweeps and deletions are not supported"),
        ("training.batch=[", "cannot read 'training.batch=\\['"),
    ],
)
def test_bad_overrides_get_one_clear_line(plugins: Plugins, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make(plugins, override)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"sparsifiers": ["one_shoot"]}, "unknown sparsifier 'one_shoot': did you mean 'one_shot'"),
        ({"sparsifiers": ["one_shot[dense_share=0.1"]}, "a bracket is not closed"),
        ({"sparsifiers": ["one_shot[dense_shar=0.1]"]}, "unknown key 'sparsifier.dense_shar' for 'one_shot'"),
        ({"budget": "1.5"}, "a share of weights to remove lies between 0 and 1"),
        ({"budget": "machted"}, "unknown budget 'machted': did you mean 'matched'"),
        ({"budget": "natural"}, "one_shot_magnitude has no sparsity of its own"),
        ({"choices": {"dataset": "camvidd"}}, "unknown dataset 'camvidd': did you mean 'camvid'"),
    ],
)
def test_bad_flags_get_one_clear_line(plugins: Plugins, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(plugins, **asked)


def test_selection_language(plugins: Plugins) -> None:
    found = make(plugins, sparsifiers=["dense,group_lasso[lam=1e-4,steer=0]", "one_shot[criterion=random]"])
    names = [sparsifier.name for sparsifier in found.sparsifiers]
    assert names == ["dense", "group_lasso[lam=1e-4,steer=0]", "one_shot[criterion=random]"]
    assert found.sparsifiers[1].params["lam"] == 1e-4
    assert found.sparsifiers[1].params["prox_metric"] == "euclidean"
    assert found.sparsifiers[2].params["criterion"] == "random"


def test_all_means_every_variant(plugins: Plugins) -> None:
    names = {s.name for s in make(plugins, sparsifiers=["all"]).sparsifiers}
    assert {"dense", "meta_sparsity", "meta_sparsity_direct", "group_lasso", "group_lasso_adaptive"} <= names
    assert {"one_shot_magnitude", "random"} <= names
    assert "one_shot" not in names
    natural = {s.name for s in make(plugins, sparsifiers=["all"], budget="natural").sparsifiers}
    assert "random" not in natural
    assert "meta_sparsity" in natural


def test_shared_parameters_go_where_they_exist(plugins: Plugins) -> None:
    found = make(plugins, "sparsifier.dense_share=0.25", sparsifiers=["random", "group_lasso"])
    assert found.sparsifiers[0].params["dense_share"] == 0.25
    assert "dense_share" not in found.sparsifiers[1].params


def test_split_respects_brackets() -> None:
    assert split("a, b[x=1,y=[2,3]],c") == ["a", "b[x=1,y=[2,3]]", "c"]
