"""Figures that papers print for iHarmony4's 7,404 test pictures; reports show them beside ours.

Copied as printed, oddities included (the composite's fMSE differs between two tables). A line that
contradicts itself, or that repeats another method's figures, has a footnote in `NOTES`. No paper states its
protocol; where a method's public code shows one, it is named.
"""

from __future__ import annotations

from typing import NamedTuple

SUBSETS = {"HCOCO": 4_283, "HAdobe5k": 2_160, "HFlickr": 828, "Hday2night": 133, "all": 7_404}
RATIOS = ("0-5 %", "5-15 %", "15-100 %", "all")

# Sun: GLIHamba and its ablation; Shen: GKNet; Chen: HDNet; Zhu: regional references; Peng: FRIH.
_SOURCES = {
    "Sun": "Sun, Yao, Ban 2024",
    "Shen": "Shen et al. 2023",
    "Chen": "Chen et al. 2023",
    "Zhu": "Zhu et al. 2022",
    "Peng": "Peng et al. 2024",
}

# PSNR, MSE, fMSE; columns: HCOCO, HAdobe5k, HFlickr, Hday2night, all
_TABLE_1 = """
composite  | Shen |         | 33.94 69.37 996.59 | 28.16 345.54 2051.61 | 28.32 264.35 1574.37 | 34.01 109.65 1409.98 | 31.63 172.47 1376.42
DoveNet    | Shen | dovenet | 35.83 36.72 551.01 | 34.34 52.32 380.39 | 30.21 133.14 827.03 | 35.27 51.95 1075.71 | 34.76 52.33 532.62
RainNet    | Shen | gtbg    | 37.08 29.52 501.17 | 36.22 43.35 317.35 | 31.64 110.59 688.40 | 34.83 57.40 916.48 | 36.12 40.29 469.60
D-HT       | Shen |         | 38.76 16.89 299.30 | 36.88 38.53 265.11 | 33.13 74.51 515.45 | 37.10 53.01 704.42 | 37.55 30.30 320.78
iDIH-HRNet | Shen | idih    | 39.16 16.48 266.19 | 38.08 21.88 173.96 | 33.13 69.67 443.65 | 37.72 40.59 590.97 | 38.19 24.44 264.96
regional   | Zhu  |         | 39.15 16.13 278.61 | 37.34 25.41 194.48 | 33.51 67.74 469.23 | 37.62 46.79 685.36 | 37.97 25.16 282.69
regional-p | Zhu  |         | 39.75 13.63 244.55 | 38.04 20.83 168.08 | 34.06 59.08 412.19 | 37.61 47.96 641.79 | 38.57 21.43 248.12
frih       | Peng |         | 39.35 15.05 - | 37.69 23.61 - | 33.48 68.93 - | 37.89 42.78 - | 38.19 23.98 252.63
hdnet-lite | Chen | gtbg    | 39.21 17.33 - | 39.16 24.94 - | 34.30 63.55 - | 38.36 32.73 - | 38.63 24.99 260.65
hdnet      | Chen | gtbg    | 41.04 11.60 - | 41.17 13.58 - | 35.81 47.39 - | 38.85 31.97 - | 40.46 16.55 179.49
gknet      | Shen |         | 40.32 12.95 222.31 | 39.97 17.84 138.22 | 34.45 57.58 372.90 | 38.47 42.76 546.06 | 39.53 19.90 220.44
unet       | Sun  |         | 35.83 36.72 - | 34.34 52.32 - | 30.21 133.14 - | 35.18 54.05 - | 34.75 52.36 -
unet-vss   | Sun  |         | 37.08 29.52 - | 36.22 43.35 - | 31.64 110.59 - | 34.83 57.40 - | 36.82 40.16 -
glihamba   | Sun  |         | 40.35 12.05 - | 40.23 16.53 - | 34.56 56.29 - | 38.05 43.27 - | 39.76 17.58 216.52
"""  # noqa: E501

# MSE, fMSE; columns: 0-5 %, 5-15 %, 15-100 %, all
_TABLE_2 = """
composite  | Chen |         | 28.51 1208.86 | 119.19 1323.23 | 577.58 1887.05 | 172.47 1387.30
DoveNet    | Chen | dovenet | 14.03 591.88 | 44.90 504.42 | 152.07 505.82 | 52.36 549.96
RainNet    | Chen | gtbg    | 11.66 550.38 | 32.05 378.69 | 117.41 389.80 | 40.29 469.60
frih       | Peng |         | 6.89 305.28 | 19.88 226.45 | 70.05 205.83 | 23.98 252.63
hdnet-lite | Chen | gtbg    | 6.45 289.71 | 18.70 217.66 | 76.56 243.58 | 24.99 260.65
hdnet      | Chen | gtbg    | 4.35 199.56 | 12.82 150.45 | 49.18 159.82 | 16.55 179.49
gknet      | Shen |         | 5.36 244.06 | 17.46 200.34 | 57.31 188.75 | - -
glihamba   | Sun  |         | 5.34 208.85 | 18.89 215.23 | 62.54 272.68 | 17.58 216.52
"""

# Table 3 of Sun, Yao, Ban 2024: FLOPs in G, parameters in M, milliseconds on a device it does not name.
COMPLEXITY = {
    "RainNet": (3.80, 54.75, 12.06),
    "hdnet": (48.05, 10.41, 15.08),
    "D-HT": (120.10, 89.42, 20.45),
    "glihamba": (14.86, 64.20, 19.67),
}
COMPLEXITY_SOURCE = _SOURCES["Sun"]


class Published(NamedTuple):
    """A printed line: group -> metric -> figure. protocol: its public code's, "" where there is none."""

    method: str
    source: str
    protocol: str
    figures: dict[str, dict[str, float]]


def _read(text: str, groups: tuple[str, ...], metrics: tuple[str, ...]) -> tuple[Published, ...]:
    lines = []
    for line in text.strip().splitlines():
        method, source, protocol, *cells = (cell.strip() for cell in line.split("|"))
        figures = {
            group: {m: float(v) for m, v in zip(metrics, cell.split(), strict=True) if v != "-"}
            for group, cell in zip(groups, cells, strict=True)
        }
        lines.append(Published(method, _SOURCES[source], protocol, figures))
    return tuple(lines)


_LABELS = {"psnr": "PSNR", "mse": "MSE", "fmse": "fMSE"}


def _doubts(line: Published, others: tuple[Published, ...]) -> str:
    """What is odd about a line, or "": its total against its subsets, and copies of another line."""
    parts = [group for group in SUBSETS if group != "all"]
    found = []
    for metric, printed in line.figures["all"].items():
        if all(metric in line.figures[group] for group in parts):
            weighted = sum(SUBSETS[g] * line.figures[g][metric] for g in parts) / SUBSETS["all"]
            apart = abs(weighted - printed)
            if apart > (0.1 if metric == "psnr" else 0.01 * printed):
                label = _LABELS[metric]
                found.append(f"{label} {weighted:.2f}, not the {printed:.2f} that it prints")
    sentences = [f"By its own subsets its total is {', '.join(found)}."] if found else []
    for other in others:
        same = [group for group in parts if _same(line.figures[group], other.figures[group])]
        if other is not line and len(same) >= 3 and others.index(other) < others.index(line):
            sentences.append(f"{len(same)} of its 4 subsets have the figures of {other.method}.")
    return " ".join(sentences)


def _same(one: dict[str, float], other: dict[str, float]) -> bool:
    return all(one[metric] == other[metric] for metric in one.keys() & other.keys())


BY_SUBSET = _read(_TABLE_1, tuple(SUBSETS), ("psnr", "mse", "fmse"))
BY_RATIO = _read(_TABLE_2, RATIOS, ("mse", "fmse"))
_SAID = {line.method: _doubts(line, BY_SUBSET) for line in BY_SUBSET}
NOTES = {method: said for method, said in _SAID.items() if said}
"""Method -> footnote, for every table that prints the method's published figures."""
