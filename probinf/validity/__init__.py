"""Checks that a sampler means what it says: exact where all randomness is discrete, statistical elsewhere."""

from probinf.validity._cells import BrokenCells as BrokenCells
from probinf.validity._cells import check_cells as check_cells
from probinf.validity._denote import denote as denote
from probinf.validity._eprocess import log_wealth_of_mean as log_wealth_of_mean
from probinf.validity._errors import KeyReuseError as KeyReuseError
from probinf.validity._errors import NotEnumerable as NotEnumerable
from probinf.validity._errors import TooManyWorlds as TooManyWorlds
from probinf.validity._finite import FiniteMeasure as FiniteMeasure
from probinf.validity._finite import largest_difference as largest_difference
from probinf.validity._kernel_matrix import detailed_balance_error as detailed_balance_error
from probinf.validity._kernel_matrix import invariance_error as invariance_error
from probinf.validity._kernel_matrix import kernel_matrix as kernel_matrix
from probinf.validity._kernel_matrix import row_sum_error as row_sum_error
from probinf.validity._law import EnumeratedLaw as EnumeratedLaw
from probinf.validity._law import enumerate_law as enumerate_law
from probinf.validity._proper import ExactCheck as ExactCheck
from probinf.validity._proper import check_proper_weighting as check_proper_weighting
from probinf.validity._proper import expected_measure as expected_measure
from probinf.validity._report import KernelCase as KernelCase
from probinf.validity._report import Row as Row
from probinf.validity._report import SamplerCase as SamplerCase
from probinf.validity._report import check_case as check_case
from probinf.validity._sites import Site as Site
from probinf.validity._statistical import MeanCheck as MeanCheck
from probinf.validity._statistical import check_means as check_means
