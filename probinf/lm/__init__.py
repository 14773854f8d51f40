"""Language models: a protocol, an exact toy, and a Llama decoder made for clouds of texts that share a
prompt.
"""

from probinf.lm._confidence_probe import ConfidenceProbe
from probinf.lm._continue import Continue
from probinf.lm._decode import decode_block, resample_block, start_generation
from probinf.lm._download import cache_folder, get_model, model_path
from probinf.lm._errors import ModelDownloadError, ModelFileError
from probinf.lm._greedy import Greedy
from probinf.lm._llama import Llama
from probinf.lm._llama_config import LlamaConfig
from probinf.lm._load import LoadedModel, load_model
from probinf.lm._metered import Metered
from probinf.lm._prompt import Prompt
from probinf.lm._protocol import Generation, LanguageModel, TextModel
from probinf.lm._read_along import ReadAlong, ReadAlongState, StateReward
from probinf.lm._read_prompt import read_prompt
from probinf.lm._reasoning import Reasoning
from probinf.lm._reward import Reward, RewardFunction, log_odds_of
from probinf.lm._small_transformer import SmallLayer, SmallTransformer
from probinf.lm._solutions import History, Ledger, Solutions, Spent, history_of, spending, writing
from probinf.lm._stop import StopTable, stop_table
from probinf.lm._tokenizer import Tokenizer
from probinf.lm._toy import TableLM, enumerate_sequences, random_table_lm
from probinf.lm._tree_files import load_tree, save_tree
from probinf.lm._variable_model import Question, TabularModel, Trace, VariableModel, local_model, opening

__all__ = [
    "ConfidenceProbe",
    "Continue",
    "Generation",
    "Greedy",
    "History",
    "LanguageModel",
    "Ledger",
    "Llama",
    "LlamaConfig",
    "LoadedModel",
    "Metered",
    "ModelDownloadError",
    "ModelFileError",
    "Prompt",
    "ReadAlong",
    "ReadAlongState",
    "Question",
    "Reasoning",
    "Reward",
    "RewardFunction",
    "SmallLayer",
    "SmallTransformer",
    "Solutions",
    "Spent",
    "StateReward",
    "StopTable",
    "TableLM",
    "TabularModel",
    "TextModel",
    "Tokenizer",
    "Trace",
    "VariableModel",
    "cache_folder",
    "decode_block",
    "enumerate_sequences",
    "get_model",
    "history_of",
    "load_model",
    "load_tree",
    "log_odds_of",
    "local_model",
    "model_path",
    "opening",
    "random_table_lm",
    "read_prompt",
    "resample_block",
    "save_tree",
    "spending",
    "start_generation",
    "stop_table",
    "writing",
]
