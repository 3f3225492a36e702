"""Hypernetworks: the trainer's files against the networks they were saved from; gone without a trace afterwards."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from modules.core.errors import InvalidModelFile
from modules.core.extension_points import Use
from modules.diffusion.adapters.hypernetwork import applied, load

WIDTHS = (16, 32)
ACTIVATIONS = {
    "relu": nn.ReLU(),
    "leakyrelu": nn.LeakyReLU(),
    "elu": nn.ELU(),
    "swish": nn.Hardswish(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "mish": nn.Mish(),
    "softsign": nn.Softsign(),
}


class Trained(nn.Module):
    """As the field's trainer builds one: linear, activation, norm, dropout; the activation not at the end unless said."""

    def __init__(self, width, structure=(1, 2, 1), activation=None, norm=False, dropout=False, to_the_end=False):
        super().__init__()
        layers = []
        for place, (one, other) in enumerate(pairwise(structure)):
            last = place == len(structure) - 2
            layers.append(nn.Linear(int(width * one), int(width * other)))
            if activation and (not last or to_the_end):
                layers.append(ACTIVATIONS[activation])
            if norm:
                layers.append(nn.LayerNorm(int(width * other)))
            if dropout and not last:
                layers.append(nn.Dropout(0.3))
        self.linear = nn.Sequential(*layers)

    def forward(self, x, strength):
        return x + strength * self.linear(x)


def trained(**options):
    torch.manual_seed(7)
    return {width: (Trained(width, **options).eval(), Trained(width, **options).eval()) for width in WIDTHS}


def saved(path, networks, **described):
    content = {width: tuple(one.state_dict() for one in pair) for width, pair in networks.items()}
    torch.save(content | {"step": 3000, "name": path.stem, "sd_checkpoint": None} | described, path)
    return path


def expected_outputs(model, *uses):
    """The U-Net with the trained networks themselves before its keys and values."""
    hooks = []
    for name, module in model.unet.named_modules():
        which = {"to_k": 0, "to_v": 1}.get(name.rpartition(".")[2])
        if which is not None:

            def change(_module, arguments, which=which):
                x = arguments[0]
                for networks, strength in uses:
                    if x.shape[-1] in networks:
                        x = networks[x.shape[-1]][which](x, strength)
                return (x,)

            hooks.append(module.register_forward_pre_hook(change))
    found = model.outputs()
    for hook in hooks:
        hook.remove()
    return found


KINDS = {
    "linear": ({}, {"activation_func": "linear", "activate_output": False}),
    "deep": ({"structure": (1, 2, 2, 1)}, {"activation_func": "linear", "activate_output": False}),
    "norm": ({"norm": True}, {"activation_func": "linear", "is_layer_norm": True, "activate_output": False}),
    "everything": (
        {"structure": (1, 2, 4, 2, 1), "activation": "mish", "norm": True, "dropout": True},
        {"activation_func": "mish", "is_layer_norm": True, "use_dropout": True, "activate_output": False},
    ),
    "activated to the end": (
        {"activation": "tanh", "to_the_end": True},
        {"activation_func": "tanh", "activate_output": True},
    ),
    "before the question was asked": ({"activation": "tanh", "to_the_end": True}, {"activation_func": "tanh"}),
} | {name: ({"activation": name}, {"activation_func": name, "activate_output": False}) for name in ACTIVATIONS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [1.0, -0.5])
def test_a_file_does_what_its_networks_do(sd1, bits, tmp_path, kind, strength):
    options, described = KINDS[kind]
    networks = trained(**options)
    path = saved(
        tmp_path / "style.pt", networks, layer_structure=list(options.get("structure", (1, 2, 1))), **described
    )
    plain, expected, before = sd1.outputs(), expected_outputs(sd1, (networks, strength)), sd1.state()
    with applied(sd1.layers, [Use(loaded=load(path), unet=strength)]):
        found = sd1.outputs()
    assert torch.allclose(found["unet"], expected["unet"], atol=1e-5)
    assert not torch.allclose(found["unet"], plain["unet"], atol=1e-3), "the test would see nothing"
    assert torch.equal(found["text_encoder"], plain["text_encoder"])
    assert bits(before, sd1.state())
    assert torch.equal(sd1.outputs()["unet"], plain["unet"])


def test_the_first_form_of_file(sd1, tmp_path):
    networks = trained()
    content = {
        width: [
            {
                name.replace("linear.0", "linear1").replace("linear.1", "linear2"): one
                for name, one in net.state_dict().items()
            }
            for net in pair
        ]
        for width, pair in networks.items()
    }
    torch.save(content, tmp_path / "old.pt")
    expected = expected_outputs(sd1, (networks, 1.0))
    with applied(sd1.layers, [Use(loaded=load(tmp_path / "old.pt"))]):
        assert torch.allclose(sd1.outputs()["unet"], expected["unet"], atol=1e-5)


def test_two_files_work_one_after_the_other(sd1, tmp_path):
    one, other = trained(), trained(activation="relu")
    described = {"activation_func": "relu", "activate_output": False}
    files = (load(saved(tmp_path / "one.pt", one)), load(saved(tmp_path / "other.pt", other, **described)))
    expected = expected_outputs(sd1, (one, 0.5), (other, 0.25))
    with applied(sd1.layers, [Use(loaded=files[0], unet=0.5), Use(loaded=files[1], unet=0.25)]):
        assert torch.allclose(sd1.outputs()["unet"], expected["unet"], atol=1e-5)


def test_half_precision_networks_stay_in_it(sd1, tmp_path):
    file = load(saved(tmp_path / "style.pt", trained()))
    sd1.unet.to(torch.bfloat16)
    with applied(sd1.layers, [Use(loaded=file)]):
        assert sd1.outputs()["unet"].dtype == torch.bfloat16


def hooks_of(model):
    return sum(len(one._forward_pre_hooks) for one in model.unet.modules())


def failing(model, uses):
    with applied(model.layers, uses):
        assert hooks_of(model)
        raise ZeroDivisionError


def test_nothing_is_left_behind(sd1, tmp_path):
    file = load(saved(tmp_path / "style.pt", trained()))
    with applied(sd1.layers, [Use(loaded=file, unet=0.0)]):
        assert not hooks_of(sd1)
    with pytest.raises(ZeroDivisionError):
        failing(sd1, [Use(loaded=file)])
    assert not hooks_of(sd1)


def test_a_file_for_another_kind_of_model_is_refused(sd1, tmp_path):
    networks = {640: (Trained(640), Trained(640))}
    file = load(saved(tmp_path / "wide.pt", networks))
    with pytest.raises(InvalidModelFile, match=r"wide was made for another kind of model: none of its widths \(640\)"):
        failing(sd1, [Use(loaded=file)])
    assert not hooks_of(sd1)


STATE = Trained(16).state_dict()


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"16": (STATE, STATE)},
        {16: (STATE,)},
        {16: ({}, {})},
        {16: ({"linear.0.weight": torch.ones(32, 16)}, STATE)},
        {16: ({"linear.x.weight": torch.ones(16, 16)}, STATE)},
        {16: ({"linear.0.bias": torch.ones(16)}, STATE)},
        {16: ("text", STATE)},
        {16: (STATE, STATE), "activation_func": "nobodys"},
        {32: (STATE, STATE)},
    ],
)
def test_other_things_are_refused_with_a_sentence(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(InvalidModelFile, match=r"x\.pt is (no|a) hypernetwork"):
        load(tmp_path / "x.pt")


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    class Evil:
        def __reduce__(self):
            return print, ("code was run",)

    torch.save({16: (STATE, STATE), "more": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InvalidModelFile, match=r"evil\.pt"):
        load(tmp_path / "evil.pt")
    assert "code was run" not in capsys.readouterr().out
