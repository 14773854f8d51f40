"""Sequential Bayesian inference: posteriors that become priors, why that forgets, and what does not."""

from probinf.transformers_dist.sequential._failures import TwoTasks as TwoTasks
from probinf.transformers_dist.sequential._failures import one_mean_for_two_tasks as one_mean_for_two_tasks
from probinf.transformers_dist.sequential._failures import order_means_nothing as order_means_nothing
from probinf.transformers_dist.sequential._failures import refit_gap as refit_gap
from probinf.transformers_dist.sequential._hmc_chain import HamiltonianChain as HamiltonianChain
from probinf.transformers_dist.sequential._proto_cl import Prototypes as Prototypes
from probinf.transformers_dist.sequential._proto_cl import prototypes as prototypes
from probinf.transformers_dist.sequential._stream import stream_of as stream_of
