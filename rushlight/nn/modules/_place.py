"""Where in a network an error arose: a note on the exception, grown from the inside out.

In: an exception on its way up, and each module whose call it leaves.  Out: the same exception with
one note such as `in Net.classifier.6: Linear(in_features=4096, out_features=10, bias=True)`.
"""

from __future__ import annotations

from typing import Any

_SLOT = "_rushlight_place"


def note_place(error: Exception, module: Any) -> None:
    """Say in a note that `error` left `module`; called once for each module around it."""
    place = getattr(error, _SLOT, None)
    if place is None:
        text = repr(module)
        path = ""
        note = "in " + (text if "\n" not in text else type(module).__name__)
        text = note.removeprefix("in ")
        if not type(module).__module__.startswith("rushlight."):
            note = ""  # the traceback shows the user's own code
    else:
        inner, path, text, note = place
        step = next((name for name, child in module.named_modules() if child is inner), "")
        if not step:
            return  # called from elsewhere, not as a part
        path = f"{step}.{path}" if path else step
        _drop_note(error, note)
        note = f"in {type(module).__name__}.{path}: {text}"
    try:
        setattr(error, _SLOT, (module, path, text, note))
    except AttributeError:
        return  # an exception class with slots
    if note:
        error.add_note(note)


def _drop_note(error: Exception, note: str) -> None:
    notes = getattr(error, "__notes__", [])
    if note in notes:
        notes.remove(note)
