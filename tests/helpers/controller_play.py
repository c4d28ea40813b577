"""Plays what happens to a delivery controller, under CPython and MicroPython alike.

A script is a list of steps, each a list: what is called and its arguments.

    ["limits", {name: value}]    a new controller; what was kept is forgotten
    ["demand", number, mwh, until_ms] | ["step", t_ms, mv, ma] or with mw | ["acknowledge"]
    ["keep"]                     its state goes to flash
    ["restart"]                  a new controller with the state that was kept

As a program it reads one script a line and answers with one transcript a line: after each step the events, whether the
relay is closed, the fault, the newest demand and what it has delivered, and the state.
"""

import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    # MicroPython has no such module, and reads no annotation.
    from typing import Any


def play(controller: "Any", script: "list[list[Any]]") -> "list[Any]":
    """The transcript of a script; `controller` is the module."""
    limits, kept, transcript = controller.Limits(), "", []
    box = controller.Controller(limits)
    for name, *given in script:
        # JSON has no word for it.
        arguments: list[Any] = [float("nan") if each == "nan" else each for each in given]
        events: list[Any] = []
        if name == "limits":
            limits, kept = controller.Limits(**arguments[0]), ""
            box = controller.Controller(limits)
        elif name == "keep":
            # Through JSON, as a device keeps it.
            kept = json.dumps(box.state())
        elif name == "restart":
            box = controller.Controller(limits)
            if kept:
                box.restore(json.loads(kept))
        else:
            events = getattr(box, name)(*arguments) or []
        state = box.state()
        shown = [state[each] for each in ("number", "mwh", "counted", "ended", "fault")]
        transcript.append([[list(event) for event in events], box.relay, box.delivered_mwh, box.power_mw, shown])
    return transcript


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    import controller  # type: ignore[import-not-found]

    for line in sys.stdin:
        print(json.dumps(play(controller, json.loads(line))))
