"""Data: the packaged load, PV, price and grid data, and the user's own meter files.

    catalogue()                               what there is, for people and for `commonwatt data`
    read_profiles(names, slots, timezone)     packaged series on the slots of any day
    read_reactive, annual_kwh, read_homes     their reactive power, measured sizes, installed devices
    read_grid(name), grid_names()             low-voltage grids
    read_meter_file(path, slots, timezone)    the user's own measurements, checked
    read_meter_files(files, folder, …)        several of them as one
    prices.read_price_file(…)                 the user's own prices, likewise
    read_reports(paths, slots, timezone)      metering points as grid companies and portals export them
    corrected(report, later), preview(report) such a report with a later one's values; how files were understood

How a file of one's own is understood: `commonwatt.data.table` (rows and columns), `times`, `headers` (units and
registers), `timefile` (numbers and slots). How a day of another year finds its rows: `commonwatt.data.year`. Where the
data come from: the NOTICE beside them. How a report of metering points is understood: `commonwatt.data.reports`.
"""

from commonwatt.data.catalogue import DataSet, Profile, catalogue
from commonwatt.data.grids import GridTables, grid_names, read_grid
from commonwatt.data.meterfile import MeterFile, read_meter_file, read_meter_files
from commonwatt.data.profiles import Home, annual_kwh, read_homes, read_profiles, read_reactive
from commonwatt.data.reports import Report, corrected, preview, read_reports

__all__ = [
    "DataSet",
    "GridTables",
    "Home",
    "MeterFile",
    "Profile",
    "Report",
    "annual_kwh",
    "catalogue",
    "corrected",
    "grid_names",
    "preview",
    "read_grid",
    "read_homes",
    "read_meter_file",
    "read_meter_files",
    "read_profiles",
    "read_reactive",
    "read_reports",
]
