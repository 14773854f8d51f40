"""Programs and their unit tests: a verifier of real imperfection, run in a sandbox."""

from probinf.verifiers.programs._limits import Limits as Limits
from probinf.verifiers.programs._outcome import Outcome as Outcome
from probinf.verifiers.programs._outcome import ProgramStatus as ProgramStatus
from probinf.verifiers.programs._sandbox import LAYERS as LAYERS
from probinf.verifiers.programs._sandbox import Sandbox as Sandbox
from probinf.verifiers.programs._sandbox import Trial as Trial
from probinf.verifiers.programs._sandbox import shared_sandbox as shared_sandbox
from probinf.verifiers.programs._tasks import ProgramTask as ProgramTask
from probinf.verifiers.programs._tasks import humaneval_tasks as humaneval_tasks
from probinf.verifiers.programs._unit_tests import UnitTests as UnitTests
from probinf.verifiers.programs._worker import SandboxError as SandboxError
