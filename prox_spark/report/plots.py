"""Plots of an evaluation. This module imports matplotlib, which is in the extra `evaluate`."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prox_spark.quality.documents import Calibration, CurvePoint, DocumentScores
from prox_spark.quality.evaluation import Evaluation


def write_plots(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write precision_recall.png, threshold.png and calibration.png.

    Returns:
        Paths of the plots; none without labels of documents.
    """
    if not (evaluation.best and evaluation.calibration):
        return []
    of_refiner = evaluation.methods[0]
    baselines = {of.name: of.documents for of in evaluation.methods[1:] if of.documents}
    title = f"{of_refiner.name}, {of_refiner.documents.n_documents if of_refiner.documents else 0:,} documents"
    plots = {
        "precision_recall.png": _plot_precision_recall(title, evaluation.curve, baselines),
        "threshold.png": _plot_threshold(title, evaluation.curve, evaluation.threshold, evaluation.best),
        "calibration.png": _plot_calibration(title, evaluation.calibration),
    }
    for name, figure in plots.items():
        figure.savefig(folder / name, dpi=120)
    return [folder / name for name in plots]


def _make_figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.grid(alpha=0.3)
    return figure, axes


def _plot_precision_recall(title: str, curve: tuple[CurvePoint, ...], baselines: dict[str, DocumentScores]) -> Figure:
    figure, axes = _make_figure(title, "recall of keeping", "precision of keeping")
    # Where nothing is kept, there is no precision.
    points = [point for point in curve if point.recall]
    axes.step([p.recall for p in points], [p.precision for p in points], where="pre", label="refiner")
    for name, scores in baselines.items():
        if scores.keep.recall:
            axes.plot(scores.keep.recall, scores.keep.precision, "o", label=name)
    axes.legend(loc="lower left")
    return figure


def _plot_threshold(title: str, curve: tuple[CurvePoint, ...], threshold: float, best: CurvePoint) -> Figure:
    figure, axes = _make_figure(title, "drop threshold", "")
    thresholds = [0.0, *(point.threshold for point in curve)]
    for name, label in (("precision", "precision"), ("recall", "recall"), ("f1", "F1"), ("words_kept", "words kept")):
        values = [getattr(point, name) for point in curve]
        axes.step(thresholds, [values[0], *values], where="pre", label=label)
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:g}")
    axes.axvline(best.threshold, color="black", linestyle=":", linewidth=1, label=f"best F1 {best.threshold:.2f}")
    axes.legend(loc="lower right")
    return figure


def _plot_calibration(title: str, calibration: Calibration) -> Figure:
    figure, axes = _make_figure(title, "probability of keeping", "share that should be kept")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    bins = calibration.bins
    axes.plot(
        [b.mean_probability for b in bins],
        [b.share_to_keep for b in bins],
        "o-",
        label=f"calibration error {calibration.error:.3f}",
    )
    for b in bins:
        axes.annotate(
            f"{b.n_documents:,}", (b.mean_probability, b.share_to_keep), xytext=(5, -12), textcoords="offset points"
        )
    axes.legend(loc="upper left")
    return figure
