"""Expressionist portrait: a head in broad planes of unmixed color between blue-black outlines."""

from __future__ import annotations

import numpy as np

from .brush import Easel, trace
from .canvas import coordinates, mix, ramp, relief, rgb, smoothstep
from .noise import Array, fractal, sample

WALL = rgb("143a6b", "1f7f8f", "3fa98a", "b9c75a", "f2b63a", "ec7a3a")
SKIN = rgb("2b5f52", "6f8f4a", "d9743a", "f2a463", "f9d08a", "fff0c4")  # from shade to light
HAIR = rgb("141233", "2a2366", "6b2350", "a8323a", "e0662a")
COAT = rgb("5a0f2a", "a81a30", "e0392c", "f4772e")
SHAWL = rgb("14306b", "1f5fb0", "4aa0c8", "c8e0cf")
LINE = rgb("0c0d26", "241a3a")
LIPS = rgb("8f1226", "e0283a")
MIDDLE, RADII = (0.50, 0.43), (0.175, 0.255)  # of the face
BRUSHES = ((420, 0.080, 0.24), (420, 0.050, 0.15), (1300, 0.026, 0.085))  # number, width, length of strokes


def _ellipse(x: Array, y: Array, middle: tuple[float, float], radii: tuple[float, float]) -> Array:
    """Return the distance from the middle of an ellipse, 1 on its edge."""
    distance: Array = np.hypot((x - middle[0]) / radii[0], (y - middle[1]) / radii[1])
    return distance


def _scene(rng: np.random.Generator, side: int) -> tuple[Array, Array]:
    """Return the colors and the directions of the strokes, from the wall to the face."""
    x, y = coordinates(side)
    patchy = fractal(rng, side, 5, 2)
    wall = np.round(4.5 * np.clip(0.3 + 0.5 * x + 0.2 * y + 0.22 * patchy, 0, 1)) / 4.5
    colors = ramp(WALL, wall)
    angle = 0.9 + 0.5 * fractal(rng, side, 2, 2)

    shoulder = y - 0.80 - 0.9 * np.abs(x - 0.5) ** 1.6 - 0.012 * patchy
    coat = smoothstep(-0.01, 0.01, shoulder)
    colors = mix(colors, ramp(COAT, np.clip(0.85 - 0.9 * x + 0.25 * patchy + 0.35 * (y - 0.8), 0, 1)), coat)
    angle = np.where(shoulder > 0, np.where(x < 0.5, 2.2, 0.95), angle)
    lapel = (np.abs(x - 0.5) < 0.20 - 0.55 * (0.98 - y)) & (shoulder > 0)
    colors = mix(colors, ramp(SHAWL, np.clip(0.9 - 1.6 * np.abs(x - 0.44) - 0.2 * patchy, 0, 1)), lapel * 1.0)

    hair = _ellipse(x, y, (0.50, 0.395), (0.245, 0.315)) + 0.02 * patchy
    long = (np.abs(x - 0.5) < 0.245 + 0.05 * np.sin(9 * y)) & (y > 0.4) & (y < 0.76)
    inside = (hair < 1) | long
    strands = 0.5 + 0.5 * np.sin(40 * x + 5 * fractal(rng, side, 3, 2))
    colors = mix(colors, ramp(HAIR, np.clip(0.10 + 0.5 * strands + 0.35 * (0.5 - x), 0, 1)), inside * 1.0)
    angle = np.where(inside, np.pi / 2 + 1.4 * (x - 0.5) / 0.25 * (y < 0.3), angle)

    neck = (np.abs(x - 0.5) < 0.085 + 0.1 * np.clip(y - 0.72, 0, 1)) & (y > 0.6) & (y < 0.86)
    colors = mix(colors, ramp(SKIN, np.clip(0.45 - 1.9 * (x - 0.47), 0, 1)), neck * 1.0)
    angle = np.where(neck, 1.5, angle)

    u, v = (x - MIDDLE[0]) / RADII[0], (y - MIDDLE[1]) / RADII[1]
    jaw = np.hypot(u * (1 + 0.22 * np.clip(v, 0, 1)), v)
    light = 0.62 - 0.38 * u + 0.10 * patchy  # from the left
    light = light + 0.20 * np.exp(-((u / 0.13) ** 2) - ((v - 0.05) / 0.35) ** 2)  # the ridge of the nose
    light = light - 0.34 * np.exp(-(((u - 0.20) / 0.12) ** 2) - ((v - 0.10) / 0.30) ** 2)  # and its shade
    light = light - 0.22 * np.exp(-(((np.abs(u) - 0.42) / 0.25) ** 2) - ((v + 0.12) / 0.12) ** 2)  # sockets
    light = light + 0.18 * np.exp(-(((u + 0.50) / 0.22) ** 2) - ((v - 0.25) / 0.2) ** 2)  # the lit cheek
    light = light - 0.20 * np.exp(-((u / 0.3) ** 2) - ((v - 0.62) / 0.06) ** 2)  # under the lip
    planes = np.round(light * 5.5 + 0.25 * patchy) / 5.5
    face = smoothstep(1.01, 0.98, jaw)
    colors = mix(colors, ramp(SKIN, np.clip(0.35 * light + 0.65 * planes, 0, 1)), face)
    blush = np.exp(-(((np.abs(u) - 0.52) / 0.20) ** 2) - ((v - 0.28) / 0.16) ** 2) * face
    colors = mix(colors, rgb("e8452f")[0], 0.55 * blush)
    around = np.arctan2(v, u) + np.pi / 2
    angle = np.where(jaw < 1, np.where(np.abs(u) < 0.16, np.pi / 2, around), angle)
    return colors.astype(np.float32), angle.astype(np.float32)


def _line(easel: Easel, rng: np.random.Generator, points: Array, width: float, colors: Array = LINE) -> None:
    """Draw a line by hand through points [n, 2]."""
    at = np.linspace(0, len(points) - 1, 24)
    smooth = np.stack([np.interp(at, range(len(points)), axis) for axis in points.T], -1)
    kernel = np.ones(5) / 5
    padded = np.pad(smooth, ((2, 2), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(axis, kernel, mode="valid") for axis in padded.T], -1)
    smooth = smooth + 0.0012 * np.cumsum(rng.standard_normal(smooth.shape), 0)
    easel.stroke(smooth, width, *colors, dry=0.2, thickness=1.6)


def _arc(
    middle: tuple[float, float], radii: tuple[float, float], start: float, end: float, count: int = 18
) -> Array:
    """Return points [count, 2] of an arc, between angles in turns; a quarter turn points down."""
    turn = 2 * np.pi * np.linspace(start, end, count)
    return np.stack([middle[0] + radii[0] * np.cos(turn), middle[1] + radii[1] * np.sin(turn)], -1)


def _features(easel: Easel, rng: np.random.Generator) -> None:
    """Draw eyes, brows, nose and mouth, and the outlines of face, hair and coat."""
    for sign in (-1, 1):
        eye = (MIDDLE[0] + 0.42 * sign * RADII[0], MIDDLE[1] - 0.06 * RADII[1])
        white = np.array([[eye[0] - 0.036, eye[1]], [eye[0] + 0.036, eye[1]]])
        easel.stroke(white, 0.026, *rgb("f4f0dc", "bcd6d0"), dry=0.0, thickness=1.2)
        iris = np.array([[eye[0] - 0.007, eye[1] - 0.011], [eye[0] - 0.003, eye[1] + 0.006]])
        easel.stroke(iris, 0.031, *rgb("2f9fa8", "14506f"), dry=0.0, thickness=1.2)
        easel.stroke(iris, 0.018, *LINE, dry=0.0, thickness=1.2)
        glint = np.array([[eye[0] - 0.010, eye[1] - 0.008], [eye[0] - 0.008, eye[1] - 0.007]])
        easel.stroke(glint, 0.006, *rgb("ffffff", "f4f0dc"), dry=0.0, thickness=1.2)
        _line(easel, rng, _arc(eye, (0.050, 0.026), 0.53, 0.97), 0.013)
        _line(easel, rng, _arc(eye, (0.044, 0.020), 0.06, 0.44), 0.006)
        brow = _arc((eye[0], eye[1] - 0.012), (0.072, 0.048), 0.55, 0.93)
        _line(easel, rng, brow, 0.018)
    bridge = MIDDLE[0] + 0.10 * RADII[0]
    nose = np.array(
        [[bridge - 0.004, 0.385], [bridge, 0.43], [bridge + 0.018, 0.487], [bridge + 0.012, 0.508]]
    )
    _line(easel, rng, nose, 0.010)
    _line(easel, rng, _arc((MIDDLE[0] - 0.002, 0.498), (0.036, 0.017), 0.10, 0.42), 0.009)
    mouth = (MIDDLE[0], 0.575)
    upper = (
        np.array([[-0.056, 0.002], [-0.020, -0.014], [0, -0.008], [0.020, -0.014], [0.056, 0.002]]) + mouth
    )
    lower = np.array([[-0.046, 0.006], [-0.018, 0.018], [0.018, 0.018], [0.046, 0.006]]) + mouth
    _line(easel, rng, upper, 0.019, LIPS)
    _line(easel, rng, lower, 0.021, LIPS[::-1])
    _line(easel, rng, np.array([[-0.060, 0.002], [0, 0.003], [0.060, 0.002]]) + mouth, 0.007)

    _line(easel, rng, _arc(MIDDLE, RADII, -0.03, 0.27, 30), 0.014)
    _line(easel, rng, _arc(MIDDLE, RADII, 0.22, 0.53, 30), 0.011)
    _line(easel, rng, _arc((0.50, 0.395), (0.245, 0.315), 0.5, 1.0, 40), 0.016)
    for sign in (-1, 1):
        fall = np.array([[0.245, 0.395], [0.262, 0.52], [0.240, 0.64], [0.255, 0.76]])
        _line(easel, rng, fall * [sign, 1] + [0.5, 0], 0.015)
        shoulder = np.array([[0.10, 0.79], [0.25, 0.86], [0.38, 0.95], [0.50, 1.08]])
        _line(easel, rng, shoulder * [sign, 1] + [0.5, 0], 0.018)
        neck = np.array([[0.086, 0.655], [0.083, 0.74], [0.105, 0.82]])
        _line(easel, rng, neck * [sign, 1] + [0.5, 0], 0.010)
        lapel = np.array([[0.085, 0.80], [0.13, 0.90], [0.19, 1.03]])
        _line(easel, rng, lapel * [sign, 1] + [0.5, 0], 0.014)


def paint(side: int, rng: np.random.Generator) -> Array:
    """Paint the picture [side, side, 3]."""
    colors, angle = _scene(rng, 320)
    easel = Easel(np.broadcast_to(rgb("7a3a3a")[0], (side, side, 3)).astype(np.float32), rng, hair=10)
    for count, width, length in BRUSHES:
        x, y = rng.uniform(-0.02, 1.02, (2, count)).astype(np.float32)
        paths = trace(angle, x, y, (length * rng.uniform(0.6, 1.2, count)).astype(np.float32), points=6)
        aim = sample(colors, x, y)
        strength = rng.normal(0, 0.05, (2, count, 1)) + rng.normal(0, 0.03, (2, count, 3))
        first, second = np.clip(aim + strength, 0, 1).astype(np.float32)
        for i in range(count):
            inside = _ellipse(x[i], y[i], MIDDLE, RADII) < 1.1
            if inside and width > 0.04:
                continue  # the planes of the face are small
            if not inside and width < 0.04 and np.hypot(x[i] - 0.5, 0.6 * (y[i] - 0.45)) > 0.3:
                continue  # and those of wall and coat are large
            easel.stroke(
                paths[i], width * rng.uniform(0.7, 1.1), first[i], second[i], dry=0.35, thickness=60 * width
            )
    _features(easel, rng)
    painted, height = easel.surface()
    return relief(painted, height, 0.65, gloss=0.2)
