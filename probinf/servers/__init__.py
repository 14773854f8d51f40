"""Language models and reward models behind HTTP endpoints, and a small server of our own."""

from probinf.servers._client import CompletionClient as CompletionClient
from probinf.servers._endpoint import Endpoint as Endpoint
from probinf.servers._engine import Engine as Engine
from probinf.servers._errors import Failure as Failure
from probinf.servers._errors import ServerError as ServerError
from probinf.servers._reasoning import RemoteReasoning as RemoteReasoning
from probinf.servers._reasoning import RemoteStart as RemoteStart
from probinf.servers._reasoning import RemoteStep as RemoteStep
from probinf.servers._reasoning import lane_seeds as lane_seeds
from probinf.servers._rewards import RemoteReward as RemoteReward
from probinf.servers._rewards import TextReward as TextReward
from probinf.servers._rewards import TextRewardFunction as TextRewardFunction
from probinf.servers._server import ModelServer as ModelServer
from probinf.servers._solution import RemoteSolution as RemoteSolution
from probinf.servers._wire import Completion as Completion
