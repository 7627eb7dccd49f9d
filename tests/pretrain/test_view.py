"""The table on the terminal: every figure, from events alone."""

import io

from rich.console import Console

from pretrain.view import View, live_view

START = {"kind": "start", "step": 0, "steps": 1000, "parameters": 12345, "device": "cpu", "processes": 2}
UPDATE = {
    "kind": "train",
    "loss": 3.25,
    "grad_norm": 0.5,
    "tokens_per_second": 45678.9,
    "mfu": None,
    "memory_mb": 900.0,
    "data_seconds": 0.0004,
}


def text(view: View) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(view.table())
    return console.file.getvalue()


def test_the_figures():
    now = iter([0.0, *(2.0 * step for step in range(1, 100))])
    view = View(lambda: next(now))
    view.see(START)
    for step in range(1, 11):
        view.see({**UPDATE, "step": step})
    shown = text(view)
    for value in ("12,345 parameters, cpu x 2", "10 of 1,000", "3.2500", "0.500", "45,679", "unknown device", "900 MB"):
        assert value in shown
    assert "0.4 ms" in shown
    assert "0:33:00" in shown  # 990 steps of 2 s
    view.see({**UPDATE, "step": 11, "mfu": 0.412, "spike": {"loss": 7.0, "grad_norm": 8.5}})
    view.see({"kind": "evaluation", "step": 11, "bits_per_byte": 1.25})
    view.see({"kind": "evaluation", "step": 12, "bits_per_byte": None})
    view.see({"kind": "checkpoint", "step": 11})
    view.see({"kind": "rollback", "step": 4, "after": 11, "rows": 70})
    view.see({"kind": "damaged", "reason": "state.json is missing"})
    shown = text(view)
    for value in (
        "41.2%",
        "step 11, 8.5 standard deviations",
        "1.2500 bits per byte at step 11",
        "70 rows passed over",
        "state.json is missing",
    ):
        assert value in shown
    view.see({**UPDATE, "step": 5})
    assert "unknown" in text(view)


def test_it_is_drawn_on_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with live_view(console) as on_event:
        on_event(START)
        on_event({**UPDATE, "step": 1})
    assert "3.2500" in console.file.getvalue()
