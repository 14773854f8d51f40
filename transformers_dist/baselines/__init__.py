"""What Distribution Transformers are compared with, on the same problems."""

from probinf.transformers_dist.baselines._variational import nuts as nuts
from probinf.transformers_dist.baselines._variational import variational as variational
