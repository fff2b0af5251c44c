"""Data sets beside iHarmony4 whose true colours are known, in the layouts that their authors publish.

| set | layout |
|---|---|
| HVIDIT (Guo et al. 2021), or one of iHarmony4's subsets by itself | `composite_images`, `masks`, `real_images`, and NAME_train.txt, NAME_test.txt of file names |
| ccHarmony (Niu et al. 2023) | the same folders, and train_list.txt, test_list.txt of foregrounds, REAL_LETTER, each with its composites REAL_LETTER_VARIANT |
| RealHM (Jiang et al. 2021) | NAME_composite.jpg, NAME_mask.jpg, NAME_gt.jpg in vendor_testing_1 to 3; it is all test |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from glihamba_training.data.entry import BadList, Entry, RealHMEntry

OFFICIAL = {
    "ccHarmony": {"train": {"ccHarmony": 3_080}, "test": {"ccHarmony": 1_180}},
    "HVIDIT": {"train": {"HVIDIT": 3_007}, "test": {"HVIDIT": 329}},
    "RealHM": {"test": {"RealHM": 216}},
}
"""Set -> split -> subset -> composites, as their authors count them."""
_FOLDER = "composite_images"
_VENDORS = "vendor_testing_*"


def kind_of(root: Path) -> str:
    """The set's name, "" if the folder is none of these."""
    if any(root.glob(_VENDORS)):
        return "RealHM"
    if not (root / _FOLDER).is_dir():
        return ""
    if any((root / f"{split}_list.txt").is_file() for split in ("train", "test")):
        return "ccHarmony"
    named = [
        path.stem.rpartition("_")[0] for split in ("train", "test") for path in root.glob(f"*_{split}.txt")
    ]
    return named[0] if named else ""


def list_name(root: Path, split: str) -> str:
    """What names the split's composites: a list, or for RealHM the folders themselves."""
    kind = kind_of(root)
    return {"ccHarmony": f"{split}_list.txt", "RealHM": _VENDORS}.get(kind, f"{kind}_{split}.txt")


def entries(root: Path, split: str) -> list[Entry]:
    """The split's composites in the list's order, RealHM's by name.

    Raises FileNotFoundError, which names the list, and BadList.
    """
    kind = kind_of(root)
    if kind == "RealHM":
        return _realhm(root) if split == "test" else []
    listed = root / list_name(root, split)
    if not listed.is_file():
        raise FileNotFoundError(f"{root} is not a copy of {kind}: {listed.name} is missing.")
    lines = listed.read_text("utf-8").split()
    if kind == "ccHarmony":
        return list(_ccharmony(root, lines, listed))
    found = []
    for line in lines:
        file = line.rpartition("/")[2]
        if Path(file).stem.count("_") < 2:
            raise BadList(f'The line "{line}" of {listed} is not a composite: download the list again.')
        found.append(Entry(f"{_FOLDER}/{file}", kind, Path(file).stem, ""))
    return found


def _ccharmony(root: Path, foregrounds: list[str], listed: Path) -> Iterator[Entry]:
    variants: dict[str, list[str]] = {}
    for path in sorted((root / _FOLDER).iterdir()):
        variants.setdefault(path.stem.rpartition("_")[0], []).append(path.name)
    for foreground in foregrounds:
        if foreground not in variants:
            raise BadList(f"{listed} names {foreground}, which has no composite: complete the copy.")
        for file in variants[foreground]:
            yield Entry(f"{_FOLDER}/{file}", "ccHarmony", Path(file).stem, "")


def _realhm(root: Path) -> list[Entry]:
    found: list[Entry] = []
    for path in sorted(root.glob(f"{_VENDORS}/**/*_composite.jpg")):
        name = path.name.removesuffix("_composite.jpg")
        found.append(RealHMEntry(path.relative_to(root).as_posix(), "RealHM", name))
    return found
