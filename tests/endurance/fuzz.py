"""Fuzzed messages for a real daemon: `python tests/endurance/fuzz.py --messages 1000000 --seed 1`.

Well-formed jobs are mutated: bits flipped, messages cut, repeated, left out, put in another order or replaced
by noise, on every call, with and without the token. What must hold: nobody is in without the token, every
refusal is one of the contract's, a well-formed job comes back bit by bit in between, and memory, descriptors
and the log stay flat.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc

sys.path.append(str(Path(__file__).resolve().parents[1] / "helpers"))

from job_pictures import object_mask, picture
from served import Served, by_command, home

from glihamba_proto import harmonizer_pb2 as pb

STREAM, WAIT = "Harmonize", 60.0
TOLD_EVERY = 20_000  # messages
UNARY = ("GetServerInfo", "ListModels", "Predict")
CODES = set(pb.ErrorCode.keys())


def well_formed() -> list[bytes]:
    """The messages of one job, serialized."""
    planes, chunks = [], []
    for index, (role, pixels) in enumerate(((1, picture(12, 16)), (2, object_mask(12, 16)))):
        channels = pb.Plane.RGB if pixels.ndim == 3 else pb.Plane.GRAY
        planes.append(pb.Plane(role=role, width=16, height=12, channels=channels, sample_type=pb.Plane.UINT8))  # type: ignore[arg-type]
        data = pixels.tobytes()
        for at in range(0, len(data), 200):
            chunks.append(pb.Chunk(plane=index, offset=at, data=data[at : at + 200]))
    start = pb.HarmonizeRequest(start=pb.Start(planes=planes, client="fuzz", protocol=1))
    return [start.SerializeToString(), *(pb.HarmonizeRequest(chunk=c).SerializeToString() for c in chunks)]


def predict() -> bytes:
    pictures = []
    for role, pixels in ((1, picture(12, 16)), (2, object_mask(12, 16))):
        channels = pb.Plane.RGB if pixels.ndim == 3 else pb.Plane.GRAY
        plane = pb.Plane(role=role, width=16, height=12, channels=channels, sample_type=pb.Plane.UINT8)  # type: ignore[arg-type]
        pictures.append(pb.Picture(plane=plane, data=pixels.tobytes()))
    request = pb.PredictRequest(client="fuzz", protocol=1, composite=pictures[0], mask=pictures[1])
    return request.SerializeToString()


def damaged(dice: random.Random, message: bytes) -> bytes:
    kind = dice.randrange(6)
    if kind == 0:
        return dice.randbytes(dice.randrange(400))
    if kind == 1:
        return message[: dice.randrange(len(message) + 1)]
    data = bytearray(message or b"\0")
    for _ in range(dice.choice((1, 1, 2, 8))):
        at = dice.randrange(len(data))
        if kind == 2:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 3:
            data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 4:
            data[at:at] = dice.randbytes(dice.randrange(1, 12))
        else:
            del data[at : at + dice.randrange(1, 12)]
            data = data or bytearray(1)
    return bytes(data)


def mutated(dice: random.Random, messages: list[bytes]) -> list[bytes]:
    sent = list(messages)
    for _ in range(dice.choice((1, 1, 2, 4))):
        at, kind = dice.randrange(len(sent)), dice.randrange(8)
        if kind < 5:
            sent[at] = damaged(dice, sent[at])
        elif kind == 5:
            sent.insert(at, dice.choice(messages))
        elif kind == 6 and len(sent) > 1:
            del sent[at]
        else:
            dice.shuffle(sent)
    return sent


class Fuzz:
    def __init__(self, served: Served, seed: int) -> None:
        self.dice, self.served = random.Random(seed), served
        self.channel = grpc.insecure_channel(str(served.endpoint))
        self.right = (("authorization", f"Bearer {served.endpoint.token}"),)
        self.whole, self.asked = well_formed(), predict()
        self.sent, self.ends = 0, Counter[str]()

    def call(self, method: str, messages: list[bytes], metadata: Any) -> list[bytes]:
        path = f"/glihamba.v1.Harmonizer/{method}"
        self.sent += len(messages)
        return list(self.channel.stream_stream(path)(iter(messages), metadata=metadata, timeout=WAIT))

    def control(self) -> bytes:
        answers = self.call(STREAM, self.whole, self.right)
        found = [pb.HarmonizeResponse.FromString(each) for each in answers]
        assert found[-1].HasField("end")
        return b"".join(each.chunk.data for each in found)

    def one(self) -> None:
        dice = self.dice
        is_in = dice.random() < 0.9
        noise = dice.randbytes(dice.randrange(60)).hex()
        metadata = self.right if is_in else dice.choice(((), (("authorization", f"Bearer {noise}"),)))
        if dice.random() < 0.8:
            method, messages = STREAM, mutated(dice, self.whole)
        else:
            method, messages = dice.choice(UNARY), [damaged(dice, self.asked)]
        try:
            self.call(method, messages, metadata)
        except grpc.RpcError as error:
            failure: Any = error
        else:
            assert is_in, f"{method} without the token"
            self.ends["done"] += 1
            return
        code = dict(failure.trailing_metadata() or ()).get("glihamba-error", "")
        told = method, code, failure.code(), failure.details(), [message.hex() for message in messages]
        assert code in CODES - {"INTERNAL"}, told
        assert (code == "BAD_TOKEN") == (not is_in), told
        self.ends[code] += 1


def run(messages: int, seed: int, seconds: float) -> dict[str, Any]:
    """Send so many messages, or as many as fit into the seconds. Returns what was measured."""
    with home() as folder, Served(folder) as served:
        fuzz = Fuzz(served, seed)
        wanted = fuzz.control()
        begun, settled, told = time.monotonic(), served.state(), 0
        has_settled = False
        while fuzz.sent < messages and time.monotonic() < begun + seconds:
            for _ in range(200):
                fuzz.one()
            assert fuzz.control() == wanted
            assert served.process.poll() is None, "the daemon has ended"
            if not has_settled and fuzz.sent > min(messages, 50_000) // 2:
                settled, has_settled = served.state(), True
            if fuzz.sent > told + TOLD_EVERY:
                told = fuzz.sent
                print(f"{told} messages in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        facts: dict[str, Any] = {
            "seed": seed,
            "messages": fuzz.sent,
            "calls": sum(fuzz.ends.values()),
            "ends": dict(fuzz.ends.most_common()),
            "seconds": round(time.monotonic() - begun),
            **served.growth(settled),
        }
        if has_settled:
            served.check_flat(facts)
    return facts


if __name__ == "__main__":
    by_command(run, __doc__, "messages", 1_000_000)
