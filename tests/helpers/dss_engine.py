"""The same network in OpenDSS: another model, another solver, another team."""

from collections.abc import Iterator
from math import hypot, sqrt
from types import ModuleType

import numpy as np

from commonwatt.grid.network import Network
from commonwatt.units import FloatArray


def solve(network: Network, p_kw: FloatArray, q_kvar: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Voltage of each bus, shape (buses, slots) [pu], and losses, shape (slots,) [kW]."""
    # Imported here, since doctest reads this file where OpenDSS is not installed too.
    import opendssdirect as dss

    dss.Text.Commands(list(script(network)))
    slots = [solve_slot(dss, network, p, q) for p, q in zip(p_kw.T, q_kvar.T, strict=True)]
    voltage, losses = zip(*slots, strict=True)
    return np.array(voltage).T, np.array(losses)


def script(network: Network) -> Iterator[str]:
    kv, t, lines = network.kv.tolist(), network.transformer, network.lines
    columns = (lines.from_bus, lines.to_bus, lines.r_ohm, lines.x_ohm, lines.c_nf)
    level = kv[network.slack]
    # 100 kvar moves this slack by 1e-8 pu; a stiffer one would cost the digits of the power through it.
    stiff = f"[0,{1e-7 * level**2!r}]"
    yield "clear"
    yield (
        f"new circuit.grid bus1=b{network.slack} basekv={level!r} pu={network.slack_pu!r}"
        f" frequency=50 Z1={stiff} Z0={stiff}"
    )
    yield "set defaultbasefrequency=50"
    for line, (start, end, r, x, c) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        yield (
            f"new line.l{line} bus1=b{start} bus2=b{end} basefreq=50 length=1"
            f" r1={r!r} x1={x!r} c1={c!r} r0={r!r} x0={x!r} c0={c!r}"
        )
    if t is not None:
        reactance = sqrt(t.vk_percent**2 - t.vkr_percent**2)
        yield (
            f"new transformer.t windings=2 buses=(b{t.hv_bus} b{t.lv_bus}) conns=(wye wye) xhl={reactance!r}"
            f" kvs=({t.hv_kv!r} {t.lv_kv!r}) kvas=({t.kva!r} {t.kva!r}) taps=({1 + t.tap_percent / 100!r} 1)"
            f" %rs=({t.vkr_percent / 2!r} {t.vkr_percent / 2!r}) %noloadloss=0 %imag=0 ppm_antifloat=0"
        )
        # Where the no-load branch sits is a convention (OpenDSS: one side): here half on each side.
        magnetising = sqrt(max(t.i0_percent / 100 * t.kva, t.iron_kw) ** 2 - t.iron_kw**2)
        for side, bus, rated in (("hv", t.hv_bus, t.hv_kv * (1 + t.tap_percent / 100)), ("lv", t.lv_bus, t.lv_kv)):
            yield (
                f"new load.iron_{side} bus1=b{bus} phases=3 model=2 kv={rated!r} vminpu=0.1 vmaxpu=3"
                f" kw={t.iron_kw / 2!r} kvar={magnetising / 2!r}"
            )
    for bus, level in enumerate(kv):
        yield f"new load.p{bus} bus1=b{bus} phases=3 model=1 kv={level!r} vminpu=0.1 vmaxpu=3 kw=0 kvar=0"
    yield f"set voltagebases={sorted(set(kv))!r}"
    yield "calcvoltagebases"
    yield "set tolerance=1e-12 maxiterations=1000"


def solve_slot(dss: ModuleType, network: Network, p: FloatArray, q: FloatArray) -> tuple[list[float], float]:
    dss.Text.Commands([f"load.p{bus}.kw={kw!r}" for bus, kw in enumerate(p.tolist())])
    dss.Text.Commands([f"load.p{bus}.kvar={kvar!r}" for bus, kvar in enumerate(q.tolist())])
    dss.Text.Command("solve")
    assert dss.Solution.Converged()
    voltage = []
    for bus, level in enumerate(network.kv.tolist()):
        dss.Circuit.SetActiveBus(f"b{bus}")
        voltage.append(hypot(*dss.Bus.Voltages()[:2]) * sqrt(3) / level / 1000)
    return voltage, -dss.Circuit.TotalPower()[0] - p.sum()
