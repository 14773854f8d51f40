"""Checks that a sampler means what it says: exact where all randomness is discrete, statistical elsewhere."""

from probinf.validity._cells import BrokenCells as BrokenCells
from probinf.validity._cells import check_cells as check_cells
from probinf.validity._errors import KeyReuseError as KeyReuseError
from probinf.validity._errors import NotEnumerable as NotEnumerable
from probinf.validity._errors import TooManyWorlds as TooManyWorlds
from probinf.validity._kernel_matrix import detailed_balance_error as detailed_balance_error
from probinf.validity._kernel_matrix import invariance_error as invariance_error
from probinf.validity._kernel_matrix import kernel_matrix as kernel_matrix
from probinf.validity._kernel_matrix import row_sum_error as row_sum_error
from probinf.validity._law import EnumeratedLaw as EnumeratedLaw
from probinf.validity._law import enumerate_law as enumerate_law
from probinf.validity._sites import Site as Site
