"""Scores models and folders of results on iHarmony4 and on fixed composites of held-out photographs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor

from glihamba.errors import BadRequest
from glihamba.models import load
from glihamba.models.filling import network_of
from glihamba.models.registry import Record
from glihamba.models.store import METADATA_KEY
from glihamba.networks import build
from glihamba.networks.base import Harmonizer
from glihamba_proto.files import replacing
from glihamba_training.data import iharmony4
from glihamba_training.data.iharmony4 import Triple, entries, read_entry, read_triples
from glihamba_training.data.photos import photo_dataset
from glihamba_training.run.checkpoints import averaged_weights, header_of, starting_weights, take_weights
from glihamba_training.scoring.best_of import best_of
from glihamba_training.scoring.protocols import METRICS, PROTOCOLS, Method, Scores
from glihamba_training.synthesis.clean_edges import with_clean_edges
from glihamba_training.synthesis.composites import Synthesis
from glihamba_training.synthesis.pasted import movable
from glihamba_training.synthesis.settings import SynthesisSettings

COMPOSITE = "composite"  # the name under which the untouched input is scored

WORSE = 0.3  # dB: a picture that loses more against its composite counts as worsened
RATIOS = {"0-5 %": (0.0, 0.05), "5-15 %": (0.05, 0.15), "15-100 %": (0.15, 1.01)}
SUBSETS = ("HCOCO", "HAdobe5k", "HFlickr", "Hday2night")

VAL_SIZE = 256
# Independent of the recipes: figures must stay comparable.
VAL_SETTINGS = SynthesisSettings(
    kinds=(1.0, 0.0, 0.0),
    scene=0.5,
    plain=0.5,
    darker=0.0,
    transfer=0.2,
    lut=0.3,
    unchanged=0.0,
    median_mse=1200.0,
    log_spread=1.6,
    amplify=2.5,
    smallest_crop=1.0,
)
VAL_SEED = 20_000


@dataclass(frozen=True)
class PictureScores:
    """One picture's scores by one method under one protocol. ratio: the foreground's share of it."""

    protocol: str
    model: str
    subset: str
    picture: str
    ratio: float
    scores: Scores


@dataclass(frozen=True)
class Summary:
    """Means over pictures, as the papers print them, and medians.

    group: "all", or the pictures' subset or range of foreground ratios. worsened: number of pictures that
    lost more than WORSE dB against the composite.
    """

    protocol: str
    model: str
    pictures: int
    psnr: float
    mse: float
    fmse: float
    ssim: float
    median_psnr: float
    median_fmse: float
    worsened: int
    group: str = "all"
    lpips: float | None = None


def val_triples(data: Path, count: int = 256, *, pasted: bool = False) -> Iterator[Triple]:
    """The first `count` fixed composites of held-out photographs' whole objects, 256 x 256, with clean edges.

    pasted: each object lies elsewhere in its photograph if there is room for it (four in five); objects that
    two sides of the photograph cut off (skies, walls, meadows) are left out.

    Raises FileNotFoundError, with a sentence, if there are no photographs, and BadRequest if none has the
    mask of a whole object: GrabCut's regions are not good enough to measure with.
    """
    photos = photo_dataset(data, "val", VAL_SIZE)
    if pasted:
        photos = movable(photos)
    if not (photos.kind_of == 0).any():
        raise BadRequest(
            f"{data} has no masks of whole objects{' that can be pasted' * pasted}, and only those are a"
            " measure: put NAME.mask0.png beside NAME.jpg."
        )
    synthesis = Synthesis(photos, replace(VAL_SETTINGS, pasted=float(pasted)), VAL_SEED)
    for index in range(count):
        # Two, because statistics are transferred from the other.
        batch = with_clean_edges(synthesis.batch(index, VAL_SIZE, 2))
        pixels = [(plane[0] * 255).round().byte().permute(1, 2, 0).numpy() for plane in batch]
        yield Triple(f"val{index:04}", "val", pixels[0], np.ascontiguousarray(pixels[1][..., 0]), pixels[2])


def triples_of(root: Path, count: int = 256, *, pasted: bool = False) -> Iterable[Triple]:
    """The test triples of a copy of iHarmony4, else `val_triples` of the photographs in `root`."""
    return read_triples(root) if iharmony4.is_copy(root) else val_triples(root, count, pasted=pasted)


def count_of(root: Path, count: int = 256) -> int:
    """How many triples `triples_of` gives."""
    return len(entries(root, "test")) if iharmony4.is_copy(root) else count


def chosen_triples(
    root: Path, names: Container[str], count: int = 256, *, pasted: bool = False
) -> Iterator[Triple]:
    """The triples of `triples_of` with these names."""
    if iharmony4.is_copy(root):
        yield from (read_entry(root, entry) for entry in entries(root, "test") if entry.name in names)
    else:
        yield from (triple for triple in val_triples(root, count, pasted=pasted) if triple.name in names)


def harmonious(triples: Iterable[Triple]) -> Iterator[Triple]:
    """The same pictures with nothing to correct: the composites are replaced by the real pictures."""
    for triple in triples:
        yield replace(triple, composite=triple.real)


def evaluate(
    triples: Iterable[Triple],
    methods: Mapping[str, Method],
    protocols: Iterable[str],
    progress: Callable[[], None] = lambda: None,
    batch: int = 1,
    perceptual: Callable[[Tensor, Tensor], float] | None = None,
) -> list[PictureScores]:
    """Every method on every picture under every protocol.

    progress: called after each picture. batch: pictures that a network sees at once, where a protocol gives
    them one size. perceptual: `perceptual.lpips`, if LPIPS is wanted too.
    """
    chosen = [PROTOCOLS[name] for name in protocols]
    rows = []
    waiting = iter(triples)
    while some := list(islice(waiting, batch)):
        for protocol in chosen:
            planes = [protocol.planes(triple) for triple in some]
            for name, method in methods.items():
                harmonized = protocol.all_harmonized(some, planes, method)
                for triple, at, pixels in zip(some, planes, harmonized, strict=True):
                    scores = protocol.score(pixels, at)
                    if perceptual:
                        distance = perceptual(protocol.shown(pixels, at), at.real)
                        scores = replace(scores, lpips=distance)
                    rows.append(
                        PictureScores(protocol.name, name, triple.subset, triple.name, at.ratio, scores)
                    )
        for _ in some:
            progress()
    return rows


def load_models(names: Iterable[str], device: str = "cpu") -> dict[str, Method]:
    """Networks by their names, on the device. "composite" is the untouched input.

    A name is a registered model's, or the path of a checkpoint (.ckpt, .safetensors) or of a model file.
    """
    return {name: None if name == COMPOSITE else _network(name, device) for name in names}


def _network(name: str, device: str) -> Harmonizer:
    path = Path(name)
    if path.suffix not in (".ckpt", ".safetensors"):
        return load(name, device)
    if path.suffix == ".safetensors" and (record := header_of(path).get(METADATA_KEY)):
        return network_of(Record.from_json(record), starting_weights(name)).to(device)
    weights, recipe = averaged_weights(path)
    network = build(recipe["model"], **recipe.get("config", {}))
    take_weights(network, weights, name, recipe["model"])
    return network.eval().to(device)


def with_best_of(methods: Mapping[str, Method]) -> dict[str, Method]:
    """The methods, each network of several answers followed by the best of them."""
    found: dict[str, Method] = {}
    for name, method in methods.items():
        found[name] = method
        if isinstance(method, Harmonizer) and (every := best_of(method)):
            found[f"{name}, best of {len(every.each)}"] = every
    return found


def summarise(rows: list[PictureScores], group: str = "all") -> list[Summary]:
    """One line for each protocol and model, in order of appearance."""
    composite = {(r.protocol, r.picture): r.scores.psnr for r in rows if r.model == COMPOSITE}
    groups: dict[tuple[str, str], list[PictureScores]] = {}
    for row in rows:
        groups.setdefault((row.protocol, row.model), []).append(row)
    summaries = []
    for (protocol, model), of_model in groups.items():
        figures = {
            name: np.array([getattr(row.scores, name) for row in of_model]) for name in metrics_of(of_model)
        }
        means = {name: float(np.mean(values)) for name, values in figures.items()}
        before = np.array([composite.get((protocol, r.picture), r.scores.psnr) for r in of_model])
        summaries.append(
            Summary(
                protocol,
                model,
                len(of_model),
                **means,
                median_psnr=float(np.median(figures["psnr"])),
                median_fmse=float(np.median(figures["fmse"])),
                worsened=int((figures["psnr"] < before - WORSE).sum()),
                group=group,
            )
        )
    return summaries


def metrics_of(rows: Iterable[PictureScores]) -> tuple[str, ...]:
    """Names of the metrics that every picture has a figure of."""
    scores = [row.scores for row in rows]
    return tuple(name for name in METRICS if all(getattr(each, name) is not None for each in scores))


def by_subset(rows: list[PictureScores]) -> list[Summary]:
    """`summarise` of each subset that has pictures: iHarmony4's in the papers' order, then others."""
    present = dict.fromkeys(row.subset for row in rows)
    names = [*(name for name in SUBSETS if name in present), *(n for n in present if n not in SUBSETS)]
    return [s for name in names for s in summarise([r for r in rows if r.subset == name], name)]


def by_ratio(rows: list[PictureScores]) -> list[Summary]:
    """`summarise` of each of the papers' ranges of foreground ratios that has pictures."""
    return [
        summary
        for name, (low, high) in RATIOS.items()
        for summary in summarise([r for r in rows if low <= r.ratio < high], name)
    ]


def write_csv(rows: list[PictureScores], path: Path) -> None:
    """One line for each picture, model and protocol."""
    metrics = metrics_of(rows)
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["protocol", "model", "subset", "picture", "foreground_ratio", *metrics])
        for r in rows:
            figures = [f"{getattr(r.scores, name):.6g}" for name in metrics]
            writer.writerow([r.protocol, r.model, r.subset, r.picture, f"{r.ratio:.6g}", *figures])
