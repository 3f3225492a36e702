"""Our look: neutral greys beside the pictures, one accent colour, an 8-pixel grid, system fonts.

Colours are named once, in `LIGHT` and `DARK`; they become CSS variables (`--at-text`) that our style sheet and Gradio's
parts point at. Text stands at 4.5:1 or more on its ground in both (WCAG 2.2, 1.4.3); a test measures it.
"""

from typing import Any

import gradio as gr

LIGHT = {
    "ground": "#f6f6f7",
    "surface": "#ffffff",
    "field": "#ffffff",
    "text": "#1b1c1f",
    "quiet": "#5a5d65",
    "line": "#e2e3e7",
    "stage": "#eaebee",
    "track": "#cdd0d7",
    "edge": "#b9bcc5",
    "accent": "#3a55d9",
    "accent-strong": "#2c43b8",
    "on-accent": "#ffffff",
    "accent-text": "#3049c6",
    "accent-soft": "#e9ecfb",
    "problem": "#b3261e",
    "problem-soft": "#fdecea",
    "good": "#1a7f4b",
    "warn": "#8a5a00",
}

DARK = {
    "ground": "#131417",
    "surface": "#1b1c20",
    "field": "#202227",
    "text": "#e9eaed",
    "quiet": "#a4a8b1",
    "line": "#2c2e34",
    "stage": "#0c0d0f",
    "track": "#3d4048",
    "edge": "#4b4e57",
    "accent": "#4a63e2",
    "accent-strong": "#3d55cf",
    "on-accent": "#ffffff",
    "accent-text": "#9db0ff",
    "accent-soft": "#262b45",
    "problem": "#ff9c94",
    "problem-soft": "#3a1f1e",
    "good": "#63d297",
    "warn": "#f0c060",
}


def _var(name: str) -> str:
    return f"var(--at-{name})"


GROUND, SURFACE, FIELD = _var("ground"), _var("surface"), _var("field")
TEXT, QUIET, LINE, EDGE = _var("text"), _var("quiet"), _var("line"), _var("edge")
ACCENT, ON_ACCENT, ACCENT_TEXT, SOFT = _var("accent"), _var("on-accent"), _var("accent-text"), _var("accent-soft")

PAGE = {
    "body_text_color": TEXT,
    "body_text_color_subdued": QUIET,
    "background_fill_primary": SURFACE,
    "background_fill_secondary": GROUND,
    "border_color_primary": LINE,
    "border_color_accent": ACCENT,
    "color_accent": ACCENT,
    "color_accent_soft": SOFT,
    "link_text_color": ACCENT_TEXT,
    "link_text_color_active": ACCENT_TEXT,
    "link_text_color_hover": ACCENT_TEXT,
    "link_text_color_visited": ACCENT_TEXT,
    "accordion_text_color": TEXT,
    "loader_color": ACCENT,
    "slider_color": ACCENT,
}

BLOCKS = {
    "block_background_fill": "transparent",
    "block_border_width": "0px",
    "block_border_color": "transparent",
    "block_shadow": "none",
    "block_padding": "0px",
    "block_radius": "8px",
    "block_info_text_color": QUIET,
    "block_title_text_color": QUIET,
    "block_title_text_weight": "500",
    "block_title_text_size": "13px",
    "block_label_text_color": QUIET,
    "block_label_background_fill": "transparent",
    "block_label_border_width": "0px",
    "layout_gap": "16px",
    "form_gap_width": "0px",
    "panel_background_fill": "transparent",
    "panel_border_width": "0px",
    "container_radius": "8px",
}

FIELDS = {
    "input_background_fill": FIELD,
    "input_background_fill_focus": FIELD,
    "input_background_fill_hover": FIELD,
    "input_border_color": EDGE,
    "input_border_color_hover": QUIET,
    "input_border_color_focus": ACCENT,
    "input_border_width": "1px",
    "input_radius": "8px",
    "input_padding": "8px 12px",
    "input_shadow": "none",
    "input_shadow_focus": f"0 0 0 1px {ACCENT}",
    "input_text_size": "15px",
    "input_placeholder_color": QUIET,
}

BUTTONS = {
    "button_border_width": "1px",
    "button_large_radius": "8px",
    "button_medium_radius": "8px",
    "button_small_radius": "8px",
    "button_large_text_weight": "600",
    "button_small_text_weight": "500",
    "button_small_padding": "6px 12px",
    "button_primary_background_fill": ACCENT,
    "button_primary_background_fill_hover": _var("accent-strong"),
    "button_primary_border_color": "transparent",
    "button_primary_border_color_hover": "transparent",
    "button_primary_text_color": ON_ACCENT,
    "button_primary_text_color_hover": ON_ACCENT,
    "button_secondary_background_fill": SURFACE,
    "button_secondary_background_fill_hover": SOFT,
    "button_secondary_border_color": EDGE,
    "button_secondary_border_color_hover": QUIET,
    "button_secondary_text_color": TEXT,
    "button_secondary_text_color_hover": TEXT,
}


def theme() -> gr.themes.Base:
    """Gradio's variables, pointed at ours. Only the body's ground is literal: it is painted before any style sheet."""
    look = gr.themes.Base()
    points: dict[str, Any] = PAGE | BLOCKS | FIELDS | BUTTONS
    known = set(vars(look))
    dark = {f"{name}_dark": value for name, value in points.items() if f"{name}_dark" in known}
    return look.set(**points, **dark, body_background_fill=LIGHT["ground"], body_background_fill_dark=DARK["ground"])


def colour_variables() -> str:
    """`LIGHT` and `DARK` as a style sheet."""
    light, dark = (";".join(f"--at-{name}:{value}" for name, value in table.items()) for table in (LIGHT, DARK))
    return f":root{{color-scheme:light;{light}}}body.dark,body.dark *{{color-scheme:dark}}body.dark{{{dark}}}"
