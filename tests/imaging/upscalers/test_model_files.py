import builtins

import numpy as np
import pytest
import torch
from imaging.networks.layouts import basicsr, old, second, small, small_compact
from PIL import Image

from modules.core.errors import InvalidModelFile, NotFinite
from modules.imaging.upscalers import model_files
from modules.imaging.upscalers.model_files import Network, Tiles, enlarged, model_upscaler, network, passes, state_of

CPU = torch.device("cpu")


@pytest.fixture
def compact():
    return network("small", small_compact(2).state_dict(), CPU)


@pytest.mark.parametrize("wrap", [dict, lambda s: {"params": s}, lambda s: {"params": {}, "params_ema": s}])
@pytest.mark.parametrize("layout", [old, second, basicsr])
def test_files_are_read_in_every_wrapping(wrap, layout, noise):
    found = network("x.pth", wrap(layout(small())), CPU)
    assert found.scale == 4
    assert enlarged(noise(8, 6), 4, found).size == (32, 24)


def test_names_of_parallel_training_are_read():
    state = {f"module.{name}": value for name, value in small_compact().state_dict().items()}
    assert network("x", state, CPU).scale == 4


def test_values_are_those_of_the_network(compact, noise):
    picture = noise(10, 8)
    net = small_compact(2)
    with torch.no_grad():
        x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        expected = (net(x)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert np.abs(np.asarray(enlarged(picture, 2, compact)) - expected).max() <= 1


def test_tiles_give_what_the_whole_gives(compact, noise):
    """The network sees four pixels far; with an overlap of 16 or more there is no trace of the tiles."""
    picture = noise(70, 50)
    whole = enlarged(picture, 2, compact, Tiles(size=0)).tobytes()
    assert enlarged(picture, 2, compact, Tiles(size=32, overlap=16)).tobytes() == whole
    rough = enlarged(picture, 2, compact, Tiles(size=32, overlap=8))
    difference = np.abs(np.asarray(rough).astype(int) - np.frombuffer(whole, np.uint8).reshape(100, 140, 3))
    assert difference.mean() < 0.5


def test_rrdb_tiles_too(noise):
    found = network("x", basicsr(small(blocks=1)), CPU)
    picture = noise(60, 40)
    whole, tiled = (np.asarray(enlarged(picture, 4, found, Tiles(size=n, overlap=16))) for n in (0, 32))
    assert np.abs(whole.astype(int) - tiled).max() <= 2


@pytest.mark.parametrize(
    ("scale", "size"), [(2, (20, 16)), (1.5, (15, 12)), (3, (30, 24)), (8, (80, 64)), (0.5, (5, 4))]
)
def test_any_scale_comes_out(compact, noise, scale, size):
    assert model_upscaler("small", compact).run(noise(10, 8), scale).size == size


def test_networks_run_as_often_as_needed():
    assert [passes((10, 10), scale, 2) for scale in (1, 2, 2.1, 4, 8, 16)] == [1, 1, 2, 2, 3, 3]
    assert passes((10, 10), 8, 1) == 1
    with pytest.raises(InvalidModelFile, match="32000x32000"):
        passes((8000, 8000), 2, 4)


def test_every_tile_is_told(compact, noise):
    told = []
    enlarged(noise(70, 50), 2, compact, Tiles(size=32, overlap=8, on_tile=lambda *news: told.append(news)))
    assert told[-1][0] == told[-1][1] == len(told) == 6


@pytest.mark.parametrize("content", [None, [], {}, {"params": {}}, {"a": 1}, torch.zeros(3), "text"])
def test_what_holds_no_layers_is_refused(content):
    with pytest.raises(InvalidModelFile, match=r"x\.pth is no upscaler"):
        state_of("x.pth", content)


def test_damaged_numbers_are_refused():
    with pytest.raises(InvalidModelFile, match="damaged"):
        state_of("x", {"body.0.weight": torch.tensor([1.0, float("nan")])})


def test_infinite_colours_are_no_picture(noise):
    with pytest.raises(NotFinite, match="damaged"):
        enlarged(noise(4, 4), 1, Network(run=lambda x: x / 0, scale=1, device=CPU))


# spandrel -----------------------------------------------------------------------------------------------------------


def without_spandrel(monkeypatch, error):
    real = builtins.__import__

    def fake(name, *rest):
        if name == "spandrel":
            raise error
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fake)


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'torchvision'"),
        RuntimeError("operator torchvision::nms does not exist"),
        OSError("libc10.so: cannot open shared object file"),
    ],
)
def test_without_spandrel_the_reason_and_the_remedy_are_said(monkeypatch, error):
    without_spandrel(monkeypatch, error)
    with pytest.raises(InvalidModelFile) as caught:
        network("swin.pth", {"layers.0.weight": torch.zeros(3)}, CPU)
    for part in ("swin.pth", str(error), "pip install spandrel torchvision"):
        assert part in str(caught.value)


def test_without_spandrel_esrgan_still_works(monkeypatch):
    without_spandrel(monkeypatch, ModuleNotFoundError("No module named 'spandrel'"))
    assert network("x.pth", basicsr(small()), CPU).scale == 4


class Spandrel:
    """What of spandrel's interface is used (its documentation, version 0.4)."""

    class UnsupportedModelError(Exception):
        pass

    class ImageModelDescriptor:
        def __init__(self, channels):
            self.scale, self.input_channels, self.output_channels = 3, channels, channels

        def eval(self):
            return self

        def __call__(self, x):
            return x.repeat_interleave(3, 2).repeat_interleave(3, 3)

    class ModelLoader:
        def __init__(self, device):
            assert device == CPU

        def load_from_state_dict(self, state):
            if "unknown" in state:
                raise Spandrel.UnsupportedModelError
            return Spandrel.ImageModelDescriptor(len(state))


@pytest.fixture
def spandrel(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "spandrel", Spandrel)


def test_spandrel_is_asked_for_other_kinds(spandrel, noise):
    assert model_files.spandrel_problem() == ""
    found = network("dat.pth", {name: torch.zeros(1) for name in "abc"}, CPU)
    picture = noise(5, 4)
    assert enlarged(picture, 3, found).tobytes() == picture.resize((15, 12), Image.Resampling.NEAREST).tobytes()


@pytest.mark.parametrize(("names", "words"), [(["unknown"], "first layer is 'unknown'"), (["a"], "colour")])
def test_what_spandrel_does_not_know_is_refused(spandrel, names, words):
    with pytest.raises(InvalidModelFile, match=words):
        network("x.pth", {name: torch.zeros(1) for name in names}, CPU)
