"""What the lists of a form offer: by the name of the list that a field takes its value from."""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from modules.core.fields import Shown
from modules.web.widgets.form import Form, Offered
from modules.web.widgets.instant import INSTANT, page_in_making
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


LISTS: Mapping[str, Callable[[Any], list[Offered]]] = {
    "samplers": lambda studio: in_order([one.name for one in studio.catalogue.now().samplers], SAMPLERS),  # type: ignore[return-value]
    "schedules": lambda studio: in_order([one.name for one in studio.catalogue.now().schedules], SCHEDULES),  # type: ignore[return-value]
    "guidance": lambda studio: [one.name for one in studio.catalogue.now().guidance],
    "models": _models,
    "vaes": _vaes,
    "upscalers": _upscalers,
    "hires_upscalers": lambda studio: [*LATENT, *(one for one in _upscalers(studio) if one != "None")],
    "styles": lambda studio: [one.name for one in studio.styles.all()],
}


def keep_fresh(studio: Any, form: Form, at_load: bool = True) -> None:
    """An engine may know more than when the page was built, and files come and go: ask again.

    `at_load`: with the page; a tab that is drawn later asks by pressing the hidden button (each question costs time).
    """
    listed = {name: known for name, known in form.lists().items() if name in form.components}

    def now() -> list[Any]:
        return [_update(offered(studio, name, known)) for name, known in listed.items()]

    outputs = [form.components[name] for name in listed]
    if at_load:
        page_in_making().load(now, None, outputs, **INSTANT)
    refresh = gr.Button(visible="hidden", elem_id=f"{form.prefix}_refresh_choices")
    refresh.click(now, None, outputs, **INSTANT)


def _update(choices: list[Offered]) -> Any:
    return gr.update(choices=choices) if choices else gr.skip()
