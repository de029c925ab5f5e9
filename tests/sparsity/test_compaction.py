"""Compaction: the compact network computes what the masked one does, and is as small as it can be."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import pytest
import torch
import torch_pruning
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from msbench.measure.flops import multiply_adds
from msbench.sparsity.compaction import compact, fold_batchnorm, prove
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from tests.sparsity import networks

BUILDERS = {
    "residual": networks.residual,
    "bottlenecks": networks.Bottlenecks,
    "pre-activation": networks.PreActivation,
    "unruly": networks.Unruly,
    "overwriting": networks.Overwriting,
}
IMAGES = [torch.randn(size, generator=torch.Generator().manual_seed(1)) for size in ((2, 3, 16, 24), (1, 3, 21, 13))]


@functools.cache
def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return networks.unsettle(BUILDERS[name](), seed=0)


def masked_copy(model: nn.Module, mask: Mask) -> nn.Module:
    masked = copy.deepcopy(model).eval()
    mask.apply(masked)
    return masked


def assert_same(model: nn.Module, mask: Mask) -> None:
    compaction = compact(model, mask, IMAGES[0])
    assert compaction.reason == ""
    masked = masked_copy(model, mask)
    proof = prove(masked, compaction.model, IMAGES, exact=compaction.exact)
    assert proof.equal, proof
    assert proof.max_abs_diff["float64"] < 1e-11
    assert multiply_adds(compaction.model, IMAGES[0]) <= multiply_adds(masked, IMAGES[0])


def random_mask(model: nn.Module, shares: list[float], seed: int, *, structured: bool) -> Mask:
    """Layer i keeps about shares[i modulo their number] of its input channels, or of its weights."""
    generator = torch.Generator().manual_seed(seed)
    kept = {}
    for index, layer in enumerate(Groups.of(model, "model").layers):
        weight = model.get_submodule(layer.name).weight
        shape = (layer.count,) if structured else weight.shape
        kept[layer.name] = torch.rand(shape, generator=generator) < shares[index % len(shares)]
    return Mask(kept)


@pytest.mark.parametrize("name", sorted(BUILDERS))
@settings(max_examples=10, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(
    shares=st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0, 1.0]), min_size=1, max_size=23),
    seed=st.integers(0, 2**20),
    structured=st.sampled_from([True, True, False]),
)
def test_outputs_are_equal_under_any_mask(name: str, shares: list[float], seed: int, structured: bool) -> None:
    model = network(name)

    assert_same(model, random_mask(model, shares, seed, structured=structured))


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_outputs_are_equal_when_one_whole_layer_is_dead(name: str) -> None:
    model = network(name)

    for layer in Groups.of(model, "model").layers:
        assert_same(model, Mask({layer.name: torch.zeros(layer.count)}))


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_outputs_are_equal_when_everything_is_dead(name: str) -> None:
    model = network(name)

    assert_same(model, Mask({layer.name: torch.zeros(layer.count) for layer in Groups.of(model, "model").layers}))


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_a_real_resnet_with_the_papers_heads_is_equal(share: float) -> None:
    from msbench.models.multitask import MultiTaskModel
    from msbench_plugins.backbones.resnet import ResNet
    from msbench_plugins.heads.deeplab import DeepLabV3

    torch.manual_seed(0)
    backbone = ResNet(depth=18, stem="papers").build()
    model = MultiTaskModel(backbone, {"seg": DeepLabV3(width=8).build(backbone, 3)}, ["seg"])
    networks.unsettle(model, seed=0)
    mask = random_mask(model, [1.0] + [share] * 9 + [0.0], seed=0, structured=True)

    assert_same(model, mask)


def chain() -> nn.Module:
    """3 -> 4 -> 5 -> 2 channels; 3*4*9 + 4*5*9 + 5*2 weights."""
    first = [nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
    second = [nn.Conv2d(4, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.ReLU()]
    return networks.unsettle(nn.Sequential(*first, *second, nn.Conv2d(5, 2, 1, bias=False)), seed=1)


CHAIN_MASK = Mask({"0": torch.tensor([1, 0, 1]), "3": torch.tensor([1, 0, 1, 0]), "6": torch.tensor([0, 1, 0, 0, 1])})


def test_a_chain_keeps_exactly_the_channels_that_are_read() -> None:
    report = compact(chain(), CHAIN_MASK, IMAGES[0]).report

    assert report.channels == {"0": (2, 2), "3": (2, 2), "6": (2, 2)}
    # weights 2*2*9 twice and 2*2, biases from the two folded batch-norms
    assert report.compact_parameters == 36 + 36 + 4 + 2 + 2
    assert report.dense_parameters == 108 + 180 + 10 + 8 + 10
    assert report.removed == ()


def test_a_chain_is_as_small_as_torch_pruning_makes_it() -> None:
    model, pruned = chain(), chain()
    graph = torch_pruning.DependencyGraph().build_dependency(pruned, IMAGES[0])
    torch_pruning.prune_conv_in_channels(pruned[0], [1])
    for layer, dropped in ((pruned[3], [1, 3]), (pruned[6], [0, 2, 3])):
        graph.get_pruning_group(layer, torch_pruning.prune_conv_in_channels, dropped).prune()

    compaction = compact(model, CHAIN_MASK, IMAGES[0])

    image = IMAGES[0][:, [0, 2]]
    torch.testing.assert_close(compaction.model(IMAGES[0]), pruned(image), rtol=1e-4, atol=1e-5)
    assert multiply_adds(compaction.model, IMAGES[0]) == multiply_adds(pruned, image)


def test_residual_channels_that_nobody_reads_leave_every_producer() -> None:
    model = network("bottlenecks")
    read = torch.tensor([1, 0, 1, 0] * 3)
    mask = Mask(dict.fromkeys(("blocks.1.conv1", "blocks.2.conv1", "predict"), read))

    channels = compact(model, mask, IMAGES[0]).report.channels

    producers = ("blocks.0.conv3", "blocks.0.downsample.0", "blocks.1.conv3", "blocks.2.conv3")
    assert {channels[name][1] for name in producers} == {6}
    assert {channels[name][0] for name in mask} == {6}


def test_readers_that_agree_share_one_selection() -> None:
    model = network("bottlenecks")
    some = torch.tensor([1, 0, 1, 0, 0, 1])
    mask = Mask({"blocks.0.conv1": some, "blocks.0.downsample.0": some})
    partial = Mask({"blocks.0.conv1": some})

    def selections(mask: Mask) -> int:
        small = compact(model, mask, IMAGES[0]).model
        return sum(node.target is torch.index_select for node in small.graph.nodes)

    assert selections(mask) == 0  # the stem does not even compute what neither reads
    assert selections(partial) == 1


def test_a_dead_branch_costs_nothing() -> None:
    model = network("bottlenecks")
    mask = Mask({"blocks.1.conv2": torch.zeros(3)})

    report = compact(model, mask, IMAGES[0]).report

    assert report.removed == ("blocks.1.conv1", "blocks.1.conv2", "blocks.1.conv3")


def test_border_maps_are_computed_once_a_size() -> None:
    model = network("bottlenecks")
    small = compact(model, Mask({"blocks.1.conv1": torch.zeros(12)}), IMAGES[0]).model
    calls = []
    small.size_maps.maps.register_forward_hook(lambda *_: calls.append(1))

    with torch.no_grad():
        for image in (IMAGES[0], IMAGES[0][:1] + 1, IMAGES[1], IMAGES[1]):
            small(image)

    assert len(calls) == 2


def test_border_maps_follow_loaded_weights() -> None:
    model = network("bottlenecks")
    small = compact(model, Mask({"blocks.1.conv1": torch.zeros(12)}), IMAGES[0]).model
    with torch.no_grad():
        before = small(IMAGES[0])["seg"].clone()
        small.load_state_dict(
            {name: 2 * value for name, value in small.state_dict().items() if value.is_floating_point()}, strict=False
        )
        fresh = copy.deepcopy(small)
        fresh.size_maps._kept = None
        assert not torch.allclose(before, small(IMAGES[0])["seg"])
        assert torch.equal(small(IMAGES[0])["seg"], fresh(IMAGES[0])["seg"])


@pytest.mark.parametrize("dead", [(), ("blocks.1.conv1",)], ids=["dense", "border"])
def test_a_compact_network_can_be_exported(dead: tuple[str, ...]) -> None:
    mask = Mask({name: torch.zeros(12) for name in dead})
    small = compact(network("bottlenecks"), mask, IMAGES[0]).model

    exported = torch.export.export(small, (IMAGES[0],)).module()

    with torch.no_grad():
        torch.testing.assert_close(exported(IMAGES[0])["seg"], small(IMAGES[0])["seg"])


def test_what_is_kept_whole_is_reported() -> None:
    report = compact(network("unruly"), Mask({}), IMAGES[0]).report

    kinds = {reason.rpartition("(")[2].rstrip(")") for reason in report.whole}
    assert {"Conv2d", "GroupNorm", "ConvTranspose2d", "view", "flip"} <= kinds
    assert compact(network("residual"), Mask({}), IMAGES[0]).report.whole == ()


def test_a_network_that_cannot_be_traced_comes_back_masked_with_the_reason() -> None:
    model = networks.unsettle(networks.Branching(), seed=0)
    mask = Mask({"first": torch.tensor([1, 0, 1])})

    compaction = compact(model, mask, IMAGES[0])

    assert "control flow" in compaction.reason
    assert torch.equal(compaction.model(IMAGES[0]), masked_copy(model, mask)(IMAGES[0]))
    assert compaction.report.compact_parameters == compaction.report.dense_parameters == 3 * 4 * 9 + 4


def test_the_model_and_the_generators_are_left_alone() -> None:
    model = copy.deepcopy(network("residual")).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()

    compact(model, random_mask(model, [0.5, 0.0], seed=0, structured=True), IMAGES[0])

    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_dtype_of_the_model_is_kept() -> None:
    model = copy.deepcopy(network("bottlenecks")).double()

    small = compact(model, Mask({}), IMAGES[0]).model

    assert {value.dtype for value in small.parameters()} == {torch.float64}


@pytest.mark.parametrize("name", ["residual", "bottlenecks", "pre-activation", "overwriting"])
def test_folding_batchnorm_changes_no_output(name: str) -> None:
    model = copy.deepcopy(network(name)).double()
    images = [image.double() for image in IMAGES]

    folded = fold_batchnorm(model, images[0])

    assert prove(model, folded, images, {"float64": 1e-12}).equal
    foldable = name != "pre-activation"
    assert any(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) != foldable


def wrong(change: Callable[[Tensor], Tensor]) -> nn.Module:
    model = chain()
    model.register_forward_hook(lambda _module, _inputs, output: change(output))
    return model


def test_proof_finds_a_difference_at_one_border_pixel() -> None:
    def nudge(output: Tensor) -> Tensor:
        output = output.clone()
        output[0, 0, -1, -1] += 1e-3
        return output

    proof = prove(chain(), wrong(nudge), IMAGES)

    assert not proof.equal
    assert proof.max_abs_diff["float64"] == pytest.approx(1e-3)
    assert proof.per_task == {"output": proof.max_abs_diff}
    assert proof.reason.startswith("output: outputs differ by 0.001")


@pytest.mark.parametrize(
    "change", [lambda y: y * float("nan"), lambda y: y[:, :1], lambda y: y[..., :-1]], ids=["nan", "broadcast", "size"]
)
def test_proof_refuses_what_is_not_a_number_or_has_another_shape(change: Callable[[Tensor], Tensor]) -> None:
    proof = prove(chain(), wrong(change), IMAGES)

    assert not proof.equal
    assert proof.max_abs_diff["float32"] == float("inf")


def test_proof_tolerance_grows_with_large_outputs_only() -> None:
    scaled, nudged = wrong(lambda y: y / y.abs().max() * 100), wrong(lambda y: y / y.abs().max() * 100 + 5e-3)

    assert prove(scaled, nudged, IMAGES, {"float32": 1e-4}).equal
    assert not prove(scaled, nudged, IMAGES, {"float32": 1e-5}).equal
