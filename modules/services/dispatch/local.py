"""A process per device of this machine, and one more that trains."""

from modules.core.extension_points import Dispatcher, hookimpl
from modules.services.devices import devices
from modules.services.engines import Engines
from modules.services.needs import Needs
from modules.services.setting_groups.training import BESIDE, WHILE_TRAINING
from modules.services.supervisor import Supervisor
from modules.services.trainer import Trainer
from modules.services.turns import Turns


def start(needs: Needs) -> Engines:
    """Start an engine on every device; answers at once, they get ready by themselves."""
    names = devices(needs.flags)
    turns = Turns(needs.queue, names, lambda: needs.settings.get(WHILE_TRAINING) == BESIDE)
    needs.watch.held_up = turns.waits_for
    drawers = [Supervisor(device.replace(":", ""), device, needs, turns) for device in names]
    supervisors = [*drawers, Trainer(next(iter(names), "cpu"), needs, turns, drawers)]
    for one in supervisors:
        one.start()
    return Engines(needs.queue, supervisors, turns)


@hookimpl
def register_dispatchers() -> list[Dispatcher]:
    """The dispatcher of a single machine."""
    return [Dispatcher(name="Local", start=start)]
