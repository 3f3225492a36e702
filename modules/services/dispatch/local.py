"""A process per device of this machine."""

from modules.core.extension_points import Dispatcher, hookimpl
from modules.services.devices import devices
from modules.services.engines import Engines
from modules.services.needs import Needs
from modules.services.supervisor import Supervisor


def start(needs: Needs) -> Engines:
    """Start an engine on every device; answers at once, they get ready by themselves."""
    names = devices(needs.flags)
    supervisors = [Supervisor(device.replace(":", ""), device, needs) for device in names]
    for one in supervisors:
        one.start()
    return Engines(needs.queue, supervisors)


@hookimpl
def register_dispatchers() -> list[Dispatcher]:
    """The dispatcher of a single machine."""
    return [Dispatcher(name="Local", start=start)]
