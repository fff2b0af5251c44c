"""The engine's values as the contract's messages, and back."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from glihamba.engine.runner import Outcome
from glihamba.errors import refuse
from glihamba.pipeline.prediction import Amounts, Prediction, Variant
from glihamba_proto import checks
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.messages import Note, sentence

# gRPC's metadata may have some 8 KiB in all: enough for a few fields of this many characters.
LONGEST_FIELD = 200


def noted(note: Note) -> pb.Note:
    """A note as it travels, its English sentence left out."""
    fields = {name: str(value)[:LONGEST_FIELD] for name, value in note.fields.items()}
    return pb.Note(message=note.message, fields=fields)


def prediction_of(sent: pb.Transform) -> Prediction:
    """The prediction that a client sends back, in float32; raises BadRequest if the numbers do not fit."""
    rows, columns = sent.grid_rows, sent.grid_columns
    refuse(checks.transform_shape(len(sent.base), len(sent.mean), len(sent.grid), rows, columns))
    numbers = np.concatenate([sent.base, sent.grid, sent.mean])
    refuse(checks.transform_numbers(float(np.abs(numbers).max())))
    refuse(checks.transform_window(sent.top, sent.bottom))
    refuse(checks.transform_window(sent.left, sent.right))
    return Prediction(
        np.array(sent.base, np.float32).reshape(3, 10),
        np.array(sent.grid, np.float32).reshape(3, 4, rows, columns),
        (sent.top, sent.left, sent.bottom, sent.right),
        np.array(sent.mean, np.float32),
    )


def message_of(prediction: Prediction) -> pb.Transform:
    """The prediction as it is sent. Its numbers come back the same, bit by bit."""
    top, left, bottom, right = prediction.window
    rows, columns = prediction.grid.shape[2:]
    return pb.Transform(
        base=prediction.base.ravel().tolist(),
        grid=prediction.grid.ravel().tolist(),
        grid_rows=rows,
        grid_columns=columns,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        mean=prediction.mean.tolist(),
    )


def predicted(outcome: Outcome) -> pb.PredictResponse:
    """What a job without pixels has found."""
    variants = [_variant_of(variant) for variant in outcome.variants]
    return pb.PredictResponse(
        transform=variants[0].transform,
        variants=variants,
        model=outcome.model,
        warnings=[sentence(warning, "en") for warning in outcome.warnings],
        warning_notes=map(noted, outcome.warnings),
    )


def _variant_of(variant: Variant) -> pb.Variant:
    """A correction to choose, with its parts, as it is sent."""
    return pb.Variant(
        kind=variant.kind,
        transform=message_of(variant.prediction),
        strength=variant.strength,
        probability=variant.probability,
        apart=variant.apart,
        parts=[
            pb.Part(base=base.ravel().tolist(), grid=grid.ravel().tolist() if grid.any() else [])
            for base, grid in variant.parts
        ],
    )


def amounts_of(sent: pb.Amounts) -> Amounts:
    """What a client wants of each part, 1 where it says nothing; raises BadRequest for one out of range."""
    given = {part: getattr(sent, part) for part in asdict(Amounts()) if sent.HasField(part)}
    for part, amount in given.items():
        refuse(checks.amount(part, amount))
    return Amounts(**given)
