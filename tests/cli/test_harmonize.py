"""`glihamba harmonize` as a person runs it: real processes, the real daemon."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_pictures import as_json, begun, glihamba, here, interrupted, marked, save, save_mask, scene
from PIL import Image

from glihamba import image_files
from glihamba.commands import local
from glihamba.engine.runner import Runner
from glihamba.networks.statistics import Statistics

pytestmark = pytest.mark.usefixtures("own_home")


def test_through_the_daemon_and_without_it(tmp_path: Path) -> None:
    """The first call starts the daemon, the second finds it; in this process the result is the same."""
    composite, mask = save(tmp_path / "in.png", scene("uint16")), save_mask(tmp_path / "mask.png")
    outputs = [tmp_path / name for name in ("first.png", "second.png", "local.png")]
    said = [
        glihamba("harmonize", composite, "--mask", mask, "-o", output, "--json", *more)
        for output, more in zip(outputs, ([], [], ["--local"]), strict=True)
    ]
    assert [each.returncode for each in said] == [0, 0, 0], said
    first, second, local = (image_files.read(output).pixels for output in outputs)
    assert np.array_equal(first, second)
    assert np.array_equal(first, local)
    assert np.array_equal(first[marked() == 0], scene("uint16")[marked() == 0])
    told = json.loads(said[0].stdout)
    assert told["output"] == str(outputs[0])
    assert told["seconds"] >= told["seconds_computed"] > 0
    status = json.loads(glihamba("status", "--json").stdout)
    assert status["running"] is True
    assert "token" not in status
    ended = glihamba("stop")
    assert (ended.returncode, ended.stdout.strip()) == (0, "The daemon has ended.")
    assert json.loads(glihamba("status", "--json").stdout) == {"running": False}
    assert glihamba("stop").stdout.strip() == "No daemon is running."


def test_strength_zero_changes_nothing_and_words_say_what_was_done(tmp_path: Path) -> None:
    composite, mask = save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")
    done = here(
        "harmonize", composite, "--mask", mask, "-o", tmp_path / "out.png", "--local", "--strength", 0
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'out.png'}: harmonized by ")
    assert np.array_equal(image_files.read(tmp_path / "out.png").pixels, scene())


@pytest.mark.skipif(os.name == "nt", reason="names of other bytes than the encoding's are a Unix thing")
@pytest.mark.parametrize(
    ("encoding", "name"),
    [("latin-1", "\u65e5\u672c"), ("cp1252", "\u0416"), ("utf-8", "\udcff"), ("latin-1", "\udcff")],
    ids=["kanji", "cyrillic", "no text at all", "no text in latin-1"],
)
def test_a_name_that_the_terminal_lacks_is_escaped(tmp_path: Path, encoding: str, name: str) -> None:
    composite, mask = save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")
    odd = composite.rename(tmp_path / f"{name}.png")
    output = tmp_path / f"{name} done.png"
    plain: Any = {"env": {**os.environ, "PYTHONIOENCODING": encoding}, "encoding": encoding}
    options = ("--mask", mask, "-o", output, "--local", "--model", "statistics")
    done = glihamba("harmonize", odd, *options, **plain)
    assert done.returncode == 0, done.stderr
    assert "harmonized by statistics" in done.stdout
    assert "\\" in done.stdout
    assert output.exists()
    told = glihamba("harmonize", odd, *options, "--json", **plain)
    assert json.loads(told.stdout)["output"] == str(output)
    lost = glihamba("harmonize", tmp_path / f"no {name}.png", *options, **plain)
    assert lost.returncode == 1
    assert lost.stderr.startswith("Error: There is no file ")


def test_a_folder_keeps_going_past_bad_files(tmp_path: Path) -> None:
    composites, masks, output = tmp_path / "composites", tmp_path / "masks", tmp_path / "new" / "out"
    composites.mkdir()
    masks.mkdir()
    for name in ("a.png", "b.jpg", "c.tif", "lonely.png", "twice.png"):
        save(composites / name, scene())
        save_mask(masks / f"{Path(name).stem}.png")
    (composites / "b.jpg").write_bytes((composites / "b.jpg").read_bytes()[:700])
    (composites / "notes.txt").write_text("not a picture")
    (masks / "lonely.png").unlink()
    save_mask(masks / "twice.tif")
    done = here("harmonize", composites, "--mask", masks, "-o", output, "--local", "--json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert [Path(each["output"]).name for each in told["done"]] == ["a.png", "c.tif"]
    assert sorted(path.name for path in output.iterdir()) == ["a.png", "c.tif"]
    reasons = {Path(each["composite"]).name: each["reason"] for each in told["failed"]}
    assert set(reasons) == {"b.jpg", "lonely.png", "twice.png"}
    assert "is damaged or cut short" in reasons["b.jpg"]
    assert reasons["lonely.png"] == f"There is no mask for it: {masks} has no picture called lonely."
    assert reasons["twice.png"] == "There are 2 masks for it (twice.png, twice.tif): keep one."


def test_a_folder_goes_on_past_a_fault_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network fails at the second picture. With GLIHAMBA_DEBUG the command ends there."""

    class Breaking(Statistics):
        calls = 0

        def colour_transform(self, composite: Any, mask: Any) -> Any:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("shapes do not fit")
            return super().colour_transform(composite, mask)

    monkeypatch.setattr(local, "Runner", lambda settings: Runner(settings, lambda name, device: Breaking()))
    composites, masks = tmp_path / "composites", tmp_path / "masks"
    composites.mkdir()
    masks.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        save(composites / name, scene())
        save_mask(masks / name)
    where = "harmonize", composites, "--mask", masks, "-o", tmp_path / "out", "--local", "--json"
    done = here(*where)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert [Path(each["output"]).name for each in told["done"]] == ["a.png", "c.png"]
    (failure,) = told["failed"]
    assert (Path(failure["composite"]).name, failure["code"]) == ("b.png", "INTERNAL")
    assert failure["reason"].startswith("Something unexpected went wrong (RuntimeError: shapes do not fit).")

    monkeypatch.setenv("GLIHAMBA_DEBUG", "1")
    done = here(*where)
    assert "shapes do not fit" in done.stderr
    assert len(json.loads(done.stdout)["done"]) == 1


def test_a_folder_in_words(tmp_path: Path) -> None:
    for folder in ("composites", "masks"):
        (tmp_path / folder).mkdir()
    save(tmp_path / "composites" / "a.png", scene())
    save(tmp_path / "composites" / "b.png", scene())
    save_mask(tmp_path / "masks" / "a.png")
    where = tmp_path / "composites", "--mask", tmp_path / "masks", "-o", tmp_path / "out", "--local"
    done = here("harmonize", *where)
    assert done.returncode == 1
    assert done.stdout == "1 of 2 pictures harmonized.\n"
    assert done.stderr.strip().startswith("b.png: There is no mask for it")


def test_folders_that_make_no_sense(tmp_path: Path) -> None:
    folder, mask = tmp_path / "composites", save_mask(tmp_path / "mask.png")
    folder.mkdir()
    cases = [
        ((folder, "--mask", mask, "-o", tmp_path / "out"), "is a folder, so --mask must be one too"),
        ((folder, "--mask", folder, "-o", mask), "is a folder, so the output must be one too"),
        ((folder, "--mask", folder, "-o", tmp_path / "out"), "There are no pictures (.png, .jpg"),
    ]
    for words, expected in cases:
        done = here("harmonize", *words)
        assert done.returncode == 1
        assert expected in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    save(folder / "a.png", scene())
    done = here("harmonize", folder, "--mask", folder, "-o", folder)
    assert "The output would overwrite the pictures in" in done.stderr


SAYS_WHEN_IT_WORKS = """
import pathlib, sys
from glihamba.cli import main
from glihamba.engine.runner import Runner
run = Runner.run
def say_and_run(*given):
    pathlib.Path(sys.argv[1]).touch()
    return run(*given)
Runner.run = say_and_run
main(sys.argv[2:])
"""


@pytest.fixture
def large(tmp_path: Path) -> list[object]:
    """The arguments that harmonize 24 megapixels, which takes long enough to be interrupted."""
    pixels = np.random.default_rng(0).integers(0, 255, (4000, 6000, 3), np.uint8)
    mask = np.zeros((4000, 6000), np.uint8)
    mask[1000:3000, 1000:5000] = 255
    Image.fromarray(pixels).save(tmp_path / "in.tif")
    Image.fromarray(mask).save(tmp_path / "mask.tif")
    return ["harmonize", tmp_path / "in.tif", "--mask", tmp_path / "mask.tif", "-o", tmp_path / "out.tif"]


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to one process")
def test_ctrl_c_leaves_nothing_half_done(
    large: list[object], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    working = tmp_path_factory.mktemp("gate") / "working"
    before = sorted(path.name for path in tmp_path.iterdir())
    process = begun(working, *large, "--local", program=["-c", SAYS_WHEN_IT_WORKS])
    _, said = interrupted(process, working.exists)
    assert said.strip() == "Interrupted; nothing was left half done."
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to one process")
def test_ctrl_c_ends_the_job_and_not_the_daemon(large: list[object], tmp_path: Path) -> None:
    composite, mask = save(tmp_path / "s.png", scene()), save_mask(tmp_path / "m.png")
    here("harmonize", composite, "--mask", mask, "-o", tmp_path / "t.png")  # starts the daemon
    before = sorted(path.name for path in tmp_path.iterdir())
    _, said = interrupted(begun(*large), lambda: as_json("status")["job_running"])
    assert said.strip() == "Interrupted; nothing was left half done."
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    while (status := as_json("status"))["job_running"]:  # the daemon drops the job
        pass
    assert status["running"]


@pytest.mark.skipif(os.name != "posix", reason="only POSIX can limit a file's size")
def test_a_full_disk_keeps_the_old_output(tmp_path: Path) -> None:
    import resource

    noisy = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
    mask = np.zeros((400, 400), np.uint8)
    mask[100:200, 100:200] = 255
    composite, mask_file = save(tmp_path / "in.png", noisy), save_mask(tmp_path / "mask.png", mask)
    output = tmp_path / "out.png"
    output.write_bytes(b"what was there before")
    before = sorted(path.name for path in tmp_path.iterdir())
    glihamba("harmonize", composite, "--mask", mask_file, "-o", tmp_path / "warm.png")  # starts the daemon
    (tmp_path / "warm.png").unlink()
    done = glihamba(
        *("harmonize", composite, "--mask", mask_file, "-o", output),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"Error: {output} was not written, and nothing was lost: "
        "there is not enough room on the disk; make some room."
    )
    assert output.read_bytes() == b"what was there before"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "data") == before


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    """A daemon that runs already uses the CPU; one started for CUDA has to fall back to it."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    composite, mask = save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")
    words = "harmonize", composite, "--mask", mask, "-o", tmp_path / "out.png", "--device"
    assert here(*words, "cpu").returncode == 0
    (tmp_path / "out.png").unlink()
    done = here(*words, "cuda")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The daemon that runs uses ")
    assert done.stderr.endswith(", not cuda: end it first (glihamba stop), or add --local.\n")
    assert here("stop").returncode == 0
    done = here(*words, "cuda")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith("Error: The GPU is not used, because ")
    assert not (tmp_path / "out.png").exists()


def test_too_many_pixels_are_refused_before_the_daemon_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIHAMBA_PIXEL_LIMIT", "1000")
    composite, mask = save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")
    done = here("harmonize", composite, "--mask", mask, "-o", tmp_path / "out.png")
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: {composite} has 48 x 32 pixels, but at most 1,000 are allowed: "
        "make it smaller, or raise GLIHAMBA_PIXEL_LIMIT and run `glihamba stop`.\n"
    )
    assert here("status").returncode == 1


def test_one_sentence_for_each_failure(tmp_path: Path) -> None:
    composite, mask = save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")
    output = tmp_path / "out.png"
    cases: list[tuple[list[object], int, str]] = [
        ([tmp_path / "none.png", "--mask", mask, "-o", output], 1, "Error: There is no file"),
        ([composite, "--mask", mask, "-o", output, "--model", "nonsuch", "--local"], 1, "“nonsuch”"),
        ([composite, "--mask", mask, "-o", output, "--remote", "studio"], 1, "Write it as host:port"),
        ([composite, "--mask", mask, "-o", output, "--strength", "2"], 2, "Invalid value for '--strength'"),
        (
            [composite, "--mask", mask, "-o", output, "--local", "--remote", "a:1"],
            2,
            "Give either --local or --remote.",
        ),
        ([composite, "-o", output], 2, "Missing option '--mask'"),
    ]
    for words, status, expected in cases:
        done = here("harmonize", *words)
        assert done.returncode == status, done.stderr
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
        assert not output.exists()
