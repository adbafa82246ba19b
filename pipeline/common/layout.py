"""The paths of the authors' data folder below `data.root`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The paths below `data.root`."""

    root: Path

    @property
    def exif(self) -> Path:
        """Folder of `<photo_id>.json`."""
        return self.root / "SSL_training_data/fdf_ccby2_exif_update_filtered_v2"

    @property
    def metainfo(self) -> Path:
        """JSON object of all faces: author, bounding box, landmarks."""
        return self.root / "SSL_training_data/FDF/data/fdf/fdf_metainfo.json"

    @property
    def pack(self) -> Path:
        """YFCC100M's EXIF expansion pack, plain where there is no compressed one."""
        path = self.root / "SSL_training_data/yfcc100m_exif.bz2"
        plain = path.with_suffix("")
        return plain if plain.is_file() and not path.is_file() else path

    @property
    def images(self) -> Path:
        """Folder of `<face_id>.png`, 128 x 128."""
        return self.root / "SSL_training_data/FDF/data/fdf/images/128"

    @property
    def negatives(self) -> Path:
        """Folder of the authors' ready-made manipulations, `<face_id>_<0..3>.png`."""
        return self.root / "SSL_training_data/FDF/data/face_dataaug_neg"

    @property
    def mapping(self) -> Path:
        """Face id to photo id: .csv or .json where there is one, else the authors' .pkl."""
        stem = self.root / "SSL_training_data/FDF/data/id_vs_fdfName"
        paths = [stem.with_suffix(suffix) for suffix in (".csv", ".json", ".pkl")]
        return next((path for path in paths if path.is_file()), paths[-1])
