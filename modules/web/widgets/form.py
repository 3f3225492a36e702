"""A request's fields as components: one per field, callbacks that receive the dataclass, no positional lists.

Labels, ranges, help and allowed values come from `core.fields.Shown`. The values reach Python as the browser has them:
a slider of Gradio would answer a value out of its range with an error of its own, without saying which field it was.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import Field, replace
from html import escape
from typing import Any, get_args, get_origin, get_type_hints

import gradio as gr
from gradio.components import Component

from modules.core.errors import AtelierError, InvalidRequest, Problem
from modules.core.fields import Shown, shown_fields
from modules.web.widgets.instant import INSTANT, page_in_making
from modules.web.widgets.pasting import in_the_browser, read_text

# The field's names for the elements of a generation tab, where they differ from ours.
ELEMENT = {
    "negative_prompt": "neg_prompt",
    "sampler": "sampling",
    "schedule": "scheduler",
    "mask_blur_x": "mask_blur",
    "masked_content": "inpainting_fill",
    "inpaint_area": "inpaint_full_res",
    "inpaint_padding": "inpaint_full_res_padding",
}
LONGEST_NUMBER = 40  # characters
Offered = str | tuple[str, str]
SAFE_INTEGER = 2**53  # the browser's numbers are exact up to here; a seed may be larger


class Form:
    """The components of one request class on one tab. `prefix` starts their element ids: `txt2img_steps`."""

    def __init__(self, prefix: str, defaults: Callable[[], Any]) -> None:
        """`defaults()` answers a request with the values that are suggested now; fields without a component keep them."""
        self.prefix = prefix
        self.defaults = defaults
        self.components: dict[str, Component] = {}
        self.within: list[str] = []  # element ids of the folded sections that are being built, the outermost first
        self._sections: dict[str, list[str]] = {}
        self._start = defaults()
        self._shown: dict[str, tuple[Field[Any], Shown]] = {
            one.name: (one, known) for one, known in shown_fields(self._start)
        }
        self._types = {name: _plain_type(hint) for name, hint in get_type_hints(type(self._start)).items()}

    # -- building ------------------------------------------------------------------------------------------------------

    def add(self, name: str, choices: Sequence[Offered] = (), **look: Any) -> Component:
        """The component of one field, placed where this is called. `look`: further arguments of the component.

        `choices`: values, or pairs of what is shown and the value.
        """
        known = self._shown[name][1]
        value = getattr(self._start, name)
        arguments = {"label": known.label, "elem_id": self.element(name), "value": value} | look
        self.components[name] = _component(known, self._types[name], choices, arguments)
        self._sections[name] = list(self.within)
        return self.components[name]

    def element(self, name: str) -> str:
        """The element id of a field's component."""
        return f"{self.prefix}_{ELEMENT.get(name, name)}"

    def lists(self) -> dict[str, Shown]:
        """The fields whose values are taken from a list that changes while the server runs."""
        return {name: known for name, (_, known) in self._shown.items() if known.choices}

    def describe(self) -> str:
        """An element for the page's script: which element belongs to which field, where it is folded away, its help."""
        usual = in_the_browser({name: getattr(self._start, name) for name in self.components})
        table = {
            name: {
                "id": self.element(name),
                "label": known.label,
                "help": known.help,
                "longest": known.longest,
                "within": self._sections[name],
                "usual": usual[name],
            }
            for name, (_, known) in self._shown.items()
            if name in self.components
        }
        return f'<at-form prefix="{escape(self.prefix)}" fields="{escape(json.dumps(table))}"></at-form>'

    # -- values --------------------------------------------------------------------------------------------------------

    def request(self, values: Mapping[Component, Any]) -> Any:
        """The request that the components' values make. Raises InvalidRequest naming the fields that are no value."""
        return self.request_of({name: values[one] for name, one in self.components.items()})

    def request_of(self, raw: Mapping[str, Any]) -> Any:
        """The request of raw values by field name."""
        values, problems = {}, []
        for name, value in raw.items():
            try:
                optional = self._shown[name][0].default is None
                values[name] = _converted(value, self._types[name], self._shown[name][1].label, optional)
            except ValueError as error:
                problems.append(Problem(field=name, message=str(error)))
        if problems:
            raise InvalidRequest(*problems)
        return replace(self.defaults(), **values)

    # -- events --------------------------------------------------------------------------------------------------------

    def on(
        self,
        trigger: Callable[..., Any],
        call: Callable[[Any, gr.Request], Any],
        refused: Callable[[AtelierError], Any],
        **event: Any,
    ) -> Any:
        """Answer an event with `call(the request as a dataclass, gr.Request)`, at once and outside Gradio's queue.

        What cannot be done, be it found here or in `call`, is answered with `refused(error)`.
        """

        def answered(values: dict[Component, Any], request: gr.Request) -> Any:
            try:
                return call(self.request(values), request)
            except AtelierError as error:
                return refused(error)

        return trigger(answered, inputs=set(self.components.values()), preprocess=False, **(INSTANT | event))

    def in_page(self) -> None:
        """Let the page's script remember the values and set them: see `assets/form.js`."""
        names, components = list(self.components), list(self.components.values())
        arguments = f"'{self.prefix}', {json.dumps(names)}, values"
        gr.on(
            [one.change for one in components],
            fn=None,
            inputs=components,
            js=f"(...values) => atelier.forms.remember({arguments})",
            **INSTANT,
        )
        filler = gr.Button(visible="hidden", elem_id=f"{self.prefix}_fill")
        filled: dict[str, Any] = {"fn": None, "inputs": components, "outputs": components}
        filler.click(**filled, js=f"(...values) => atelier.forms.filled({arguments})", **INSTANT)
        page_in_making().load(**filled, js=f"(...values) => atelier.forms.restored({arguments})", **INSTANT)

    def pasted(
        self, text: str, without: Collection[str] = (), read: Callable[[str], Mapping[str, Any]] | None = None
    ) -> dict[Component, Any]:
        """The components' new values from a picture's text; those named in `without` stay as they are.

        `read(text)` answers values by field name; the default knows nothing of the lists of this place.
        """
        found = read(text) if read else in_the_browser(read_text(text, type(self._start)).values)
        values = {name: value for name, value in found.items() if name not in without}
        return {one: values.get(name, gr.skip()) for name, one in self.components.items()}

    @property
    def kind(self) -> type:
        """The class of the requests."""
        return type(self._start)


def _component(known: Shown, kind: type, choices: Sequence[Offered], arguments: dict[str, Any]) -> Component:
    if kind is tuple:
        return gr.Dropdown(choices=list(choices), multiselect=True, **(arguments | {"value": list(arguments["value"])}))
    if known.choices or known.options:
        offered = list(choices or known.options)
        if arguments["value"] not in [one if isinstance(one, str) else one[1] for one in offered]:
            offered.insert(0, arguments["value"])
        return gr.Dropdown(choices=offered, **arguments)
    if kind is bool:
        return gr.Checkbox(**arguments)
    if kind is str or (known.highest or 0) > SAFE_INTEGER:
        arguments["value"] = str(arguments["value"])
        return gr.Textbox(**arguments)
    if arguments["value"] is None:
        return gr.Textbox(**(arguments | {"value": "", "placeholder": "automatic"}))
    if known.minimum is None or known.maximum is None:
        return gr.Number(**arguments)
    return gr.Slider(known.minimum, known.maximum, step=known.step, buttons=[], **arguments)


def _plain_type(hint: Any) -> type:
    if get_origin(hint) is tuple:
        return tuple
    return next((one for one in get_args(hint) if one is not type(None)), hint)


def _converted(value: Any, kind: type, label: str, optional: bool = False) -> Any:
    """A value of the browser in the field's type; ValueError is a sentence. `optional`: an empty one is None."""
    if kind is str:
        return "" if value is None else str(value)
    if kind is bool:
        return bool(value)
    if kind is tuple:
        return tuple(str(one) for one in value or ())
    shown = str(value)[:40]
    if value is None or shown.strip() == "":
        if optional:
            return None
        raise ValueError(f"{label} is empty; it must be a number.")
    try:
        return _number(value, kind)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = "a whole number" if kind is int else "a number"
        raise ValueError(f"{label} is {shown!r}; it must be {wanted}.") from error


def _number(value: Any, kind: type) -> int | float:
    if kind is float:
        return float(value)
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(value)
        return int(value)
    text = str(value).strip()
    if len(text) > LONGEST_NUMBER:  # int() of a million digits takes seconds
        raise ValueError(text[:LONGEST_NUMBER])
    return int(text)
