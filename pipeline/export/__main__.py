"""Write the trained detector as one ONNX file, and MODEL_CARD.md beside it.

Run it in the folder of the pipeline's last run: the card shows those figures of metrics/ that
dvc.lock knows to be of this model."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.base import command_line, terminal
from pipeline.base.atomic import atomic

CARD = "MODEL_CARD.md"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with the given command line."""
    options = _options(argv)
    from pipeline.detect.detector import Detector
    from pipeline.export import measurements, model_card, onnx_file
    from pipeline.export.properties import properties

    onnx_file.check_libraries()
    detector = Detector.load(options.model, calibration=options.calibration, device="cpu")
    measured = measurements.read(options.model, options.metrics, Path("dvc.lock"))
    licence = model_card.licence(options.data_licence, measured)
    said = properties(detector, options.model, licence)
    difference = onnx_file.write(options.out, detector, said)
    facts = model_card.Facts(detector.model, measured, licence, bool(options.calibration))
    card = options.out.with_name(CARD)
    with atomic(card) as temporary:
        temporary.write_text(model_card.text(facts, options.out.name), encoding="utf-8")
    print(f"{options.out}: on drawn pictures its scores are the detector's to {difference:.1g}")
    print(f"{card}: data licence {licence}")
    for reason in measured.left_out.values():
        print(f"caution: figures left out: {reason}")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    add = parser.add_argument
    add("--model", type=Path, default=Path("models"), metavar="DIR", help="trained model (models)")
    add("--out", type=Path, default=Path("models/detector.onnx"), metavar="FILE")
    add("--calibration", type=Path, metavar="FILE", help="of pipeline.detect --calibrate")
    add(
        "--metrics", type=Path, default=Path("metrics"), metavar="DIR", help="its figures (metrics)"
    )
    add(
        "--data-licence",
        metavar="TEXT",
        help="of the data it was trained on; only the sample's is known",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    terminal.run(main)
