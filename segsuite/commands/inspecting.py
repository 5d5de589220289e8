"""`segsuite inspect`."""

import argparse
import json
from pathlib import Path
from typing import Any

from segsuite.commands.experiments import add_overrides
from segsuite.commands.inspecting_pictures import add_pictures, look
from segsuite.commands.printing import print_rows
from segsuite.errors import EXIT_DONE, ConfigError

TARGETS = (
    "an experiment's YAML, of which every arm is explained; a YAML with a plain stack of layers; a textbook network "
    "(vgg16, alexnet, zf5); or a model of the suite (unet, deeplabv3, ...)"
)
CHECKERBOARD_TARGETS = (
    "an upsampler (transposed_k4; transposed_k4:bilinear with that initialisation), a geometry (k3s2p1), "
    "a module of your own (module:package.module:Factory), a chain of these (A+B+C), or all"
)


def add(commands: Any) -> None:
    """Adds the command to the subparsers of the command line."""
    help = "what a network is, without training it: sizes, receptive fields, cost, memory, checkerboards"
    inspect = commands.add_parser("inspect", help=help, description=help)
    inspect.add_argument("target", nargs="?", metavar="TARGET", help=TARGETS)
    _add_network(inspect)
    inspect.add_argument("--json", action="store_true", help="print JSON")
    inspect.add_argument("--out", type=Path, metavar="FILE.html", help="also write a page with pictures")
    inspect.add_argument("--seed", type=int, default=0, metavar="N", help="of all draws; default: 0")
    _add_checkerboard(inspect)
    add_pictures(inspect)
    inspect.set_defaults(command=_inspect)


def _inspect(given: argparse.Namespace) -> int:
    if given.checkerboard is not None:
        return _checkerboard(given)
    if given.field or given.evidence:
        return look(given)
    if given.target is None:
        raise ConfigError(
            "nothing to look at",
            "the command line",
            "name a YAML or a network, e.g. segsuite inspect vgg16, or --checkerboard and upsamplers",
        )
    return _network(given)


def _add_network(inspect: argparse.ArgumentParser) -> None:
    inspect.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="of the images in pixels; default: that of the settings"
    )
    inspect.add_argument(
        "--batch",
        type=int,
        metavar="N",
        help="images of the training step whose memory is told; default: the settings'",
    )
    inspect.add_argument("--arm", metavar="ARM", help="explain only this arm, with all its layers")
    inspect.add_argument("--layers", action="store_true", help="print the layers of every arm")
    add_overrides(inspect, "model.encoder=resnet50")


def _network(given: argparse.Namespace) -> int:
    from segsuite.inspect import listing, network

    size = tuple(given.size) if given.size else None
    answer = network.inspect(given.target, network.Wishes(size, given.batch, given.arm, given.overrides, given.out))
    if given.json:
        print(json.dumps(answer.to_json(), indent=1, allow_nan=False))
        return EXIT_DONE
    if len(answer.arms) > 1:
        names, *rows = listing.arm_rows(answer)
        print_rows(names, rows, listing.LEAVE)
        print("\n".join(listing.ARMS_FOOTNOTE))
    for arm in answer.arms:
        _print_arm(arm, len(answer.arms) == 1 or given.layers)
    if given.out is not None:
        print(f"written to {given.out}")
    return EXIT_DONE


def _print_arm(arm: Any, layers: bool) -> None:
    from segsuite.inspect import listing

    print(f"\n{arm.subject.name}" if not layers or arm.subject.differences else "", end="\n" if not layers else "")
    for table in (listing.layer_rows(arm.explained) if layers else [], listing.block_rows(arm.explained)):
        if table:
            print()
            print_rows(table[0], table[1:], listing.LEAVE)
    print()
    print("\n".join(listing.facts(arm)))


def _add_checkerboard(inspect: argparse.ArgumentParser) -> None:
    inspect.add_argument("--checkerboard", nargs="+", metavar="UPSAMPLER", help=CHECKERBOARD_TARGETS)
    inspect.add_argument("--channels", type=int, default=16, metavar="N", help="in and out; default: 16")
    inspect.add_argument("--factor", type=int, default=2, metavar="N", help="of each upsampler; default: 2")
    inspect.add_argument("--draws", type=int, default=20, metavar="N", help="of the weights; default: 20")


def _checkerboard(given: argparse.Namespace) -> int:
    from segsuite.inspect import checkerboard

    wishes = checkerboard.Wishes(given.channels, given.factor, given.draws, given.seed, given.out)
    found = checkerboard.inspect(given.checkerboard, wishes)
    if given.json:
        print(json.dumps([profile.to_json() for profile in found], indent=1, allow_nan=False))
        return EXIT_DONE
    names, *rows = checkerboard.rows(found)
    print_rows(names, rows, checkerboard.LEAVE)
    print("\n".join(checkerboard.footnote(found)))
    if given.out is not None:
        print(f"written to {given.out}")
    return EXIT_DONE
