"""What the lists of a form offer: by the name of the list that a field takes its value from."""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from modules.core.errors import AtelierError
from modules.core.fields import Shown
from modules.prompts.styles import Style
from modules.web.widgets.form import Form, Offered
from modules.web.widgets.instant import INSTANT
from modules.web.widgets.order import SAMPLERS, SCHEDULES, in_order

LATENT = (
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
)
SAME: Mapping[str, str] = {  # what an empty value of a field means
    "hr_model": "Use same checkpoint",
    "hr_sampler": "Use same sampler",
    "hr_schedule": "Use same scheduler",
    "refiner_model": "None",
}


def offered(studio: Any, name: str, known: Shown) -> list[Offered]:
    """The choices of a field now; an empty one first where that has a meaning."""
    empty: list[Offered] = [(SAME[name], "")] if name in SAME else []
    return empty + LISTS[known.choices](studio)


def _models(studio: Any) -> list[Offered]:
    return [one.title for one in studio.library.models() if not one.problem]


def _vaes(studio: Any) -> list[Offered]:
    return ["Automatic", "None", *(one.name for one in studio.shelf.files("vae") if not one.problem)]


def _upscalers(studio: Any) -> list[Offered]:
    own = [one.name for one in studio.catalogue.now().upscalers]
    return [*own, *(one.name for one in studio.shelf.files("upscaler") if not one.problem)]


def readable_styles(studio: Any) -> list[Style]:
    """None when the file cannot be read: that is said when somebody keeps or chooses one, and must not stop the page."""
    try:
        return studio.styles.all()
    except AtelierError:
        return []


LISTS: Mapping[str, Callable[[Any], list[Offered]]] = {
    "samplers": lambda studio: in_order([one.name for one in studio.catalogue.now().samplers], SAMPLERS),  # type: ignore[return-value]
    "schedules": lambda studio: in_order([one.name for one in studio.catalogue.now().schedules], SCHEDULES),  # type: ignore[return-value]
    "guidance": lambda studio: [one.name for one in studio.catalogue.now().guidance],
    "models": _models,
    "vaes": _vaes,
    "upscalers": _upscalers,
    "hires_upscalers": lambda studio: [*LATENT, *(one for one in _upscalers(studio) if one != "None")],
    "styles": lambda studio: [one.name for one in readable_styles(studio)],
}


def with_held(choices: list[Offered], held: Any) -> list[Offered]:
    """The choices and, marked, what a field holds beside them: a model that a picture names and that is not here.

    >>> with_held(["Euler", ("None", "")], "Mine")
    ['Euler', ('None', ''), ('Mine (not here)', 'Mine')]
    """
    known = {one if isinstance(one, str) else one[1] for one in choices}
    held = held if isinstance(held, list | tuple) else [held]
    return [
        *choices,
        *((f"{one} (not here)", one) for one in held if isinstance(one, str) and one and one not in known),
    ]


def keep_fresh(studio: Any, form: Form) -> None:
    """An engine may know more than when the page was built, and files come and go: the page's script asks again.

    It presses the hidden button once the form holds what this browser remembers, so that it can be among the choices.
    """
    listed = {name: known for name, known in form.lists().items() if name in form.components}
    components = [form.components[name] for name in listed]

    def now(*held: Any) -> list[Any]:
        return [_update(offered(studio, *one), value) for one, value in zip(listed.items(), held, strict=True)]

    refresh = gr.Button(visible="hidden", elem_id=f"{form.prefix}_refresh_choices")
    refresh.click(now, components, components, preprocess=False, **INSTANT)


def _update(choices: list[Offered], held: Any) -> Any:
    return gr.update(choices=with_held(choices, held)) if choices else gr.skip()
