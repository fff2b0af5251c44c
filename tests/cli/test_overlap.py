"""Pictures of a folder overlap: their jobs, outputs and reports keep the order, and few are in memory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from cli_pictures import marked, save, save_mask, scene

from glihamba.commands.local import LocalJob, LocalService
from glihamba.commands.overlap import AT_ONCE, UnderWay, in_order
from glihamba.commands.pictures import Picture, Worker
from glihamba.settings import in_force
from glihamba_client.errors import ClientError
from glihamba_client.host import AS_PREDICTED, Capture, Choice, Harmonized


class Watched(LocalService):
    """Notes the jobs it is given. While `held` is clear it starts none."""

    def __init__(self, refuses: str = "") -> None:
        super().__init__(in_force())
        self.held = threading.Event()
        self.held.set()
        self.widths: list[int] = []
        self.jobs: list[LocalJob[Harmonized]] = []
        self._refuses = refuses

    def start(self, capture: Capture, choice: Choice = AS_PREDICTED) -> LocalJob[Harmonized]:
        while not self.held.wait(0.1):
            pass
        self.widths.append(capture.composite.width)
        if self._refuses and any(not job.ended.is_set() for job in self.jobs):
            raise ClientError(self._refuses)
        job = super().start(capture, choice)
        self.jobs.append(job)
        return job


def pictures(folder: Path, count: int) -> list[Picture]:
    """Pictures of falling widths, so that a later one is read before an earlier one."""
    made = []
    for number in range(count):
        width = 40 - number
        composite = save(folder / f"{number}.png", scene()[:, :width])
        mask = save_mask(folder / f"mask{number}.png", marked()[:, :width])
        made.append(Picture(composite, mask, folder / f"out{number}.png"))
    return made


def ignore(one: UnderWay) -> None:
    pass


def test_jobs_and_outputs_keep_the_order(tmp_path: Path) -> None:
    service, wanted = Watched(), pictures(tmp_path, 6)
    work = Worker(service, Choice("statistics-full"))
    for number, one in enumerate(in_order(work, wanted, ignore)):
        assert one.picture is wanted[number]
        assert not one.picture.output.exists()  # it appears when it is this picture's turn
        assert one.written()["output"] == str(one.picture.output)
        assert [picture.output.exists() for picture in wanted] == [n <= number for n in range(6)]
    assert service.widths == [40, 39, 38, 37, 36, 35]


def test_the_result_is_that_of_the_picture_alone(tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    wanted, alone = pictures(tmp_path, 4), pictures(tmp_path / "alone", 4)
    for one in in_order(Worker(LocalService(in_force()), Choice("statistics-full")), wanted, ignore):
        one.written()
    work = Worker(LocalService(in_force()), Choice("statistics-full"))
    for together, single in zip(wanted, alone, strict=True):
        work.harmonize(single)
        assert together.output.read_bytes() == single.output.read_bytes()


def test_the_next_pictures_are_read_while_one_waits_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glihamba import file_host

    read: list[Path] = []
    enough = threading.Event()
    original = file_host.FileHost.capture

    def capture(host: file_host.FileHost) -> Any:
        captured = yield from original(host)
        read.append(host.composite)
        if len(read) == AT_ONCE:
            enough.set()
        return captured

    monkeypatch.setattr(file_host.FileHost, "capture", capture)
    service, wanted = Watched(), pictures(tmp_path, 6)
    service.held.clear()

    def waiting(one: UnderWay) -> None:
        if enough.is_set():
            service.held.set()

    line = in_order(Worker(service, Choice("statistics-full")), wanted, waiting)
    next(line)  # ends only if the first three are read while no job has started
    assert {path.name for path in read} == {"0.png", "1.png", "2.png"}
    next(line)
    line.close()
    assert len(read) <= AT_ONCE + 1


@pytest.mark.parametrize("code", ["QUEUE_FULL", "OUT_OF_MEMORY", "DAEMON_LOST"])
def test_a_picture_that_its_neighbours_crowd_out_is_tried_again_alone(tmp_path: Path, code: str) -> None:
    service, wanted = Watched(refuses=code), pictures(tmp_path, 5)
    for one in in_order(Worker(service, Choice("statistics-full")), wanted, ignore):
        one.written()
    assert all(picture.output.exists() for picture in wanted)


def test_what_fails_alone_too_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    class Lost(Watched):
        def start(self, capture: Capture, choice: Choice = AS_PREDICTED) -> LocalJob[Harmonized]:
            if capture.composite.width == 39:
                self.widths.append(39)
                raise ClientError("DAEMON_LOST", address="here")
            return super().start(capture, choice)

    service, wanted = Lost(), pictures(tmp_path, 4)
    failed = []
    for one in in_order(Worker(service, Choice("statistics-full")), wanted, ignore):
        try:
            one.written()
        except ClientError as error:
            failed.append((one.picture.composite.name, error.code))
    assert failed == [("1.png", "DAEMON_LOST")]
    assert service.widths.count(39) == 2
    assert [picture.output.exists() for picture in wanted] == [True, False, True, True]


def test_closing_gives_up_what_is_under_way(tmp_path: Path) -> None:
    service, wanted = Watched(), pictures(tmp_path, 6)
    line = in_order(Worker(service, Choice("statistics-full")), wanted, ignore)
    next(line).written()
    line.close()
    ours = [thread for thread in threading.enumerate() if thread.name == "glihamba-picture"]
    for thread in ours:
        thread.join()
    assert [picture.output.exists() for picture in wanted] == [True] + 5 * [False]
