"""Many clients at once, beside others that hold what they get: `python tests/endurance/load.py --rounds 60`.

In each round 32 programs ask for a job at the same time, and the command line harmonizes a folder. Meanwhile
others, who have the token, read no result, send a byte at a time, send no message, or promise gigabytes; and
strangers try to get in without the token. What must hold: all 32 and the folder are served, every result is
the same bit by bit, memory and descriptors stay flat, and no stranger gets in.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

sys.path.append(str(Path(__file__).resolve().parents[1] / "helpers"))

from job_pictures import object_mask, picture
from served import PATIENCE, SERVE, Served, by_command, home

from glihamba.file_host import plane
from glihamba_client.host import Capture
from glihamba_client.service import DaemonService
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto import interpreter

CLIENTS, PICTURES = 32, 4
SETTLED = 10  # rounds; memory is compared with the most that there was after one of them
LARGE = 1000, 1500  # a result of this height and width does not fit into what gRPC sends unread
PROMISED = 12_000  # pixels a side: 576 MB, and below the limit
HARMONIZE = interpreter.module(sys.executable, "glihamba", "harmonize")
PATH = "/glihamba.v1.Harmonizer/"


def capture(height: int, width: int) -> Capture:
    mask = object_mask(height, width)[:, :, None]
    return Capture(plane(picture(height, width), "srgb"), plane(mask, "srgb"))


def start(height: int, width: int, client: str) -> pb.HarmonizeRequest:
    sizes: Any = {"width": width, "height": height, "sample_type": pb.Plane.UINT8}
    composite = pb.Plane(role=pb.Plane.COMPOSITE, channels=pb.Plane.RGB, **sizes)
    mask = pb.Plane(role=pb.Plane.MASK, channels=pb.Plane.GRAY, **sizes)
    return pb.HarmonizeRequest(start=pb.Start(planes=[composite, mask], client=client, protocol=1))


def whole(client: str) -> Iterator[pb.HarmonizeRequest]:
    height, width = LARGE
    yield start(height, width, client)
    for index, pixels in enumerate((picture(height, width), object_mask(height, width))):
        data = pixels.tobytes()
        for at in range(0, len(data), 1 << 18):
            yield pb.HarmonizeRequest(chunk=pb.Chunk(plane=index, offset=at, data=data[at : at + (1 << 18)]))


class Crowd:
    """Those who hold what they get, until `over` is set. Each has a connection and a thread of its own."""

    def __init__(self, served: Served) -> None:
        self.endpoint, self.over = served.endpoint, threading.Event()
        self.right = (("authorization", f"Bearer {served.endpoint.token}"),)
        self.ends, self.threads = Counter[str](), list[threading.Thread]()
        self._lock = threading.Lock()

    def let_in(self, kind: str, work: Callable[[grpc.Channel], str]) -> None:
        def one() -> None:
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(str(self.endpoint), options) as channel:
                end = work(channel)
            with self._lock:
                self.ends[f"{kind}: {end}"] += 1

        self.threads.append(threading.Thread(target=one, daemon=True))
        self.threads[-1].start()

    def leave(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _held(self, channel: grpc.Channel, messages: Iterator[Any]) -> str:
        """Make a call whose answers nobody reads; returns how it ended."""
        method = channel.stream_stream(
            PATH + "Harmonize", pb.HarmonizeRequest.SerializeToString, pb.HarmonizeResponse.FromString
        )
        call = method(messages, metadata=self.right)
        while not self.over.wait(0.1) and call.is_active():
            pass
        was_ended = not call.is_active()
        call.cancel()
        return "ended by the daemon" if was_ended else "held to the end of the round"

    def reader(self, channel: grpc.Channel) -> str:
        return self._held(channel, whole("a slow reader"))

    def trickler(self, channel: grpc.Channel) -> str:
        def bytewise() -> Iterator[Any]:
            yield start(400, 600, "a trickler")
            for at in range(720_000):
                yield pb.HarmonizeRequest(chunk=pb.Chunk(plane=0, offset=at, data=b"\0"))
                if self.over.wait(0.02):
                    return

        return self._held(channel, bytewise())

    def silent(self, channel: grpc.Channel) -> str:
        def nothing() -> Iterator[Any]:
            self.over.wait()
            yield from ()

        return self._held(channel, nothing())

    def boaster(self, channel: grpc.Channel) -> str:
        def promise() -> Iterator[Any]:
            yield start(PROMISED, PROMISED, "a boaster")
            self.over.wait()

        return self._held(channel, promise())

    def stranger(self, channel: grpc.Channel) -> str:
        method = channel.unary_unary(
            PATH + "GetServerInfo", pb.GetServerInfoRequest.SerializeToString, pb.ServerInfo.FromString
        )
        tries = 0
        while not self.over.wait(0.05):
            noise = (("authorization", f"Bearer {tries:032x}"),) if tries % 2 else ()
            try:
                method(pb.GetServerInfoRequest(), metadata=noise, timeout=PATIENCE)
            except grpc.RpcError as error:
                code = dict(error.trailing_metadata() or ()).get("glihamba-error")
                if code != "BAD_TOKEN":
                    return f"refused otherwise: {code}"
            else:
                return "in without the token"
            tries += 1
        return "refused every time"


class Load:
    def __init__(self, folder: Path, served: Served, seed: int) -> None:
        self.dice, self.served, self.ends = random.Random(seed), served, Counter[str]()
        self.capture = capture(300, 400)
        self.wanted = self.pixels("the first", Counter[str]())
        self.folder, self.files = folder, b""
        self._write_pictures()

    def pixels(self, name: str, stages: Counter[str]) -> bytes:
        """The result of one job, asked for as an editor does."""
        task = DaemonService(command=SERVE, name=name).start(self.capture)
        while not task.wait(0.02):
            stages[task.progress().stage] += 1
        return bytes(task.result().plane.data)

    def _write_pictures(self) -> None:
        from PIL import Image

        for name in ("composites", "masks"):
            (self.folder / name).mkdir()
        for number in range(PICTURES):
            Image.fromarray(picture(300, 400)).save(self.folder / "composites" / f"{number}.png")
            Image.fromarray(object_mask(300, 400)).save(self.folder / "masks" / f"{number}.png")

    def harmonize_folder(self) -> None:
        places = [str(self.folder / name) for name in ("composites", "masks", "out")]
        command = [*HARMONIZE, places[0], "--mask", places[1], "-o", places[2]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        for path in (self.folder / "out").iterdir():
            self.files = self.files or path.read_bytes()
            assert path.read_bytes() == self.files, path
            path.unlink()
            self.ends["files of a folder"] += 1

    def round(self) -> None:
        crowd = Crowd(self.served)
        for kind in ("reader", "trickler", "silent", "boaster", "stranger"):
            for _ in range(self.dice.randrange(1, 13)):
                crowd.let_in(kind, getattr(crowd, kind))
        time.sleep(self.dice.random())  # they have the places already, or come for them at the same time
        failures: list[BaseException] = []
        ready = threading.Barrier(CLIENTS + 1)

        def client(number: int) -> None:
            ready.wait()
            stages = Counter[str]()
            try:
                assert self.pixels(f"load {number}", stages) == self.wanted
            except BaseException as error:
                failures.append(error)
            self.ends["waited outside, then served" if stages["BUSY"] else "served"] += 1

        threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        ready.wait()
        self.harmonize_folder()
        for thread in threads:
            thread.join(PATIENCE)
        assert not failures, failures
        # Some rounds last until the daemon has lost its patience with those who hold its places.
        if self.dice.random() < 0.1:
            time.sleep(40)
        crowd.leave()
        assert not any("in without" in end or "otherwise" in end for end in crowd.ends), crowd.ends
        self.ends += crowd.ends


def run(rounds: int, seed: int, seconds: float) -> dict[str, Any]:
    """So many rounds, or as many as fit into the seconds. Returns what was measured."""
    with home() as folder, Served(folder) as served:
        load, begun, done, slowest = Load(folder, served, seed), time.monotonic(), 0, 0.0
        settled = served.state()
        while done < rounds and time.monotonic() < begun + seconds:
            started = time.monotonic()
            load.round()
            done, slowest = done + 1, max(slowest, time.monotonic() - started)
            assert served.process.poll() is None, "the daemon has ended"
            served.quiet()
            if done <= SETTLED:
                settled = max(settled, served.state())
            print(f"{done} rounds: {served.state()[0]:.0f} MB", file=sys.stderr, flush=True)
        facts = {
            "seed": seed,
            "rounds": done,
            "ends": dict(load.ends.most_common()),
            "seconds": round(time.monotonic() - begun),
            "slowest_round": round(slowest),
            **served.growth(settled),
        }
        if done > SETTLED:
            served.check_flat(facts)
    return facts


if __name__ == "__main__":
    by_command(run, __doc__, "rounds", 100)
