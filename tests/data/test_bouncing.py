"""The closed form of bouncing against a ball that is moved step by step."""

import numpy as np
import pytest

from pyrovp.data.bouncing import bounce


def step_by_step(
    start: float, velocity: float, room: float, length: int
) -> tuple[list[float], list[float], list[bool]]:
    """One coordinate, reflected at the walls as often as it takes within a frame."""
    position, velocities, bounces = [start], [velocity], [False]
    for _ in range(length - 1):
        x, bounced = position[-1] + velocity, False
        while not 0 <= x <= room:
            x = -x if x < 0 else 2 * room - x
            velocity, bounced = -velocity, True
        position.append(x)
        velocities.append(velocity)
        bounces.append(bounced)
    return position, velocities, bounces


@pytest.mark.parametrize("speed", [0.1, 5.0, 36.0, 100.0])
def test_folding_agrees_with_steps(speed: float) -> None:
    rng, room, length = np.random.default_rng(3), 36.0, 300
    start, velocity = rng.uniform(0, room, (4, 2)), rng.uniform(-speed, speed, (4, 2))
    path = bounce(start, velocity, room, length)
    assert path.position.shape == path.velocity.shape == path.bounce.shape == (length, 4, 2)
    for n in range(4):
        for axis in range(2):
            x, v, hit = step_by_step(start[n, axis], velocity[n, axis], room, length)
            np.testing.assert_allclose(path.position[:, n, axis], x, atol=1e-9)
            np.testing.assert_array_equal(path.velocity[:, n, axis], v)
            np.testing.assert_array_equal(path.bounce[:, n, axis], hit)
    assert speed < 1 or path.bounce.any()


def test_positions_stay_inside_over_a_long_time() -> None:
    rng = np.random.default_rng(0)
    start, velocity = rng.uniform(0, 36, (20, 2)), rng.uniform(-6, 6, (20, 2))
    position = bounce(start, velocity, 36.0, 5000).position
    assert position.min() >= 0 and position.max() <= 36


def test_rounding_cannot_push_a_point_out() -> None:
    """Sums that end within an ulp of a wall, on either side."""
    start = np.array([[0.1, 0.3], [0.7, 0.9]])
    velocity = np.array([[-0.1, 0.1], [0.3, -0.3]])
    position = bounce(start, velocity, 0.9, 10_000).position
    assert position.min() >= 0 and position.max() <= 0.9
