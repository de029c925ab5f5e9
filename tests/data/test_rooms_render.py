"""The renderer against closed forms, and against slow ray casting of single rays."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from msbench_plugins.datasets.rooms.builder import Footprint, Shape
from msbench_plugins.datasets.rooms.choose import choose_scenes, worth_keeping
from msbench_plugins.datasets.rooms.draw import Draw
from msbench_plugins.datasets.rooms.filters import sobel
from msbench_plugins.datasets.rooms.labels import NYU13, NYU13_OF_NYU40, NYU40, Nyu40
from msbench_plugins.datasets.rooms.render import Rendered, render
from msbench_plugins.datasets.rooms.scene import sample_scene
from msbench_plugins.datasets.rooms.texture import lattice
from tests.data.rooms_oracle import cast, hand_made, ray_through, solid

SIZE = 32


def slopes(size: int = SIZE) -> tuple[Tensor, Tensor]:
    """Rightward and upward slope of the ray through each pixel, for a field of view of 90 degrees."""
    steps = (torch.arange(size, dtype=torch.float64) + 0.5) / size * 2 - 1
    return steps[None, :].expand(size, size), -steps[:, None].expand(size, size)


@pytest.fixture(scope="module")
def scenes() -> Rendered:
    return render(choose_scenes(3, "test", range(12)), SIZE)


def test_an_empty_room_has_the_depth_of_its_sides() -> None:
    seen = render([hand_made()], SIZE)
    right, up = slopes()
    across = 2.0 / right.abs()
    vertical = 1.5 / up.abs()
    expected = torch.minimum(torch.full_like(across, 4.0), torch.minimum(across, vertical))
    torch.testing.assert_close(seen.depth[0].double(), expected, atol=1e-5, rtol=0)


def test_an_empty_room_has_floor_below_ceiling_above_and_walls_between() -> None:
    seen = render([hand_made()], SIZE)
    right, up = slopes()
    vertical = (1.5 / up.abs() < 4.0) & (1.5 / up.abs() < 2.0 / right.abs())
    floor, ceiling = vertical & (up < 0), vertical & (up > 0)
    assert (seen.instance[0] == 1).equal(floor)
    assert (seen.instance[0] == 2).equal(ceiling)
    assert seen.normal[0, :, SIZE - 1, SIZE // 2].tolist() == pytest.approx([0, 1, 0])
    assert seen.normal[0, :, SIZE // 2, SIZE // 2].tolist() == pytest.approx([0, 0, 1])
    assert seen.normal[0, :, SIZE // 2, 0].tolist() == pytest.approx([1, 0, 0])


def test_a_sphere_has_the_depth_and_normals_of_the_closed_form() -> None:
    radius, distance = 0.5, 2.0
    seen = render([hand_made([solid(Shape.SPHERE, (2.0, 1.5, 3.0), (radius,) * 3)])], SIZE)
    right, up = slopes()
    square = 1 + right**2 + up**2
    under = distance**2 - square * (distance**2 - radius**2)
    inside = seen.instance[0] == 3
    assert inside.equal(under > 0)
    depth = (distance - under.clamp_min(0).sqrt()) / square
    torch.testing.assert_close(seen.depth[0].double()[inside], depth[inside], atol=1e-4, rtol=0)
    normal = torch.stack([right * depth, up * depth, distance - depth]) / radius
    torch.testing.assert_close(seen.normal[0].double()[:, inside], normal[:, inside], atol=1e-3, rtol=0)
    # the ray nearest to the axis passes it at 1.5 * sqrt 2 / 32 = 0.066 m, where the sphere is 4.4 mm lower
    middle = seen.depth[0, SIZE // 2, SIZE // 2].item()
    assert middle == pytest.approx(distance - radius + 0.0044, abs=1e-4)


def test_a_turned_box_shows_the_normal_of_its_front() -> None:
    yaw = math.radians(180 + 30)
    seen = render([hand_made([solid(Shape.BOX, (2.0, 1.5, 3.0), (0.4, 0.4, 0.4), yaw)])], SIZE)
    # the front points to (sin yaw, cos yaw) = (-1/2, -0.87) in the room; the camera looks along z
    middle = seen.normal[0, :, SIZE // 2, SIZE // 2]
    assert middle.tolist() == pytest.approx([-0.5, 0.0, math.cos(math.radians(30))], abs=1e-5)


def test_a_cylinder_shows_its_side_and_its_cap() -> None:
    can = solid(Shape.CYLINDER, (2.0, 0.5, 3.0), (0.4, 0.5, 0.4))
    seen = render([hand_made([can], target=(2.0, 0.7, 3.0))], SIZE)
    inside = seen.instance[0] == 3
    upright = hand_made([can], target=(2.0, 0.7, 3.0)).camera.up[1]
    vertical = seen.normal[0, 1][inside]
    cap = (vertical - upright).abs() < 1e-4
    assert cap.any()
    assert (~cap).any()
    # a side normal is level: nothing of it along the room's vertical
    camera = hand_made([can], target=(2.0, 0.7, 3.0)).camera
    level = sum(
        seen.normal[0, i][inside][~cap] * axis
        for i, axis in enumerate((camera.right[1], camera.up[1], -camera.forward[1]))
    )
    assert isinstance(level, Tensor)
    assert level.abs().max() < 1e-5


def test_depth_and_labels_agree_with_slow_ray_casting() -> None:
    size, wrong, total = 8, 0, 0
    for index in range(6):
        scene = sample_scene(11, "train", index)
        seen = render([scene], size)
        for row in range(size):
            for column in range(size):
                depth, label = cast(scene, ray_through(scene, row, column, size))
                shown = int(seen.label[0, row, column])
                total += 1
                wrong += shown not in (0, label) or abs(float(seen.depth[0, row, column]) - depth) > 1e-3
    assert wrong <= 1, f"{wrong} of {total} rays differ"


def test_normals_are_of_unit_length_and_face_the_camera(scenes: Rendered) -> None:
    tangents = [scene.camera.tangent for scene in choose_scenes(3, "test", range(12))]
    right, up = slopes()
    for normal, tangent in zip(scenes.normal.double(), tangents, strict=True):
        torch.testing.assert_close(normal.norm(dim=0), torch.ones(SIZE, SIZE).double(), atol=1e-5, rtol=0)
        toward = -normal[0] * right * tangent - normal[1] * up * tangent + normal[2]
        assert toward.min() > -1e-5


def test_normals_agree_with_those_of_the_depth_map(scenes: Rendered) -> None:
    """Back-projected neighbours span the surface: their cross product is its normal, axes included."""
    tangents = [scene.camera.tangent for scene in choose_scenes(3, "test", range(12))]
    right, up = slopes()
    angles = []
    for index, tangent in enumerate(tangents):
        depth = scenes.depth[index].double()
        points = torch.stack([right * tangent * depth, up * tangent * depth, -depth])
        east = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
        north = points[:, :-2, 1:-1] - points[:, 2:, 1:-1]
        derived = torch.linalg.cross(east, north, dim=0)
        cosine = (derived * scenes.normal[index, :, 1:-1, 1:-1]).sum(0) / derived.norm(dim=0)
        instance = scenes.instance[index].float()[None]
        alone = F.max_pool2d(instance, 3, 1) == -F.max_pool2d(-instance, 3, 1)
        angles.append(torch.rad2deg(cosine.clamp(-1, 1).acos())[alone[0]])
    pooled = torch.cat(angles)
    assert pooled.median() < 0.05
    assert pooled.quantile(0.7) < 0.1


def test_a_label_belongs_to_one_instance(scenes: Rendered) -> None:
    for label, instance in zip(scenes.label, scenes.instance, strict=True):
        for number in instance.unique().tolist():
            shown = set(label[instance == number].tolist()) - {0}
            assert len(shown - {Nyu40.PILLOW}) <= 1, f"instance {number} bears labels {shown}"


def test_targets_keep_to_their_ranges(scenes: Rendered) -> None:
    known = {0, *(int(label) for label in Nyu40)}
    assert set(scenes.label.unique().tolist()) <= known
    assert scenes.edges.min() >= 0
    assert scenes.edges.max() <= 1
    assert scenes.depth.min() > 0.2
    assert scenes.depth.max() < 7.7
    assert not (scenes.valid & (scenes.label == 0)).any()


def test_about_a_tenth_has_no_depth_reading_and_no_label() -> None:
    seen = render(choose_scenes(3, "test", range(20)), 64)
    assert 0.05 < 1 - seen.valid.float().mean() < 0.18
    assert 0.05 < (seen.label == 0).float().mean() < 0.18


def test_chunks_and_threads_do_not_change_a_bit(scenes: Rendered) -> None:
    chosen = choose_scenes(3, "test", range(12))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        others = [render(chosen, SIZE, at_once=1), render(chosen, SIZE, at_once=5)]
    finally:
        torch.set_num_threads(threads)
    for other in others:
        for name, value in vars(scenes).items():
            assert value.equal(getattr(other, name)), name


def test_a_scene_does_not_depend_on_its_company() -> None:
    assert choose_scenes(3, "test", [7]) == choose_scenes(3, "test", range(12))[7:8]
    assert choose_scenes(3, "train", [7]) != choose_scenes(3, "test", [7])
    assert choose_scenes(4, "test", [7]) != choose_scenes(3, "test", [7])


def test_supersampling_smooths_the_picture_and_leaves_the_targets() -> None:
    chosen = choose_scenes(3, "test", range(2))
    once, twice = render(chosen, SIZE), render(chosen, SIZE, supersampling=2)
    for name in ("depth", "normal", "instance", "valid", "label"):
        assert getattr(once, name).equal(getattr(twice, name)), name
    assert not once.image.equal(twice.image)
    assert (once.image.float() - twice.image.float()).abs().mean() < 15


def test_a_view_of_nothing_much_is_drawn_again() -> None:
    wall, far = torch.ones(256, dtype=torch.int), torch.full((256,), 3.0)
    assert not worth_keeping(wall, torch.zeros_like(wall), far)
    varied = torch.tensor([1, 2, 4, 5, 7, 22] * 42 + [1] * 4, dtype=torch.int)
    instance = torch.tensor([0, 1, 3, 4, 5, 2] * 42 + [0] * 4, dtype=torch.int)
    assert worth_keeping(varied, instance, far)
    assert not worth_keeping(varied, torch.full_like(instance, 3), far)
    assert not worth_keeping(varied, instance, torch.full((256,), 0.3))


def test_furniture_does_not_overlap() -> None:
    a = Footprint(0.0, 0.0, 0.0, 1.0, 0.5)
    assert a.overlaps(Footprint(1.4, 0.0, 0.0, 0.5, 0.5))
    assert not a.overlaps(Footprint(1.6, 0.0, 0.0, 0.5, 0.5))
    # a square on its corner reaches sqrt 2 as far along x
    assert a.overlaps(Footprint(1.6, 0.0, math.pi / 4, 0.5, 0.5))
    # and is cut off there: the corner (1, 0.5) is 0.8 away in taxicab distance, the square's corner 0.71
    assert not a.overlaps(Footprint(1.35, 0.95, math.pi / 4, 0.5, 0.5))


def test_draws_are_uniform_and_depend_on_their_key() -> None:
    draw = Draw(1, "train", 2)
    values = [draw.count(0, 3) for _ in range(4000)]
    assert all(900 < values.count(value) < 1100 for value in range(4))
    assert sorted(draw.shuffled(range(9))) == list(range(9))
    assert Draw(1, "train", 2).between() == Draw(1, "train", 2).between() != Draw(1, "train", 3).between()


def test_lattice_noise_is_uniform_and_without_correlation() -> None:
    steps = torch.arange(128, dtype=torch.float32)
    noise = lattice(steps[:, None], steps[None, :], torch.tensor(5.0)).double()
    assert noise.mean() == pytest.approx(0.5, abs=0.01)
    assert noise.var() == pytest.approx(1 / 12, abs=0.005)
    for a, b in ((noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1])):
        assert abs(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]) < 0.05


def test_sobel_of_a_ramp_is_its_slope() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    # two pixels apart, weights 1 2 1 over 4, magnitude over sqrt 2
    torch.testing.assert_close(sobel(ramp)[..., 1:-1, 1:-1], torch.full((1, 1, 6, 6), 2 / math.sqrt(2)))


def test_the_thirteen_classes_gather_the_forty() -> None:
    assert len(NYU40) == len(NYU13_OF_NYU40) == 40
    assert set(NYU13_OF_NYU40) == set(range(1, 14))
    same = {"bed", "books", "ceiling", "chair", "floor", "picture", "sofa", "table", "wall", "window"}
    for name, coarse in zip(NYU40, NYU13_OF_NYU40, strict=True):
        if name in same:
            assert NYU13[coarse - 1] == name
