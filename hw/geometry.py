"""The shape of a sliding window over a stream, and every table that follows from it.

Plain integers, no hardware: the line buffer is elaborated from these tables and the cycle model of
the planner steps through the same ones, so that the two cannot disagree.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import gcd

__all__ = ["WindowGeometry", "ceil_div"]


def ceil_div(numerator: int, denominator: int) -> int:
    """The smallest integer that is at least ``numerator / denominator``."""
    return -(-numerator // denominator)


@dataclass(frozen=True)
class WindowGeometry:
    """How a (rows, columns, channels) feature map is swept by windows.

    The map arrives row by row, pixel by pixel, ``in_lanes`` channels a beat; the last beat of a pixel is
    padded where ``in_lanes`` does not divide ``channels``. For every window position, for every channel
    group, for every repeat, the window leaves in steps of ``row_lanes`` kernel rows times ``run_lanes``
    elements.

    A *run* is what lies contiguously in one kernel row: all ``kernel[1] * channels`` elements where there is
    one group, the group's channels of one kernel column otherwise.

    Raises ``ValueError`` naming the field for a value outside its range.
    """

    rows: int
    columns: int
    channels: int
    in_lanes: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    repeats: int = 1
    """How often each window is read: once for each group of output channels computed at a time."""
    row_lanes: int = 1
    run_lanes: int = 1
    buffer_rows: int = 0
    """Rows of memory; 0 takes twice the rows that a window needs, enough to load ahead by a whole window."""
    pixels: int = 1
    """Output pixels, side by side, that a window serves: a wide kernel with a wide stride. Each pixel takes
    its own part of every row (``taps``), so such a window reads whole rows."""

    def __post_init__(self) -> None:
        for name in (
            "rows",
            "columns",
            "channels",
            "in_lanes",
            "groups",
            "repeats",
            "row_lanes",
            "run_lanes",
            "pixels",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.channels % self.groups:
            raise ValueError(f"groups must divide the {self.channels} channels, not {self.groups}")
        for axis, size in enumerate((self.rows, self.columns)):
            if self.kernel[axis] < 1 or self.stride[axis] < 1 or self.padding[axis] < 0:
                raise ValueError(
                    f"kernel and stride must be at least 1 and padding at least 0, not "
                    f"{self.kernel}, {self.stride}, {self.padding}"
                )
            if self.kernel[axis] > size + 2 * self.padding[axis]:
                raise ValueError(
                    f"kernel must fit into the padded map of {size} + 2 * {self.padding[axis]}, "
                    f"not {self.kernel[axis]}"
                )
        if self.padding[0] >= self.kernel[0] or self.padding[1] >= self.kernel[1]:
            raise ValueError(f"padding must be below the kernel {self.kernel}, not {self.padding}")
        if self.row_lanes > self.kernel[0]:
            raise ValueError(
                f"row_lanes must be at most the kernel's {self.kernel[0]} rows, not {self.row_lanes}"
            )
        if self.run_lanes > self.run:
            raise ValueError(f"run_lanes must be at most the run of {self.run}, not {self.run_lanes}")
        if self.pixels > 1:
            self._check_pixels()
        if self.buffer_rows == 0:
            object.__setattr__(
                self, "buffer_rows", self.row_lanes * ceil_div(2 * self.least_rows, self.row_lanes)
            )
        if self.buffer_rows < self.least_rows or self.buffer_rows % self.row_lanes:
            raise ValueError(
                f"buffer_rows must be a multiple of row_lanes ({self.row_lanes}) and at least "
                f"{self.least_rows}, not {self.buffer_rows}"
            )

    def _check_pixels(self) -> None:
        if self.groups > 1 or self.repeats > 1 or self.run_lanes < self.run:
            raise ValueError(
                f"pixels must be 1 where a window is not read once, in whole rows of one group, "
                f"not {self.pixels}"
            )
        if self.stride[1] % self.pixels or self.pixels > self.window_steps:
            raise ValueError(
                f"pixels must divide the stride of {self.stride[1]} and be at most the {self.window_steps} "
                f"steps of a window, not {self.pixels}"
            )
        kernel = self.pixel_run // self.channels
        columns = (self.columns + 2 * self.padding[1] - kernel) // (self.stride[1] // self.pixels) + 1
        if columns % self.pixels:
            raise ValueError(f"pixels must divide the {columns} columns of the result, not {self.pixels}")

    # -- sizes ---------------------------------------------------------------------------------------

    @property
    def out_rows(self) -> int:
        return (self.rows + 2 * self.padding[0] - self.kernel[0]) // self.stride[0] + 1

    @property
    def out_columns(self) -> int:
        return (self.columns + 2 * self.padding[1] - self.kernel[1]) // self.stride[1] + 1

    @property
    def run(self) -> int:
        """Contiguous elements of one kernel row."""
        return self.kernel[1] * self.channels if self.groups == 1 else self.channels // self.groups

    @property
    def lanes(self) -> int:
        """Elements of one step."""
        return self.row_lanes * self.run_lanes

    @property
    def pixel_run(self) -> int:
        """Elements of a run that belong to one output pixel."""
        overlap = (self.pixels - 1) * (self.stride[1] // self.pixels)
        return self.run - overlap * self.channels

    @property
    def simd(self) -> int:
        """Elements of one step that belong to one output pixel."""
        return self.row_lanes * min(self.run_lanes, self.pixel_run)

    @property
    def taps(self) -> tuple[tuple[int, ...], ...]:
        """For each output pixel the elements of a step, row by row, that belong to it."""
        move = self.stride[1] // self.pixels * self.channels
        run = self.simd // self.row_lanes
        return tuple(
            tuple(
                row * self.run_lanes + pixel * move + place
                for row in range(self.row_lanes)
                for place in range(run)
            )
            for pixel in range(self.pixels)
        )

    @property
    def loops(self) -> tuple[int, int, int, int, int, int, int]:
        """Counts of the loop nest, outermost first: output row, output column, group, repeat, rows of the
        kernel, columns of the kernel, chunk of the run."""
        return (
            self.out_rows,
            self.out_columns,
            self.groups,
            self.repeats,
            ceil_div(self.kernel[0], self.row_lanes),
            1 if self.groups == 1 else self.kernel[1],
            ceil_div(self.run, self.run_lanes),
        )

    @property
    def window_steps(self) -> int:
        """Steps in which one window leaves once."""
        *_, kernel_rows, kernel_columns, chunks = self.loops
        return kernel_rows * kernel_columns * chunks

    @property
    def weight_steps(self) -> int:
        """Steps until the same weights come again."""
        return self.groups * self.repeats * self.window_steps

    @property
    def row_steps(self) -> int:
        """Steps of one output row."""
        return self.out_columns * self.weight_steps

    @property
    def steps(self) -> int:
        """Steps of one image: the layer's initiation interval when nothing holds it up."""
        return self.out_rows * self.row_steps

    # -- granules: the unit in which memory is addressed -----------------------------------------------

    @property
    def granule(self) -> int:
        """Elements that always move together: every write and every read starts at a multiple of it."""
        return gcd(self.channels // self.groups, self.run_lanes)

    @property
    def sub_beat(self) -> int:
        """Elements that the writer takes from the input stream in one cycle."""
        return gcd(self.in_lanes, self.granule)

    @property
    def pixel_beats(self) -> int:
        return ceil_div(self.channels, self.in_lanes)

    @property
    def pixel_granules(self) -> int:
        return self.channels // self.granule

    @property
    def run_banks(self) -> int:
        """Memories side by side in a row, one granule wide each."""
        return self.run_lanes // self.granule

    @property
    def row_words(self) -> int:
        """Words of one row in each bank."""
        return ceil_div(self.columns * self.pixel_granules, self.run_banks)

    @property
    def rotates_rows(self) -> bool:
        """Whether some window starts at another row bank than the first, so that rows must be put in
        order."""
        moves = [self.padding[0], self.image_slots]
        if self.out_rows > 1:
            moves.append(self.stride[0])
        return any(move % self.row_lanes for move in moves)

    @property
    def rotates_runs(self) -> bool:
        """Whether some step starts at another run bank than the first, so that granules must be put in
        order."""
        moves = [self.padding[1] * self.pixel_granules]
        if self.out_columns > 1:
            moves.append(self.stride[1] * self.pixel_granules)
        if self.groups > 1:
            moves += [self.pixel_granules // self.groups, self.pixel_granules]
        return any(move % self.run_banks for move in moves)

    @property
    def rotates(self) -> bool:
        return self.rotates_rows or self.rotates_runs

    @property
    def write_cycles(self) -> int:
        """Cycles that the writer needs for one image when the input never waits."""
        return self.rows * self.columns * self.channels // self.sub_beat

    # -- tables over output rows and columns -----------------------------------------------------------

    def _top(self, row: int) -> int:
        return row * self.stride[0] - self.padding[0]

    def _clip(self, row: int) -> int:
        return max(0, min(self.rows, row))

    @cached_property
    def release(self) -> tuple[int, ...]:
        """Rows that are no longer needed after each output row; after the last one all that are left."""
        tops = [self._clip(self._top(row)) for row in range(self.out_rows)] + [self.rows]
        return tuple(after - before for before, after in pairwise(tops))

    @cached_property
    def need(self) -> tuple[int, ...]:
        """Rows, counted from the first that is still held, which must be there before each output row."""
        tops = [self._clip(self._top(row)) for row in range(self.out_rows)]
        ends = [self._clip(self._top(row) + self.kernel[0]) for row in range(self.out_rows)]
        return tuple(max(end - top, gone) for top, end, gone in zip(tops, ends, self.release, strict=True))

    @property
    def least_rows(self) -> int:
        """The smallest buffer that does not deadlock."""
        return max(self.row_lanes * ceil_div(self.kernel[0], self.row_lanes), *self.need)

    @cached_property
    def row_bounds(self) -> tuple[tuple[int, int], ...]:
        """For each output row the kernel rows [first, end) that lie inside the map."""
        return tuple(
            (max(0, -self._top(row)), min(self.kernel[0], self.rows - self._top(row)))
            for row in range(self.out_rows)
        )

    @cached_property
    def column_bounds(self) -> tuple[tuple[int, int], ...]:
        """For each output column the kernel columns [first, end) that lie inside the map."""
        lefts = [column * self.stride[1] - self.padding[1] for column in range(self.out_columns)]
        return tuple((max(0, -left), min(self.kernel[1], self.columns - left)) for left in lefts)

    @property
    def image_slots(self) -> int:
        """How far the window's top row moves from the last output row of one image to the first of the
        next."""
        return self.rows - (self.out_rows - 1) * self.stride[0]
