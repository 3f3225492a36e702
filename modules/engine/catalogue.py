"""What this engine can be asked for, as names: for the lists on the page."""

from modules.core.events import Catalogue, Choice
from modules.core.plugins import Plugins


def catalogue(plugins: Plugins) -> Catalogue:
    """Names of everything that plugins registered here."""
    samplers = plugins.collect("register_samplers").values()
    schedules = plugins.collect("register_schedules").values()
    families = plugins.collect("register_families").values()
    guidance = plugins.collect("register_guidance").values()
    upscalers = plugins.collect("register_upscalers").values()
    methods = plugins.collect("register_training_methods").values()
    return Catalogue(
        samplers=tuple(
            Choice(name=one.name, aliases=one.aliases, note=one.schedule, options=one.options) for one in samplers
        ),
        schedules=tuple(Choice(name=one.name, aliases=one.aliases, key=one.key) for one in schedules),
        families=tuple(Choice(name=one.name, aliases=one.aliases, note=one.note) for one in families),
        guidance=tuple(Choice(name=one.name, aliases=one.aliases) for one in guidance),
        upscalers=tuple(Choice(name=one.name, aliases=one.aliases, note=one.note) for one in upscalers),
        training_methods=tuple(
            Choice(
                name=one.name,
                aliases=one.aliases,
                key=one.label,
                note=one.note,
                options=one.formats,
                value=one.learning_rate,
            )
            for one in methods
        ),
        job_kinds=tuple(plugins.collect("register_job_kinds")),
    )
