"""Definitions of the standard tasks' metrics and of every derived figure on a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from msbench.board.library.mathml import formula, frac, mean, root, row, share, total


@dataclass(frozen=True)
class Definition:
    """A figure's formula, and what the formula leaves open."""

    math: Markup
    words: str


SYMBOLS: Final = (
    "p is the prediction and g the ground truth at a valid pixel i (for attributes: of a valid image); n is their "
    "number. TP, FP and FN count true positives, false positives and false negatives, of class c or image k."
)

_IOU = frac("TP_c", "TP_c + FP_c + FN_c")
_ERROR = row("| p_i − g_i |")
_RATIO = row("max (", frac("p_i", "g_i"), ",", frac("g_i", "p_i"), ")")


def _over(condition: str) -> Markup:
    """Mean absolute error over some of the valid pixels."""
    return formula(frac("1", row("# { i :", condition, "}")), total(condition), _ERROR)


def _bounded(power: str) -> Markup:
    return formula(share(row(_RATIO, "≤", power)))


_SEGMENTATION: Final = {
    "miou": Definition(
        formula("100 ·", mean("c ∈ C", "| C |"), _IOU),
        "C holds the classes that occur in the ground truth of the part; a class that is never predicted counts as 0.",
    ),
    "pixel_accuracy": Definition(
        formula(share("p_i = g_i")), "Of all valid pixels of the part, whatever image they are in."
    ),
    "iou_micro_img": Definition(
        formula("100 ·", mean("k", "K"), frac(row(total("c"), "TP_kc"), row(total("c"), "( TP_kc + FP_kc + FN_kc )"))),
        "K images. It equals a / (2 − a) for an image of pixel accuracy a, so frequent classes decide it. Read mIoU "
        "beside it.",
    ),
    "miou_hit": Definition(
        formula("100 ·", mean("c ∈ H", "| H |"), _IOU),
        "H holds the classes with TP > 0: giving up a class costs nothing. 0 when no class is hit.",
    ),
    "cross_entropy": Definition(
        formula(frac(row(total("i"), "w_g · ( − ln p_i ( g_i ) )"), row(total("i"), "w_g"))),
        "w weighs classes; it is 1 where a task has no class weights. No label smoothing.",
    ),
}
_DEPTH: Final = {
    "abs": Definition(formula(mean("i", "n"), _ERROR), "In metres."),
    "rel": Definition(formula(mean("i", "n"), frac(_ERROR, "g_i")), "Relative to the true depth of the same pixel."),
    "delta1": Definition(_bounded("1.25"), "Bounds are inclusive. A prediction below 1 mm is taken as 1 mm."),
    "delta2": Definition(_bounded("1.25^2"), "Bounds are inclusive. A prediction below 1 mm is taken as 1 mm."),
    "delta3": Definition(_bounded("1.25^3"), "Bounds are inclusive. A prediction below 1 mm is taken as 1 mm."),
    "rmse": Definition(
        formula(root(row(mean("i", "n"), "(", "p_i − g_i", ")^2"))), "In metres; few large errors decide it."
    ),
    "abs_of_max": Definition(
        formula(mean("i", "n"), frac(_ERROR, row("max_j g_j"))),
        "j runs over the pixels of the same image: 0.14 is a seventh of the way to its farthest point.",
    ),
}
_NORMALS: Final = {
    "mean": Definition(formula(mean("i", "n"), "θ_i"), "θ is the angle between predicted and true normal."),
    "median": Definition(formula("median_i θ_i"), "θ is the angle to the true normal, counted in bins of 0.005°."),
    **{
        f"within_{bound.replace('.', '_').removesuffix('_0')}": Definition(
            formula(share(f"θ_i ≤ {bound} °")), "θ is the angle between predicted and true normal."
        )
        for bound in ("11.25", "22.5", "30.0")
    },
    "cosine": Definition(formula(mean("i", "n"), "cos θ_i"), "θ is the angle between predicted and true normal."),
}
_STRENGTHS = "Prediction and ground truth lie in [0, 1]."
_MAE = Definition(formula(mean("i", "n"), _ERROR), f"Over all valid pixels, so that empty ones decide it. {_STRENGTHS}")
_EDGES: Final = {
    "mae": _MAE,
    "mae_on_edges": Definition(_over("g_i ≠ 0"), "Blind to false edges; 0 where the part has no edges."),
    "f1": Definition(
        formula("100 ·", "max_t", frac("2 TP_t", "2 TP_t + FP_t + FN_t")),
        "Binary edges: pixel by pixel, at the best single threshold t of the whole part.",
    ),
    "average_precision": Definition(
        formula("100 ·", total("t"), "( R_t − R_s ) P_t"),
        "Binary edges: precision P and recall R at 1001 thresholds t; s is the threshold before t.",
    ),
}
_KEYPOINTS: Final = {
    "mae": _MAE,
    "mae_nonzero": Definition(_over("g_i ≠ 0"), "Blind to false answers; 0 where there is nothing else."),
    "mae_on_keypoints": Definition(_over("g_i ≥ 0.5"), "On the keypoints themselves; 0 where the part has none."),
}
_ATTRIBUTE: Final = {
    "accuracy": Definition(
        formula("100 ·", frac("1", "n"), "# { k : [ p_k > 0.5 ] = g_k }"),
        "Images k, threshold 0.5. Read it beside the majority rate.",
    ),
    "majority_rate": Definition(
        formula("100 ·", frac(row("max ( n_0 , n_1 )"), "n_0 + n_1")),
        "Depends on the data alone: n₀ images without the attribute, n₁ with it. No network can change it.",
    ),
    "balanced_accuracy": Definition(
        formula("100 ·", mean("c ∈ C", "| C |"), frac("TP_c", "TP_c + FN_c")),
        "The mean recall of the answers that occur; 50 for a classifier that always says the same.",
    ),
    "f1": Definition(
        formula("100 ·", frac("2 TP", "2 TP + FP + FN")), "Threshold 0.5; 0 for a classifier that always says no."
    ),
}

METRICS: Final[Mapping[str, Mapping[str, Definition]]] = {
    "segmentation": _SEGMENTATION,
    "depth": _DEPTH,
    "normals": _NORMALS,
    "edges": _EDGES,
    "keypoints": _KEYPOINTS,
    "attribute": _ATTRIBUTE,
}
"""Kind of task to metric to definition."""

FIGURES: Final[Mapping[str, Definition]] = {
    "Change against dense": Definition(
        formula("δ_m = ±", "100 ·", frac(row("x_m", "-", "d_m"), row("| d_m |"))),
        "x is the run’s metric m, d that of the dense run of the same seed; the sign makes a plus better, whatever the "
        "metric’s direction. In percent.",
    ),
    "Δ_T of a task, and Δ_T": Definition(
        formula("Δ_t =", mean("m ∈ M_t", "| M_t |"), "δ_m", ",", "'   '", "Δ_T =", mean("t", "T"), "Δ_t"),
        "The mean over the task’s metrics that are marked below, then over tasks (AdapMTL, equation 7). The sum that "
        "the paper’s tables print replaces the mean over metrics by their sum.",
    ),
    "Parameter sparsity": Definition(
        formula("1 -", frac("'kept weights'", "'all weights'")),
        "Over the weights of convolution and linear layers in the budget’s scope: the backbone, or the whole model. "
        "A budget in multiply-adds or latency weighs them by their cost.",
    ),
    "Group sparsity": Definition(
        formula("1 -", frac("'kept input channels'", "'all input channels'")),
        "Over the convolutions of the scope. Large layers have many weights a channel, so the two sparsities differ.",
    ),
    "Compression": Definition(
        formula(frac("'dense'", "'compact'")),
        "Of parameters, and of bytes of the weights’ files. Shown only where the compact network was proven equal.",
    ),
    "Theoretical speed-up": Definition(
        formula(frac(row(total("l"), "F_l"), row(total("l"), "s_l F_l"))),
        "F is the multiply-adds of layer l in the scope, s the share of its input channels (or single weights) that is "
        "kept: the ratio that papers print. It is no measurement.",
    ),
    "Multiply-adds": Definition(
        formula(frac("'multiply-adds of the dense network'", "'multiply-adds of the compact network'")),
        "Counted by running both networks, heads included.",
    ),
    "Measured speed-up": Definition(
        formula("median_r", frac("'time of dense in round r'", "'time of compact in round r'")),
        "Both networks in alternating rounds on one machine; with quartiles, threads, batch, size and number format.",
    ),
    "Mean and spread": Definition(
        formula("x̄ ±", root(row(frac("1", "n − 1"), total("s"), "(", "x_s − x̄", ")^2"))),
        "Over n seeds s. One seed has no spread.",
    ),
    "95 % interval": Definition(
        formula("x̄ ± t_q ·", frac("s", root("n"))),
        "Student’s, with n − 1 degrees of freedom and q = 97.5 %, for 3 to 9 seeds; an expanded percentile "
        "bootstrap from 10 seeds on.",
    ),
    "Rank range": Definition(
        formula("[ 1 + 'rows significantly better' , N - 'rows significantly worse' ]"),
        "Among N rows of one target, by paired t-tests on Δ_T over common seeds with Holm’s correction at 5 %.",
    ),
}
"""Derived figures, in the order in which a board uses them."""
