"""Published sampling algorithms, one to a file."""

from probinf.samplers._best_of_n import best_of_n as best_of_n
from probinf.samplers._bootstrap_filter import FilterStage as FilterStage
from probinf.samplers._bootstrap_filter import bootstrap_filter as bootstrap_filter
from probinf.samplers._importance import importance as importance
from probinf.samplers._particle_filtering import particle_filtering as particle_filtering
from probinf.samplers._rejection import rejection as rejection
from probinf.samplers._tempered_smc import Rung as Rung
from probinf.samplers._tempered_smc import TemperStage as TemperStage
from probinf.samplers._tempered_smc import tempered_smc as tempered_smc
from probinf.samplers._until_stop import UntilStop as UntilStop
