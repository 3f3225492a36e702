"""Places in the open. Each function paints one of them; sizes are shares of the picture's side."""

from modules.starter.pen import lighter
from modules.starter.scene import Box, Scene
from modules.starter.words import Colour


def grass(s: Scene) -> None:
    s.gradient(0, 0.7, [(104, 182, 246), (206, 236, 252)])
    x = s.sideways()
    s.sun(x, 0.14)
    s.cloud(1 - x, s.rng.uniform(0.12, 0.2), 0.085)
    s.ellipse(s.rng.uniform(0, 0.3), 0.74, 0.5, 0.2, (150, 208, 104))
    s.ellipse(s.rng.uniform(0.7, 1), 0.76, 0.5, 0.18, (128, 196, 92))
    s.gradient(0.68, 1, [(112, 188, 78), (72, 150, 56)])
    for _ in range(6):
        x, y = s.rng.random(), s.rng.uniform(0.76, 0.97)
        petals = s.rng.choice(((255, 255, 255), (255, 150, 180), (255, 220, 90)))
        s.ellipse(x, y, 0.018, 0.018, petals)
        s.ellipse(x, y, 0.007, 0.007, (240, 170, 50))


def beach(s: Scene) -> None:
    s.gradient(0, 0.5, [(92, 190, 244), (214, 240, 250)])
    x = s.sideways()
    s.sun(1 - x, 0.13)
    s.gradient(0.46, 0.66, [(30, 128, 190), (84, 206, 208)])
    s.gradient(0.66, 1, [(250, 226, 164), (232, 194, 124)])
    s.line([(0, 0.66), (0.3, 0.65), (0.6, 0.665), (1, 0.655)], 0.02, (250, 252, 252))
    lean = 0.05 if x < 0.5 else -0.05
    s.line([(x - lean, 0.78), (x, 0.5), (x + lean, 0.26)], 0.035, (140, 96, 58))
    for dx, dy in ((-0.17, 0.05), (-0.12, -0.07), (0.02, -0.12), (0.13, -0.06), (0.17, 0.06)):
        top = (x + lean, 0.25)
        s.polygon([top, (top[0] + dx * 0.6, top[1] + dy - 0.04), (top[0] + dx, top[1] + dy + 0.04)], (52, 150, 70))


def snow(s: Scene) -> None:
    s.gradient(0, 0.76, [(136, 176, 220), (222, 234, 246)])
    for x in (0.08, 0.9, 0.27, 0.74):
        _pine(s, x + s.rng.uniform(-0.05, 0.05), 0.72, s.rng.uniform(0.28, 0.42))
    s.ellipse(s.rng.uniform(0.1, 0.4), 0.8, 0.6, 0.13, (240, 246, 253))
    s.gradient(0.74, 1, [(246, 250, 255), (204, 220, 242)])
    for _ in range(12):
        s.ellipse(s.rng.random(), s.rng.uniform(0, 0.7), 0.012, 0.012, (255, 255, 255))


def _pine(s: Scene, x: float, foot: float, height: float) -> None:
    s.box((x - 0.012, foot - 0.06, x + 0.012, foot), (104, 76, 58))
    for level in range(3):
        y, w = foot - 0.05 - level * height * 0.26, height * (0.3 - 0.06 * level)
        s.polygon([(x - w, y), (x + w, y), (x, y - height * 0.42)], (52, 112, 96))
        s.polygon(
            [(x - w * 0.5, y - height * 0.21), (x + w * 0.5, y - height * 0.21), (x, y - height * 0.42)],
            (240, 247, 253),
        )


def city(s: Scene) -> None:
    s.gradient(0, 0.76, [(246, 176, 140), (252, 228, 178)])
    walls = ((96, 104, 140), (122, 112, 148), (84, 126, 148), (150, 110, 120))
    x = s.rng.uniform(-0.08, 0)
    while x < 1:
        width, top = s.rng.uniform(0.16, 0.24), s.rng.uniform(0.12, 0.42)
        _building(s, (x, top, x + width - 0.015, 0.78), s.rng.choice(walls))
        x += width
    s.gradient(0.76, 1, [(128, 130, 140), (96, 98, 110)])
    s.box((0, 0.76, 1, 0.79), (186, 184, 184))
    for n in range(4):
        s.box((0.06 + 0.26 * n, 0.93, 0.18 + 0.26 * n, 0.95), (240, 236, 210))


def _building(s: Scene, area: Box, wall: Colour) -> None:
    x0, y0, x1, y1 = area
    s.box(area, wall)
    step = (x1 - x0) / 3
    y = y0 + 0.05
    while y < y1 - 0.06:
        for column in range(3):
            x = x0 + step * (column + 0.5)
            s.box((x - 0.016, y, x + 0.016, y + 0.038), (255, 232, 150))
        y += 0.085


def ocean(s: Scene) -> None:
    s.gradient(0, 1, [(120, 222, 236), (40, 150, 214), (18, 84, 164)])
    for _ in range(3):
        x = s.rng.uniform(0, 0.9)
        s.polygon([(x, 0), (x + 0.09, 0), (x - 0.02, 0.6), (x - 0.16, 0.6)], (112, 206, 232))
    s.ellipse(0.3, 1.04, 0.6, 0.16, (222, 202, 146))
    s.ellipse(0.85, 1.05, 0.5, 0.15, (206, 184, 128))
    for x in (0.07, 0.16, 0.86, 0.94):
        x += s.rng.uniform(-0.03, 0.03)
        top = s.rng.uniform(0.5, 0.66)
        s.line([(x, 0.95), (x + 0.03, 0.86), (x - 0.02, 0.76), (x + 0.02, top)], 0.035, (40, 146, 98))
    for _ in range(7):
        x, y, r = s.rng.random(), s.rng.uniform(0.06, 0.75), s.rng.uniform(0.012, 0.03)
        s.ellipse(x, y, r, r, (206, 244, 250))
        s.ellipse(x, y, r * 0.65, r * 0.65, (110, 200, 230))


def space(s: Scene) -> None:
    s.gradient(0, 1, [(14, 12, 44), (40, 26, 92), (84, 44, 128)])
    for _ in range(16):
        r = s.rng.choice((0.007, 0.01, 0.014))
        s.ellipse(s.rng.random(), s.rng.uniform(0, 0.85), r, r, (255, 250, 220))
    x, y = s.sideways(), s.rng.uniform(0.14, 0.26)
    planet = s.rng.choice(((240, 150, 90), (110, 200, 210), (230, 120, 160)))
    s.ellipse(x, y, 0.11, 0.11, planet)
    s.ellipse(x - 0.02, y - 0.02, 0.075, 0.07, lighter(planet, 0.25))
    s.line([(x - 0.17, y + 0.05), (x, y + 0.02), (x + 0.17, y - 0.05)], 0.02, (250, 226, 170))
    s.ellipse(0.5, 1.24, 1, 0.42, (150, 146, 170))
    for cx, cy in ((0.15, 0.93), (0.82, 0.9), (0.6, 0.97)):
        s.ellipse(cx + s.rng.uniform(-0.05, 0.05), cy, 0.07, 0.022, (118, 114, 142))


def jungle(s: Scene) -> None:
    s.gradient(0, 1, [(150, 208, 120), (44, 122, 66), (24, 78, 44)])
    for x in (0.04, 0.24, 0.78, 0.95):
        x += s.rng.uniform(-0.04, 0.04)
        s.line([(x, -0.02), (x + 0.02, 0.5), (x, 0.95)], 0.05, (88, 66, 44))
    for n in range(9):
        x, y = 0.125 * n + s.rng.uniform(-0.03, 0.03), s.rng.uniform(0.02, 0.16)
        s.ellipse(x, y, 0.11, 0.08, s.rng.choice(((40, 130, 60), (60, 156, 70), (30, 104, 56))))
    s.ellipse(0.5, 1.04, 0.8, 0.2, (52, 116, 50))
    for n in range(8):
        x = 0.03 + 0.135 * n
        for lean in (-0.06, 0.06):
            s.polygon([(x - 0.012, 1), (x + 0.012, 1), (x + lean, s.rng.uniform(0.78, 0.88))], (86, 180, 84))


def desert(s: Scene) -> None:
    s.gradient(0, 0.7, [(250, 190, 110), (254, 234, 190)])
    x = s.sideways()
    s.sun(x, 0.15, (255, 244, 170))
    s.ellipse(s.rng.uniform(0.1, 0.4), 0.78, 0.5, 0.2, (232, 178, 104))
    s.gradient(0.7, 1, [(240, 196, 122), (214, 158, 88)])
    x = 1 - x
    green = (70, 148, 84)
    s.line([(x, 0.82), (x, 0.42)], 0.07, green)
    s.ellipse(x, 0.42, 0.035, 0.035, green)
    for side, height in ((-1, 0.5), (1, 0.46)):
        s.line([(x, height + 0.14), (x + side * 0.09, height + 0.13), (x + side * 0.09, height)], 0.045, green)


def mountains(s: Scene) -> None:
    s.gradient(0, 0.75, [(120, 170, 230), (224, 234, 246)])
    for x, top in ((0.1, 0.3), (0.85, 0.24), (0.48, 0.14)):
        x += s.rng.uniform(-0.06, 0.06)
        s.polygon([(x - 0.42, 0.76), (x, top), (x + 0.42, 0.76)], (112, 120, 146))
        s.polygon([(x - 0.11, top + 0.16), (x, top), (x + 0.11, top + 0.16), (x, top + 0.11)], (248, 250, 255))
    s.gradient(0.74, 1, [(134, 170, 104), (92, 134, 76)])
    for _ in range(5):
        s.ellipse(s.rng.random(), s.rng.uniform(0.8, 0.97), 0.03, 0.018, (140, 142, 150))


def river(s: Scene) -> None:
    s.gradient(0, 0.6, [(140, 200, 246), (222, 240, 250)])
    for n in range(7):
        s.ellipse(n / 6 + s.rng.uniform(-0.04, 0.04), 0.5, 0.12, s.rng.uniform(0.1, 0.17), (88, 160, 92))
    s.gradient(0.52, 0.76, [(60, 140, 210), (110, 190, 232)])
    for _ in range(6):
        x, y = s.rng.random(), s.rng.uniform(0.56, 0.72)
        s.line([(x, y), (x + 0.12, y)], 0.012, (196, 230, 248))
    s.gradient(0.76, 1, [(140, 190, 92), (96, 150, 66)])
    for _ in range(5):
        s.ellipse(s.rng.random(), 0.77, 0.04, 0.025, (150, 150, 146))


def night(s: Scene) -> None:
    s.gradient(0, 0.8, [(12, 18, 56), (38, 52, 116)])
    x = s.sideways()
    s.ellipse(x, 0.16, 0.09, 0.09, (250, 244, 206))
    s.ellipse(x + 0.035, 0.14, 0.08, 0.08, (18, 26, 68))
    for _ in range(18):
        r = s.rng.choice((0.006, 0.009, 0.012))
        s.ellipse(s.rng.random(), s.rng.uniform(0, 0.62), r, r, (255, 250, 214))
    s.ellipse(0.2, 0.86, 0.55, 0.18, (26, 56, 62))
    s.gradient(0.8, 1, [(32, 68, 60), (18, 42, 44)])


def sunflowers(s: Scene) -> None:
    s.gradient(0, 0.5, [(110, 186, 248), (214, 238, 252)])
    s.cloud(s.sideways(), 0.13, 0.08)
    s.gradient(0.42, 1, [(120, 172, 66), (70, 128, 44)])
    for row in range(4):
        y, r = 0.46 + 0.15 * row, 0.04 + 0.014 * row
        for column in range(6):
            x = 0.02 + 0.19 * column + 0.09 * (row % 2) + s.rng.uniform(-0.02, 0.02)
            s.line([(x, y), (x, y + 2.2 * r)], 0.014, (58, 120, 44))
            s.ellipse(x, y, r, r, (252, 200, 40))
            s.ellipse(x, y, r * 0.52, r * 0.52, (112, 66, 34))
