"""One video in every form: the same frames."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pyrovp.data.errors import DamagedFile, DataError, MissingFiles
from pyrovp.data.readers.clip import read_clip

T, R = 11, 8


def frames() -> NDArray[np.uint8]:
    """Colours that tell frames, rows and columns apart, [T, 8, 8, 3]."""
    t, y, x = np.meshgrid(np.arange(T), np.arange(R) // 4, np.arange(R) // 4, indexing="ij")
    return np.stack([20 * t, 200 * y, 100 + 100 * x], -1).astype(np.uint8)


def folder(path: Path) -> Path:
    """Images 0.png to 10.png, and what is no image."""
    path.mkdir()
    for t, frame in enumerate(frames()):
        Image.fromarray(frame).save(path / f"{t}.png")
    (path / "notes.txt").write_text("no frame")
    return path


def gif(path: Path) -> Path:
    first, *rest = map(Image.fromarray, frames())
    first.save(path.with_suffix(".gif"), save_all=True, append_images=rest)
    return path.with_suffix(".gif")


def film(path: Path) -> Path:
    with av.open(str(path.with_suffix(".mkv")), "w") as container:
        stream = container.add_stream("ffv1", rate=25)  # nothing is lost
        stream.width, stream.height, stream.pix_fmt = R, R, "bgr0"
        for frame in frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path.with_suffix(".mkv")


def array(path: Path) -> Path:
    np.save(path.with_suffix(".npy"), frames())
    return path.with_suffix(".npy")


def archive(path: Path) -> Path:
    np.savez(path.with_suffix(".npz"), video=frames() / 255)
    return path.with_suffix(".npz")


FORMS = {"folder": folder, "gif": gif, "film": film, "array": array, "archive": archive}


def clip(path: Path, channels: int = 3, resolution: int = R, **options: object) -> Tensor:
    return torch.stack(list(read_clip(path, resolution, channels, **options)))  # type: ignore


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_video(form: str, tmp_path: Path) -> None:
    found = clip(FORMS[form](tmp_path / "video"))
    expected = torch.from_numpy(frames()).permute(0, 3, 1, 2) / 255
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_gray_is_the_luma_of_the_small_frame(tmp_path: Path) -> None:
    found = clip(array(tmp_path / "video"), channels=1)
    luma = (frames() @ np.array([0.299, 0.587, 0.114])) / 255
    np.testing.assert_allclose(found[:, 0].numpy(), luma, atol=1e-6)


def test_gray_becomes_three_equal_channels(tmp_path: Path) -> None:
    np.save(tmp_path / "gray.npy", frames()[..., 2])
    found = clip(tmp_path / "gray.npy")
    np.testing.assert_allclose(found.numpy(), frames()[:, None, ..., 2].repeat(3, 1) / 255, 1e-6)


def test_crops(tmp_path: Path) -> None:
    """Black bars left and right of the video: the centre is the video, the whole is not."""
    np.save(tmp_path / "wide.npy", np.pad(frames(), ((0, 0), (0, 0), (4, 4), (0, 0))))
    centre = clip(tmp_path / "wide.npy")
    torch.testing.assert_close(centre, clip(array(tmp_path / "video")))
    assert clip(tmp_path / "wide.npy", crop="whole")[:, :, :, 0].amax() < 0.1


def test_one_of_several(tmp_path: Path) -> None:
    np.save(tmp_path / "two.npy", np.stack([frames(), 255 - frames()]))
    torch.testing.assert_close(clip(tmp_path / "two.npy", number=0), 1 - clip(
        tmp_path / "two.npy", number=1))  # fmt: skip
    with pytest.raises(DataError, match="holds 2 videos; choose one, number=0 to number=1"):
        read_clip(tmp_path / "two.npy", R, 3)
    with pytest.raises(DataError, match="holds 2 videos, but number=2 was asked for"):
        read_clip(tmp_path / "two.npy", R, 3, number=2)
    with pytest.raises(DataError, match="is one video; leave out number=1"):
        read_clip(gif(tmp_path / "video"), R, 3, number=1)


def test_frames_come_one_by_one(tmp_path: Path) -> None:
    """What lies behind a frame is not read before it is asked for."""
    path = folder(tmp_path / "video")
    (path / "10.png").write_bytes(b"no image")
    reader = read_clip(path, R, 3)
    assert len([next(reader) for _ in range(T - 1)]) == T - 1
    with pytest.raises(DamagedFile, match="10.png"):
        next(reader)


def _nested(path: Path) -> None:
    for name in ("a", "b"):
        (path / name).mkdir()
        Image.fromarray(frames()[0]).save(path / name / "0.png")


def _uneven(path: Path) -> None:
    for t in (4, 5):
        Image.fromarray(frames()[0, :t]).save(path / f"{t}.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.rmdir(), "there is no file or folder"),
        (lambda path: (path / "a.txt").write_text(""), "holds no PNG or JPEG images"),
        (_nested, r"images in 2 folders \(a, b, ...\)"),
        (_uneven, "found 8x5 px after 8x4 px, expected frames of one size"),
    ],
)
def test_what_is_no_video(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    (tmp_path / "video").mkdir()
    spoil(tmp_path / "video")
    with pytest.raises((MissingFiles, DataError), match=message):
        clip(tmp_path / "video")
