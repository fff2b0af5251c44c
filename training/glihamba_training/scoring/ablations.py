"""The ablations of the five papers as they print them, each line with the recipe that trains it.

Figures are copied as printed, for iHarmony4's 7,404 test pictures. `published.py` has the papers' main
tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from glihamba_training.scoring.published import RATIOS, SUBSETS


@dataclass(frozen=True)
class Row:
    """recipe: what trains it, "" for the untouched composite. figures: group -> metric -> as printed."""

    label: str
    recipe: str
    figures: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Ablation:
    """name: paper and table, as a person asks for it. protocol: its public code's, or `strict` where none is
    known. groups: what the columns are.
    """

    name: str
    about: str
    source: str
    protocol: str
    groups: Literal["subset", "ratio"]
    rows: tuple[Row, ...]


_ALL = ("all",)
_BY_SUBSET = ("HCOCO", "HAdobe5k", "HFlickr", "Hday2night", "all")
_HDNET = ("HAdobe5k", "HFlickr", "HCOCO", "Hday2night", "all")


def _rows(text: str, groups: tuple[str, ...], metrics: tuple[str, ...]) -> tuple[Row, ...]:
    rows = []
    for line in text.strip().splitlines():
        label, recipe, *cells = (cell.strip() for cell in line.split("|"))
        figures = {
            group: {m: float(v) for m, v in zip(metrics, cell.split(), strict=True)}
            for group, cell in zip(groups, cells, strict=True)
        }
        rows.append(Row(label, recipe, figures))
    return tuple(rows)


_PMF, _MPF = ("psnr", "mse", "fmse"), ("mse", "psnr", "fmse")
_MP = ("mse", "psnr")

_TABLE = (
    Ablation(
        "GLIHamba Table 4",
        "the U-Net, with VSS blocks, with MLG-VSS blocks",
        "Sun, Yao, Ban 2024",
        "strict",
        "subset",
        _rows(
            """
composite |          | 69.37 33.94 | 345.54 28.16 | 264.35 28.32 | 109.65 34.01 | 172.47 31.63
Baseline  | unet     | 36.72 35.83 | 52.32 34.34 | 133.14 30.21 | 54.05 35.18 | 52.36 34.75
+VSS      | unet-vss | 29.52 37.08 | 43.35 36.22 | 110.59 31.64 | 57.40 34.83 | 40.16 36.82
+MLG-VSS  | glihamba | 12.05 40.35 | 16.53 40.23 | 56.29 34.56 | 43.27 38.05 | 17.58 39.76
""",
            _BY_SUBSET,
            _MP,
        ),
    ),
    Ablation(
        "GKNet Table 4",
        "kernel prediction (KPB), long-distance reference (LRE), selective fusion (SCF)",
        "Shen et al. 2023",
        "strict",
        "subset",
        _rows(
            """
Baseline          | gknet/baseline | 27.27 37.83 280.56
+ KPB             | gknet/kpb      | 21.42 38.68 235.72
+ KPB + LRE       | gknet/kpb-lre  | 20.50 39.30 229.63
+ KPB + LRE + SCF | gknet          | 19.90 39.53 220.44
""",
            _ALL,
            _MPF,
        ),
    ),
    Ablation(
        "HDNet Table 3",
        "local dynamics (LD), spatial attention (SA), global dynamics (MGD), learned masks",
        "Chen et al. 2023",
        "gtbg",
        "subset",
        _rows(
            """
composite |                    | 345.54 28.16 | 264.35 28.32 | 69.37 33.94 | 109.65 34.01 | 172.47 31.63
Base      | hdnet/base         | 24.33 38.83 | 65.77 34.05 | 17.51 39.27 | 34.08 38.15 | 25.20 38.53
+LD       | hdnet/ld           | 14.79 40.96 | 51.51 35.57 | 12.44 40.82 | 32.79 38.45 | 17.64 40.23
+SA       | hdnet/sa           | 15.89 40.46 | 55.46 35.33 | 13.08 40.38 | 32.30 39.00 | 19.19 39.81
+MGD      | hdnet/mgd          | 16.37 40.81 | 55.56 35.36 | 12.82 40.75 | 32.44 38.82 | 18.99 40.13
HDNet*    | hdnet/learned-mask | 14.39 41.03 | 48.46 35.79 | 11.94 40.91 | 30.69 38.80 | 17.08 40.34
HDNet     | hdnet              | 13.58 41.17 | 47.39 35.81 | 11.60 41.04 | 31.97 38.85 | 16.55 40.46
""",
            _HDNET,
            _MP,
        ),
    ),
    Ablation(
        "HDNet Figure 5",
        "the number of neighbours K, with the LD of the paper's text; the figure prints no numbers",
        "Chen et al. 2023",
        "gtbg",
        "subset",
        tuple(Row(f"K = {k}", f"hdnet/k{k}", {}) for k in (1, 3, 5, 7, 9)),
    ),
    Ablation(
        "Regional Table 2",
        "the residual, LTL, PTL, and what they are compared with",
        "Zhu et al. 2022",
        "strict",
        "subset",
        _rows(
            """
Base                   | regional/base            | 37.27 30.84 330.88
RBase                  | regional/rbase           | 37.41 29.27 318.22
RBase + LTL            | regional/rbase-ltl       | 37.66 27.00 307.38
RBase + Self-Attention | regional/rbase-attention | 37.48 29.03 315.57
RBase + AdaIN          | regional/rbase-adain     | 37.37 28.48 317.39
RBase + PTL            | regional/rbase-ptl       | 37.70 27.40 299.70
RBase + LTL + PTL      | regional                 | 37.97 25.16 282.69
RBase-p + LTL + PTL    | regional-p               | 38.57 21.43 248.12
""",
            _ALL,
            _PMF,
        ),
    ),
    Ablation(
        "Regional Table 3",
        "the resolution at which LTL works",
        "Zhu et al. 2022",
        "strict",
        "subset",
        _rows(
            """
16 x 16 | regional/ltl-16    | 37.44 28.91 319.31
32 x 32 | regional/ltl-32    | 37.57 28.38 312.06
64 x 64 | regional/ltl-64    | 37.57 27.67 311.69
All     | regional/rbase-ltl | 37.66 27.00 307.38
""",
            _ALL,
            _PMF,
        ),
    ),
    Ablation(
        "Regional Table 4",
        "PTL's patch and stride, as parts of the side",
        "Zhu et al. 2022",
        "strict",
        "subset",
        _rows(
            """
patch 1/4, stride 1/4  | regional/ptl-4-4   | 37.46 28.61 315.05
patch 1/4, stride 1/8  | regional/ptl-4-8   | 37.57 28.65 311.76
patch 1/4, stride 1/16 | regional/ptl-4-16  | 37.61 27.30 305.71
patch 1/8, stride 1/8  | regional/ptl-8-8   | 37.52 27.76 313.98
patch 1/8, stride 1/16 | regional/ptl-8-16  | 37.62 27.33 302.55
patch 1/8, stride 1/32 | regional/rbase-ptl | 37.70 27.40 299.70
""",
            _ALL,
            _PMF,
        ),
    ),
    Ablation(
        "Regional Table 5",
        "the number of channels",
        "Zhu et al. 2022",
        "strict",
        "subset",
        _rows(
            """
C     | regional    | 37.97 25.16 282.69
C x 2 | regional/2c | 38.35 23.24 261.34
C x 3 | regional/3c | 38.45 22.83 256.69
C x 4 | regional-p  | 38.57 21.43 248.12
""",
            _ALL,
            _PMF,
        ),
    ),
    Ablation(
        "FRIH Table 3",
        "the cascaded module with the whole mask, with submasks, and the fusion prediction",
        "Peng et al. 2024",
        "strict",
        "subset",
        _rows(
            """
Input composite                    |                  | 69.37 33.94 | 345.54 28.16 | 264.35 28.32 | 109.65 34.01 | 172.47 31.63
Baseline                           | frih/baseline    | 21.38 38.24 | 37.15 35.79 | 90.12 32.25 | 50.12 37.45 | 35.38 36.82
Baseline+Cascade Globalmask        | frih/global-mask | 20.05 38.39 | 35.52 35.98 | 87.29 32.40 | 48.91 37.53 | 33.82 36.98
Baseline+Cascade Submask           | frih/submask     | 16.52 39.09 | 26.21 37.42 | 75.82 33.05 | 44.21 37.78 | 26.31 37.90
Baseline+Cascade Submask+Fusion    | frih             | 15.05 39.35 | 23.61 37.69 | 68.93 33.48 | 42.78 37.89 | 23.98 38.19
""",  # noqa: E501
            _BY_SUBSET,
            _MP,
        ),
    ),
    Ablation(
        "FRIH Table 4",
        "the same by the foreground's share of the picture",
        "Peng et al. 2024",
        "strict",
        "ratio",
        _rows(
            """
Input composite                 |                  | 28.51 1208.86 | 119.19 1323.23 | 577.58 1887.05 | 172.47 1387.30
Baseline                        | frih/baseline    | 10.21 421.53 | 29.68 336.32 | 109.21 345.19 | 35.38 380.12
Baseline+Cascade Globalmask     | frih/global-mask | 9.89 401.18 | 27.85 319.47 | 99.35 320.71 | 33.82 366.23
Baseline+Cascade Submask        | frih/submask     | 7.28 322.86 | 21.42 244.15 | 77.82 230.47 | 26.31 268.52
Baseline+Cascade Submask+Fusion | frih             | 6.89 305.28 | 19.88 226.45 | 70.05 205.83 | 23.98 252.63
""",  # noqa: E501
            RATIOS,
            ("mse", "fmse"),
        ),
    ),
    Ablation(
        "FRIH Table 5",
        "the cutoff distance d_c of the clustering",
        "Peng et al. 2024",
        "strict",
        "subset",
        _rows(
            """
d_c = 0.01 | frih/dc-0.01 | 25.26 38.09
d_c = 0.05 | frih/dc-0.05 | 24.49 38.17
d_c = 0.1  | frih         | 23.98 38.19
d_c = 0.2  | frih/dc-0.2  | 24.76 38.15
d_c = 0.3  | frih/dc-0.3  | 25.41 38.08
d_c = 0.4  | frih/dc-0.4  | 25.90 38.02
""",
            _ALL,
            _MP,
        ),
    ),
)
ABLATIONS: dict[str, Ablation] = {ablation.name: ablation for ablation in _TABLE}
PICTURES = SUBSETS["all"]
