"""What reads the formats that data sets come in, each checking that what it reads is whole.

    tfrecord.py    records of a TFRecord file; the features of a tf.train.Example
    video.py       the frames of a video file; container.py: whether it was cut short
    images.py      PNG and JPEG images; the members of a folder or of a zip file alike
    arrays.py      the videos in a .npy or .npz file
    resize.py      a frame at the resolution that is kept

`protobuf.py`, `extra.py` and `damage.py` are what these stand on.

All frames are uint8 [H, W, 3]. What cannot be read whole is a `DamagedFile` that says where.
"""

__all__: list[str] = []
