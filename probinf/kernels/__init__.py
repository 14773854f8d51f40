"""Markov kernels that state the measure they leave invariant."""

from probinf.kernels._conditional_smc import ConditionalInfo as ConditionalInfo
from probinf.kernels._conditional_smc import ConditionalSMC as ConditionalSMC
from probinf.kernels._conditional_smc import conditional_smc as conditional_smc
from probinf.kernels._cycle import Cycle as Cycle
from probinf.kernels._gibbs import Block as Block
from probinf.kernels._gibbs import Conditional as Conditional
from probinf.kernels._gibbs import Redraw as Redraw
from probinf.kernels._gibbs import RedrawInfo as RedrawInfo
from probinf.kernels._gibbs import gibbs as gibbs
from probinf.kernels._hamiltonian import HamiltonianInfo as HamiltonianInfo
from probinf.kernels._hamiltonian import HamiltonianMonteCarlo as HamiltonianMonteCarlo
from probinf.kernels._hamiltonian import HamiltonianState as HamiltonianState
from probinf.kernels._hamiltonian import hmc as hmc
from probinf.kernels._independence import FreshProposal as FreshProposal
from probinf.kernels._independence import independence as independence
from probinf.kernels._involutive import Auxiliary as Auxiliary
from probinf.kernels._involutive import Independent as Independent
from probinf.kernels._involutive import Involutive as Involutive
from probinf.kernels._mala import LangevinProposal as LangevinProposal
from probinf.kernels._mala import mala as mala
from probinf.kernels._metropolis import MetropolisHastings as MetropolisHastings
from probinf.kernels._metropolis import MetropolisInfo as MetropolisInfo
from probinf.kernels._mixture import Mixture as Mixture
from probinf.kernels._mixture import MixtureInfo as MixtureInfo
from probinf.kernels._pimh import (
    ParticleIndependentMetropolisHastings as ParticleIndependentMetropolisHastings,
)
from probinf.kernels._pimh import ParticleMetropolisInfo as ParticleMetropolisInfo
from probinf.kernels._pimh import ParticleState as ParticleState
from probinf.kernels._pimh import pimh as pimh
from probinf.kernels._pmmh import ModelState as ModelState
from probinf.kernels._pmmh import ParticleMarginalMetropolisHastings as ParticleMarginalMetropolisHastings
from probinf.kernels._pmmh import pmmh as pmmh
from probinf.kernels._proposal import FiniteProposal as FiniteProposal
from probinf.kernels._proposal import Proposal as Proposal
from probinf.kernels._proposal import RandomWalk as RandomWalk
from probinf.kernels._proposal import random_walk as random_walk
from probinf.kernels._reversible_jump import Jump as Jump
from probinf.kernels._reversible_jump import ModelPoint as ModelPoint
from probinf.kernels._reversible_jump import ReversibleJump as ReversibleJump
from probinf.kernels._slice import IntegerSlice as IntegerSlice
from probinf.kernels._slice import SliceInfo as SliceInfo
