import pytest
from PIL import Image

from modules.core.plugins import Plugins


@pytest.fixture
def upscalers():
    plugins = Plugins("engine")
    plugins.add_package("modules.imaging.upscalers")
    return plugins.collect("register_upscalers")


def test_the_first_three_are_those_that_clients_expect(upscalers):
    assert list(upscalers)[:3] == ["None", "Lanczos", "Nearest"]


def test_none_changes_nothing(upscalers, noise):
    picture = noise(9, 5)
    assert upscalers["None"].run(picture, 4).tobytes() == picture.tobytes()


@pytest.mark.parametrize("name", ["Lanczos", "Nearest"])
@pytest.mark.parametrize(("scale", "size"), [(4, (36, 20)), (1.5, (14, 8)), (0.01, (1, 1))])
def test_the_others_enlarge(upscalers, noise, name, scale, size):
    assert upscalers[name].run(noise(9, 5), scale).size == size


def test_nearest_keeps_pixels_and_lanczos_smooths(upscalers):
    edge = Image.new("RGB", (4, 4))
    edge.paste("white", (2, 0, 4, 4))
    colours = {name: len(set(upscalers[name].run(edge, 4).get_flattened_data())) for name in ("Nearest", "Lanczos")}
    assert colours["Nearest"] == 2
    assert colours["Lanczos"] > 5
