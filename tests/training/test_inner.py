"""Outer gradients against hand-differentiated quadratics, and against finite differences of a network's loss."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from msbench.training.inner import ORDERS, Inner, Order, OuterGradient, anil, fomaml, maml, reptile
from msbench.training.trainer import Trainer

Make = Callable[..., Trainer]


class Quadratic:
    """Batch k has the loss s ½ (w - b_k)ᵀ A (w - b_k): an inner step is affine, so everything is known in closed form.

    w is two numbers of the backbone and one of a head, s what the inner loop leaves alone. The last batch is the query.
    """

    rate = 0.1
    scale = 1.5

    def __init__(self, steps: int) -> None:
        generator = torch.Generator().manual_seed(steps)
        root = torch.randn(3, 3, generator=generator, dtype=torch.float64)
        self.hessian = root @ root.T / 3
        self.centres = torch.randn(steps + 1, 3, generator=generator, dtype=torch.float64)
        self.start = torch.randn(3, generator=generator, dtype=torch.float64)
        self.extra = torch.tensor(self.scale, dtype=torch.float64, requires_grad=True)
        self.inner = Inner(steps, self.rate)
        self.taken = 0

    def loss(self, weights: dict[str, torch.Tensor]) -> torch.Tensor:
        offset = torch.cat([weights["backbone.w"], weights["heads.v"]]) - self.centres[self.taken]
        self.taken += 1
        return self.extra * 0.5 * offset @ self.hessian @ offset

    def outer(self, order: OuterGradient) -> tuple[torch.Tensor, float]:
        start = {"backbone.w": self.start[:2], "heads.v": self.start[2:]}
        found = order(self.loss, start, {"s": self.extra}, self.inner)
        return torch.cat([found["backbone.w"], found["heads.v"]]), float(found["s"])

    def path(self, moves: torch.Tensor, steps: int) -> list[torch.Tensor]:
        """The weights before each step; moves: which numbers the inner loop adapts."""
        found = [self.start]
        for centre in self.centres[:steps]:
            found.append(found[-1] - self.rate * moves * self.scale * (self.hessian @ (found[-1] - centre)))
        return found

    def value(self, weights: torch.Tensor, batch: int) -> float:
        """The loss without s."""
        offset = weights - self.centres[batch]
        return float(0.5 * offset @ self.hessian @ offset)


EVERYTHING, HEAD = torch.ones(3, dtype=torch.float64), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(("order", "moves"), [(fomaml, EVERYTHING), (anil, HEAD)])
def test_first_order_gradients_of_a_quadratic(order: OuterGradient, moves: torch.Tensor, steps: int) -> None:
    case = Quadratic(steps)
    gradient, extra = case.outer(order)
    adapted = case.path(moves, steps)[-1]
    assert torch.allclose(gradient, case.scale * case.hessian @ (adapted - case.centres[-1]))
    assert extra == pytest.approx(case.value(adapted, -1))


@pytest.mark.parametrize("steps", [1, 3])
def test_second_order_gradient_of_a_quadratic(steps: int) -> None:
    case = Quadratic(steps)
    gradient, extra = case.outer(maml)
    path = case.path(EVERYTHING, steps)
    query = case.scale * case.hessian @ (path[-1] - case.centres[-1])
    jacobian = torch.eye(3, dtype=torch.float64) - case.rate * case.scale * case.hessian
    assert torch.allclose(gradient, torch.linalg.matrix_power(jacobian, steps) @ query)
    assert not torch.allclose(gradient, Quadratic(steps).outer(fomaml)[0], rtol=1e-2), "the two orders must differ here"
    # s acts on the adapted weights too: dθ' = (I - αsA) dθ - αA(θ - b)
    moved = torch.zeros(3, dtype=torch.float64)
    for weights, centre in zip(path[:-1], case.centres, strict=False):
        moved = jacobian @ moved - case.rate * case.hessian @ (weights - centre)
    assert extra == pytest.approx(case.value(path[-1], -1) + float(query @ moved))


@pytest.mark.parametrize("steps", [1, 3])
def test_reptile_of_a_quadratic_follows_every_batch(steps: int) -> None:
    case = Quadratic(steps)
    gradient, extra = case.outer(reptile)
    path = case.path(EVERYTHING, steps + 1)
    assert torch.allclose(gradient, (case.start - path[-1]) / case.rate)
    assert extra == pytest.approx(sum(case.value(weights, k) for k, weights in enumerate(path[:-1])))


@pytest.mark.parametrize("order", ["fomaml", "maml", "anil", "reptile"])
def test_every_order_takes_one_batch_a_step_and_one_more(order: Order) -> None:
    case = Quadratic(2)
    case.outer(ORDERS[order])
    assert case.taken == 3


def test_what_is_constrained_does_not_move() -> None:
    for order in (fomaml, maml, reptile):
        case = Quadratic(1)
        case.inner = Inner(1, case.rate, constrain=lambda g: {**g, "backbone.w": torch.zeros(2, dtype=torch.float64)})
        gradient, _ = case.outer(order)
        adapted = case.path(HEAD, 1)[-1]
        if order is fomaml:
            assert torch.allclose(gradient, case.scale * case.hessian @ (adapted - case.centres[-1]))
        elif order is maml:
            kept = torch.eye(3, dtype=torch.float64) - case.rate * case.scale * HEAD[:, None] * case.hessian
            assert torch.allclose(gradient, kept.T @ (case.scale * case.hessian @ (adapted - case.centres[-1])))
        else:
            assert not gradient[:2].any()


class DoubleLoss:
    """The toy network's balanced loss in float64, batch by batch: the same function each time it is rewound."""

    def __init__(self, trainer: Trainer, tasks: tuple[str, ...]) -> None:
        self.trainer, self.tasks = trainer, tasks
        trainer.model.double()
        trainer.balancer.double()
        self.batches = [trainer.next_batch() for _ in range(3)]
        self.taken = 0

    def __call__(self, weights: dict[str, torch.Tensor]) -> torch.Tensor:
        batch = self.batches[self.taken]
        self.taken += 1
        outputs = torch.func.functional_call(self.trainer.model, weights, (batch.image.double(), self.tasks))
        return self.trainer.balancer(
            {
                task.name: task.loss(outputs[task.name], batch.target[task.name], batch.valid[task.name])
                for task in self.trainer.tasks
            }
        )


def test_second_order_gradient_of_a_network_is_the_derivative_of_its_adapted_query_loss(make_trainer: Make) -> None:
    """Through batch-norm in train mode, two inner steps and the loss balancer, by central differences."""
    trainer = make_trainer(width=2)
    loss = DoubleLoss(trainer, ("segmentation", "normals"))
    start = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    extra: dict[str, torch.Tensor] = dict(trainer.balancer.named_parameters())
    rate, size = 0.3, 1e-8  # so small that no ReLU changes sides
    gradients = maml(loss, start, extra, Inner(2, rate))

    def adapted_query_loss(weights: dict[str, torch.Tensor]) -> float:
        loss.taken = 0
        for _ in range(2):
            leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
            found = torch.autograd.grad(loss(leaves), list(leaves.values()))
            weights = {n: w - rate * g for (n, w), g in zip(weights.items(), found, strict=True)}
        return float(loss(weights).detach())

    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        along = {
            n: torch.randn(w.shape, generator=generator, dtype=torch.float64) for n, w in {**start, **extra}.items()
        }
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                for name, parameter in extra.items():
                    parameter.add_(sign * size * along[name])
            ends.append(adapted_query_loss({n: w + sign * size * along[n] for n, w in start.items()}))
            with torch.no_grad():
                for name, parameter in extra.items():
                    parameter.sub_(sign * size * along[name])
        slope = sum(float((gradients[n] * along[n]).sum()) for n in along)
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * size), rel=1e-4)

    loss.taken = 0
    first = fomaml(loss, start, extra, Inner(2, rate))
    assert sum(float((first[n] * along[n]).sum()) for n in along) != pytest.approx(slope, rel=1e-2)
