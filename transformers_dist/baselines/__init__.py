"""What Distribution Transformers are compared with, on the same problems."""

from probinf.transformers_dist.baselines._amortized import Amortized as Amortized
from probinf.transformers_dist.baselines._amortized import train_amortized as train_amortized
from probinf.transformers_dist.baselines._flow import Flow as Flow
from probinf.transformers_dist.baselines._riemann import Riemann as Riemann
from probinf.transformers_dist.baselines._riemann import quantile_borders as quantile_borders
from probinf.transformers_dist.baselines._shipped import BASELINES as BASELINES
from probinf.transformers_dist.baselines._shipped import load_baseline as load_baseline
from probinf.transformers_dist.baselines._shipped import save_baseline as save_baseline
from probinf.transformers_dist.baselines._shipped import train_baseline as train_baseline
from probinf.transformers_dist.baselines._variational import nuts as nuts
from probinf.transformers_dist.baselines._variational import variational as variational
