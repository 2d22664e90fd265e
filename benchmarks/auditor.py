"""The speed and exactness of the linear auditor, beside other differentiable solvers.

    python benchmarks/auditor.py [--quick] [--out results/benchmarks] [--device cpu|cuda]

One audit pass is a solve and its gradient. The ways, in one run on one machine:
  rebuilt  one CvxpyLayer a problem, built each time, SCS, l1: the authors' way, timed on a sample
           of the problems and scaled to all of them
  cached   one CvxpyLayer, canonicalised once (not counted), called on the whole batch, l2
  engine   LinearAuditor, l2; its l1 is given too
  anchors  qpth, qpax, Moreau where they are installed (`anchors.py`), l2
The answer of each l2 way is compared with the engine's; a wrong one gets no ratio.
Without cvxpy or altair (a GPU machine with torch alone) what needs it is skipped with a message.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from anchors import anchors
from torch import Tensor

from sgu.auditor import CvxpyAuditor, Hyperplanes, LinearAuditor

SHAPES = {"CIFAR-10": (150, 140, 11), "CIFAR-100": (1500, 14, 101)}  # problems, n, d
GROWTH = {
    "n": [(50, n, 11) for n in (140, 280, 560, 1120, 2240, 4480)],
    "d": [(150, 140, d) for d in (6, 11, 21, 41, 81)],
    "problems": [(B, 140, 11) for B in (75, 150, 300, 600, 1200)],
}
CORRECT = 1e-2  # relative error of an objective; that of the cached layer, at its eps, is .8 %
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats, smaller samples")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    repeats = 3 if options.quick else 7
    rows = [row for part in (speed, growth, exactness) for row in part(options.device, repeats)]
    if options.device == "cuda":
        rows += share_of_epoch()
    for row in rows:
        row.update(device=device_name(options.device), torch=torch.__version__)
    write(rows, options.out)


def draw(B: int, n: int, d: int, device: str) -> tuple[Tensor, Tensor]:
    """Return scores and members: logits and losses of overlapping groups, unevenly scaled."""
    generator = torch.Generator().manual_seed(0)
    members = (torch.arange(n) % 2).expand(B, n).clone()
    x = torch.randn(B, n, d, generator=generator, dtype=torch.float64)
    x = x * torch.logspace(-0.5, 0.5, d, dtype=torch.float64)
    shift = 0.5 * torch.randn(B, 1, d, generator=generator, dtype=torch.float64)
    return (x + shift * members[..., None]).to(device), members.to(device)


def audit(auditor: Any, x: Tensor, members: Tensor) -> tuple[Any, Callable[[], None]]:
    """Return a fit, and its backward pass as a function to call."""
    x = x.detach().requires_grad_()
    fit = auditor.fit(x, members)
    return fit, lambda: fit.decision(x.detach()).square().mean().backward()


def seconds(call: Callable[[], Any], device: str) -> tuple[float, Any]:
    if device == "cpu":
        start = time.perf_counter()
        result = call()
        return time.perf_counter() - start, result
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    result = call()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last) / 1000, result


def timed(auditor: Any, shape: tuple[int, int, int], device: str, repeats: int) -> Row:
    """Return medians of forward and backward seconds, after one pass to warm up."""
    x, members = draw(*shape, device)
    both = []
    for _ in range(repeats + 1):
        forward, (fit, backward) = seconds(lambda: audit(auditor, x, members), device)
        both.append((forward, seconds(backward, device)[0]))
    forward, backward = (statistics.median(times) for times in zip(*both[1:], strict=True))
    return {
        "problems": shape[0], "n": shape[1], "d": shape[2],
        "forward_s": forward, "backward_s": backward, "total_s": forward + backward,
        "iterations": getattr(fit, "iterations", None),
        "converged": fit.converged.double().mean().item(),
        "objective_error": worst_error(fit, x, members),
    }  # fmt: skip


def worst_error(fit: Any, x: Tensor, members: Tensor) -> float:
    """Return the worst relative error of the l2 objective, against the engine's."""
    best = LinearAuditor().fit(x, members)
    ours, exact = (objective(one.w.detach(), one.b.detach(), x, members) for one in (fit, best))
    return (ours / exact - 1).abs().max().item()


class Rebuilt:
    """One layer for each problem, built for it: the authors' way."""

    def fit(self, scores: Tensor, members: Tensor) -> Hyperplanes:
        fits = [
            CvxpyAuditor(penalty="l1", reg=1e-3, solver_args={}).fit(x[None], m[None])
            for x, m in zip(scores, members, strict=True)
        ]
        parts = ("w", "b", "converged", "void")
        return Hyperplanes(
            **{part: torch.cat([getattr(fit, part) for fit in fits]) for part in parts}
        )


def ways(problems: int, quick: bool) -> Iterator[tuple[str, Any, int]]:
    """Yield the name, the auditor and how many problems to time."""
    yield "engine", LinearAuditor(), problems
    yield "engine l1", LinearAuditor(penalty="l1", reg=1e-3), problems
    if available("cvxpylayers"):
        yield "rebuilt", Rebuilt(), 5
        yield "cached", CvxpyAuditor(solver_args={"eps": 1e-5}), problems // (10 if quick else 1)
    else:
        print("cvxpylayers is absent: its two ways are left out")
    if not quick:
        for name, auditor, most in anchors():
            yield name, auditor, min(problems, most)


def speed(device: str, repeats: int) -> list[Row]:
    rows = []
    for name, (problems, n, d) in SHAPES.items():
        for way, auditor, sample in ways(problems, repeats < 5):
            ours = way.startswith("engine")
            few = repeats if ours or way == "rebuilt" else 1 if repeats < 5 else 3
            try:
                row = timed(auditor, (sample, n, d), device if ours else "cpu", few)
            except RuntimeError as error:
                print(f"{way} fails at {name}: {str(error).splitlines()[0]}")
                continue
            for part in ("forward_s", "backward_s", "total_s"):
                row[part] *= problems / sample
            if way in ("engine l1", "rebuilt"):
                row["objective_error"] = None  # of another problem
            row.update(part="speed", shape=name, way=way, timed_on=sample, problems=problems)
            rows.append(row)
    engine = {row["shape"]: row["total_s"] for row in rows if row["way"] == "engine"}
    for row in rows:
        if (row["objective_error"] or 0) < CORRECT:
            row["ratio"] = row["total_s"] / engine[row["shape"]]
    columns = ("shape", "way", "timed_on", "forward_s", "backward_s", "total_s", "ratio")
    columns += ("iterations", "converged", "objective_error")
    show("One audit pass (seconds for all problems)", rows, columns)
    return rows


def growth(device: str, repeats: int) -> list[Row]:
    rows = []
    for axis, shapes in GROWTH.items():
        part = [timed(LinearAuditor(), shape, device, repeats) for shape in shapes]
        slope = log_slope([(row[axis], row["total_s"]) for row in part])
        per_step = [(row[axis], row["total_s"] / (row["iterations"] + 1)) for row in part]
        slopes = {"slope": slope, "slope_each": log_slope(per_step)}
        rows += [row | {"part": "growth", "axis": axis} | slopes for row in part]
    columns = ("axis", "problems", "n", "d", "total_s", "iterations", "slope", "slope_each")
    show("Growth (log-log slope; slope_each: of one iteration)", rows, columns)
    return rows


def log_slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of least squares in log-log."""
    logs = torch.tensor(points, dtype=torch.float64).log()
    logs = logs - logs.mean(0)
    return ((logs[:, 0] * logs[:, 1]).sum() / logs[:, 0].square().sum()).item()


def exactness(device: str, repeats: int) -> list[Row]:
    """Compare the objective with CVXPY's by Clarabel, the gradient with a central difference."""
    del repeats
    rows = []
    for name, (_, n, d) in SHAPES.items():
        x, members = draw(3, n, d, "cpu")
        auditors: dict[str, Any] = {"engine": LinearAuditor()}
        if available("cvxpylayers"):
            auditors["cached"] = CvxpyAuditor(solver_args={"eps": 1e-5})
            auditors["cached, eps 1e-9"] = CvxpyAuditor()
        for way, auditor in auditors.items():
            place = device if way == "engine" else "cpu"
            at, labels = x.to(place), members.to(place)
            rows.append({
                "part": "exactness", "shape": name, "way": way,
                "objective_error": objective_error(auditor, at, labels),
                "gradient_error": gradient_error(auditor, at, labels),
            })  # fmt: skip
    show("Exactness (relative errors)", rows,
         ("shape", "way", "objective_error", "gradient_error"))  # fmt: skip
    return rows


def objective(w: Tensor, b: Tensor, x: Tensor, members: Tensor, reg: float = 1e-2) -> Tensor:
    margin = (2 * members - 1) * (torch.einsum("pnd,pd->pn", x, w) - b[:, None])
    return reg * w.square().sum(1) / 2 + torch.relu(1 - margin).mean(1)


def objective_error(auditor: Any, x: Tensor, members: Tensor) -> float:
    """Return the worst relative error against Clarabel; NaN without cvxpy."""
    if not available("cvxpy"):
        return math.nan
    import cvxpy as cp

    fit, tight = (
        auditor.fit(x, members),
        dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-12),
    )
    x, members, worst = x.cpu(), members.cpu(), 0.0
    ours = objective(fit.w.cpu(), fit.b.cpu(), x, members)
    for p in range(len(x)):
        w, b, y = cp.Variable(x.shape[2]), cp.Variable(), 2.0 * members[p].numpy() - 1
        loss = cp.sum(cp.pos(1 - cp.multiply(y, x[p].numpy() @ w - b))) / x.shape[1]
        best = cp.Problem(cp.Minimize(5e-3 * cp.sum_squares(w) + loss)).solve("CLARABEL", **tight)
        worst = max(worst, abs(ours[p].item() / best - 1))
    return worst


def gradient_error(auditor: Any, x: Tensor, members: Tensor, step: float = 1e-5) -> float:
    """Return the relative error against a central difference of the engine (exact to 1e-12)."""
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    direction = direction.to(x)
    exact = LinearAuditor(tolerance=1e-12)

    def value(at: Tensor, auditor: Any = exact) -> Tensor:
        return auditor.fit(at, members).decision(x.detach()).square().sum(1)

    at = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(value(at, auditor).sum(), at)
    slope = (gradient * direction).sum((1, 2))
    quotient = (value(x + step * direction) - value(x - step * direction)) / (2 * step)
    return ((slope - quotient).norm() / quotient.norm()).item()


def share_of_epoch(images: int = 45_000, batch: int = 500) -> list[Row]:
    """Return the engine's share of a ResNet-18 epoch on CIFAR-10's `retain` (random, bfloat16)."""
    from sgu.data.examples import Shape
    from sgu.models import build

    model = build("resnet18", Shape(10), seed=0).cuda()
    x = torch.randn(batch, 3, 32, 32, device="cuda").to(memory_format=torch.channels_last)
    targets = torch.randint(10, (batch,), device="cuda")

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            torch.nn.functional.cross_entropy(model(x), targets).backward()

    for _ in range(5):
        step()
    times = [seconds(step, "cuda")[0] for _ in range(10)]
    epoch = statistics.median(times) * images / batch
    solve = timed(LinearAuditor(), SHAPES["CIFAR-10"], "cuda", 5)["total_s"]
    row = {"part": "epoch", "total_s": epoch, "audit_s": solve, "share": solve / epoch}
    show("Share of a ResNet-18 epoch", [row], ("total_s", "audit_s", "share"))
    return [row]


def available(package: str) -> bool:
    try:
        __import__(package)
    except ImportError:
        return False
    return True


def device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"cpu, {torch.get_num_threads()} threads"


def show(title: str, rows: list[Row], columns: tuple[str, ...]) -> None:
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    if not available("rich"):
        print(
            f"\n{title}",
            *("  ".join(f"{c:>12}" for c in row) for row in (columns, *cells)),
            sep="\n",
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title)
    for row in cells:
        table.add_row(*row)
    Console(width=120).print(table)


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def write(rows: list[Row], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if available("pyarrow"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = list(dict.fromkeys(key for row in rows for key in row))
        table = pa.table({column: [row.get(column) for row in rows] for column in columns})
        pq.write_table(table, out / "auditor.parquet")
    if available("altair") and available("vl_convert"):
        draw_growth([row for row in rows if row["part"] == "growth"], out)
    else:
        print("altair or vl-convert is absent: no chart")
    print(f"written to {out}")


def draw_growth(rows: list[Row], out: Path) -> None:
    import altair as alt

    data = [
        {"axis": row["axis"], "size": row[row["axis"]], "seconds": row["total_s"]} for row in rows
    ]
    line = alt.Chart(alt.Data(values=data)).mark_line(point=True)
    chart = line.encode(
        x=alt.X("size:Q", scale=alt.Scale(type="log"), title="size (log)"),
        y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="solve and gradient, s (log)"),
        color=alt.Color("axis:N", title="growing in"),
    ).properties(width=480, height=320, title="Time of one audit pass, solve and gradient")
    for suffix in ("png", "svg"):
        chart.save(out / f"auditor_growth.{suffix}")


if __name__ == "__main__":
    main()
