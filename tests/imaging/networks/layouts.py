"""Small ESRGAN-like networks with random weights, written down in the layouts in which the published files come."""

import torch

from modules.imaging.networks.compact import Compact
from modules.imaging.networks.rrdb import RRDBNet


def small(channels=3, ups=2, blocks=2):
    torch.manual_seed(0)
    return RRDBNet(channels=channels, width=8, growth=4, blocks=blocks, ups=ups).eval()


def small_compact(scale=4):
    torch.manual_seed(0)
    return Compact(width=8, layers=4, scale=scale).eval()


def _tail(name, ups):
    """The oldest layout: every doubling takes three places, the two last convolutions two each."""
    first = 3 if ups else 2
    places = {f"ups.{n}": first + 3 * n for n in range(ups)}
    after = 3 * ups
    return places | {"hr": after + 2, "last": after + 4}


def old(net):
    """model.0, model.1.sub.N.RDB1.conv1.0, …, model.10"""
    places = _tail(net, len(net.ups))

    def name_of(name):
        parts = name.split(".")
        if parts[0] == "first":
            return f"model.0.{parts[-1]}"
        if parts[0] == "blocks":
            return f"model.1.sub.{parts[1]}.RDB{int(parts[2]) + 1}.conv{int(parts[4]) + 1}.0.{parts[-1]}"
        if parts[0] == "trunk":
            return f"model.1.sub.{len(net.blocks)}.{parts[-1]}"
        return f"model.{places['.'.join(parts[:-1])]}.{parts[-1]}"

    return {name_of(name): value for name, value in net.state_dict().items()}


def second(net):
    """conv_first, RRDB_trunk.N.RDB1.conv1, trunk_conv, upconv1, HRconv, conv_last"""
    return _named(net, "RRDB_trunk.{0}.RDB{1}.conv{2}", {"trunk": "trunk_conv", "hr": "HRconv"}, "upconv{0}")


def basicsr(net):
    """conv_first, body.N.rdb1.conv1, conv_body, conv_up1, conv_hr, conv_last"""
    return _named(net, "body.{0}.rdb{1}.conv{2}", {"trunk": "conv_body", "hr": "conv_hr"}, "conv_up{0}")


def _named(net, block, names, up):
    def name_of(name):
        parts = name.split(".")
        if parts[0] == "blocks":
            return block.format(parts[1], int(parts[2]) + 1, int(parts[4]) + 1) + f".{parts[-1]}"
        if parts[0] == "ups":
            return up.format(int(parts[1]) + 1) + f".{parts[-1]}"
        return {"first": "conv_first", "last": "conv_last", **names}[parts[0]] + f".{parts[-1]}"

    return {name_of(name): value for name, value in net.state_dict().items()}
