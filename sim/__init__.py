"""The benches: drivers, monitors, scoreboards, and the Verilator they run in."""
